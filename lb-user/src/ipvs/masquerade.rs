//! Source NAT for services whose clients the real servers would answer directly: one nftables table of
//! our own, replaced and removed as a whole.
//!
//! IPVS changes the destination, and with `net.ipv4.vs.conntrack` it tells connection tracking; the
//! packet then passes `postrouting`, where its connection is known by what the client asked for.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::{Command, Stdio},
};

use crate::config::model::{Forwarding, Service};

/// The table could not be replaced.
#[derive(Debug, thiserror::Error)]
pub enum MasqueradeError {
    /// `nft` cannot be run.
    #[error("`nat.masquerade` needs the program nft: install the package nftables")]
    Run(#[source] io::Error),
    /// It refused.
    #[error("nft refused the rules of `nat.masquerade`: {0}")]
    Refused(String),
}

/// The rules for those of `services` that want them, as `nft` reads them; `None` if none does.
#[must_use]
pub fn rules<'a>(services: impl IntoIterator<Item = &'a Service>) -> Option<String> {
    let mut rules = String::new();
    for service in services {
        if service.forwarding != Forwarding::Nat || !service.nat.masquerade {
            continue;
        }
        let family = if service.address.is_ipv4() {
            "ip"
        } else {
            "ip6"
        };
        let (protocol, address, port) = (service.protocol, service.address, service.port);
        writeln!(
            rules,
            "    meta l4proto {protocol} ct original {family} daddr {address} ct original proto-dst {port} masquerade"
        )
        .expect("a string takes everything");
    }
    (!rules.is_empty()).then(|| {
        format!(
            "{REMOVAL}table {TABLE} {{\n  chain postrouting {{\n    \
             type nat hook postrouting priority srcnat; policy accept;\n{rules}  }}\n}}\n"
        )
    })
}

/// Replaces our table by `rules`, or removes it. In one transaction of the kernel's.
///
/// # Errors
/// `nft` cannot be run, or refuses.
pub fn apply(rules: Option<&str>) -> Result<(), MasqueradeError> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(MasqueradeError::Run)?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let written = stdin.write_all(rules.unwrap_or(REMOVAL).as_bytes());
    drop(stdin);
    let output = child.wait_with_output().map_err(MasqueradeError::Run)?;
    if output.status.success() {
        return written.map_err(MasqueradeError::Run);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("no reason given");
    Err(MasqueradeError::Refused(first.to_owned()))
}

const TABLE: &str = "inet ballast";
/// Adding it first makes the removal succeed where it is not there.
const REMOVAL: &str = "table inet ballast\ndelete table inet ballast\n";

#[cfg(test)]
mod tests;
