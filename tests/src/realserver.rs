//! Real servers, made by `ballast realserver` as an operator does.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{ballast::binary, netns::Host};

/// Makes `host` a real server for direct routing: it takes packets for the virtual addresses, and
/// says so to nobody.
///
/// # Errors
/// When it is refused.
pub fn direct_routing(host: &Host, vips: &[IpAddr]) -> Result<()> {
    realserver(host, "up", vips, &[]).map(drop)
}

/// The same for a tunnel, whose end is our own program on any kernel; packets from `sources` are taken.
///
/// # Errors
/// When it is refused.
pub fn tunnel(host: &Host, vips: &[IpAddr], sources: &[IpAddr]) -> Result<()> {
    let mut flags = vec!["--tunnel".to_owned(), "--decapsulation=xdp".to_owned()];
    for source in sources {
        flags.extend(["--from".to_owned(), source.to_string()]);
    }
    realserver(host, "up", vips, &flags).map(drop)
}

/// Runs `ballast realserver VERB` on a host and returns what it printed.
///
/// # Errors
/// When it ends with another status than 0.
pub fn realserver(host: &Host, verb: &str, vips: &[IpAddr], flags: &[String]) -> Result<String> {
    let mut line = vec![binary()?.into_os_string()];
    line.extend(["realserver", verb].map(Into::into));
    for vip in vips {
        line.extend(["--vip".into(), vip.to_string().into()]);
    }
    line.extend(flags.iter().map(Into::into));
    host.exec(line)
}

/// A counter of the tunnel's end, by its name in `check --json`.
///
/// # Errors
/// When it has none.
pub fn tunnel_counter(host: &Host, name: &str) -> Result<u64> {
    let text = realserver(host, "check", &[], &["--json".to_owned()])?;
    let document: Value = serde_json::from_str(&text)?;
    document["tunnel"][name]
        .as_u64()
        .with_context(|| format!("no counter `{name}` in {text}"))
}
