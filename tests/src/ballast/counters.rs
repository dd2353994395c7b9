//! What each backend got, asked in both ways an operator has: `ballast status --json` and
//! `bpftool map dump` of the pinned maps, which needs no agent.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::netns::Host;

/// Counters of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendCounters {
    /// Packets forwarded.
    pub packets: u64,
    /// Their IP lengths.
    pub bytes: u64,
    /// TCP connections begun.
    pub new_flows: u64,
}

/// By (service, backend) name.
pub type Counters = BTreeMap<(String, String), BackendCounters>;

/// From the document of `status --json`.
///
/// # Errors
/// When something of it is missing.
pub fn from_status(status: &Value) -> Result<Counters> {
    let mut counters = Counters::new();
    for service in array(status, "services")? {
        for backend in array(service, "backends")? {
            let key = (text(service, "name")?, text(backend, "name")?);
            counters.insert(key, traffic(backend)?);
        }
    }
    Ok(counters)
}

/// From the pinned maps `backends` (index → names) and `backend_stats` (per CPU) below `bpffs_dir`.
///
/// # Errors
/// When bpftool cannot read them, or has no BTF to name the fields.
pub fn from_pinned_maps(host: &Host, bpffs_dir: &str) -> Result<Counters> {
    let backends = dump(host, &format!("{bpffs_dir}/backends"))?;
    let stats = dump(host, &format!("{bpffs_dir}/backend_stats"))?;
    let mut counters = Counters::new();
    for (backend, stats) in backends.iter().zip(&stats) {
        let backend = &backend["value"];
        if number(backend, "port")? == 0 {
            continue;
        }
        let mut sum = BackendCounters::default();
        for cpu in array(stats, "values")? {
            let part = traffic(&cpu["value"])?;
            sum.packets += part.packets;
            sum.bytes += part.bytes;
            sum.new_flows += part.new_flows;
        }
        counters.insert(
            (c_string(backend, "service")?, c_string(backend, "name")?),
            sum,
        );
    }
    Ok(counters)
}

/// Entries with the fields named, which bpftool keeps apart under `formatted`.
fn dump(host: &Host, pin: &str) -> Result<Vec<Value>> {
    let text = host.exec(["bpftool", "--json", "map", "dump", "pinned", pin])?;
    let entries: Vec<Value> = serde_json::from_str(&text).with_context(|| pin.to_owned())?;
    entries
        .into_iter()
        .map(|mut entry| {
            entry
                .get_mut("formatted")
                .map(Value::take)
                .with_context(|| format!("{pin} has no BTF"))
        })
        .collect()
}

fn traffic(value: &Value) -> Result<BackendCounters> {
    Ok(BackendCounters {
        packets: number(value, "packets")?,
        bytes: number(value, "bytes")?,
        new_flows: number(value, "new_flows")?,
    })
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key]
        .as_array()
        .with_context(|| format!("no list `{key}` in {value}"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    value[key]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("no text `{key}` in {value}"))
}

fn number(value: &Value, key: &str) -> Result<u64> {
    value[key]
        .as_u64()
        .with_context(|| format!("no number `{key}` in {value}"))
}

/// bpftool prints bytes as a list: of numbers, or of strings such as `"0x77"`; with BTF `char`, as text.
fn c_string(value: &Value, key: &str) -> Result<String> {
    let field = &value[key];
    if let Some(text) = field.as_str() {
        return Ok(text.trim_end_matches('\0').to_owned());
    }
    let byte = |item: &Value| -> Option<u8> {
        match item {
            Value::Number(number) => number.as_u64().and_then(|n| u8::try_from(n).ok()),
            Value::String(text) => match text.strip_prefix("0x") {
                Some(hex) => u8::from_str_radix(hex, 16).ok(),
                None => text.bytes().next(),
            },
            _ => None,
        }
    };
    let bytes: Vec<u8> = array(value, key)?
        .iter()
        .map_while(byte)
        .take_while(|b| *b != 0)
        .collect();
    String::from_utf8(bytes).with_context(|| format!("`{key}` is no text"))
}
