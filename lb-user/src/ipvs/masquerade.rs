//! Source NAT for services whose clients the real servers would answer directly: one nftables table of
//! our own, replaced and removed as a whole.
//!
//! IPVS changes the destination, and with `net.ipv4.vs.conntrack` it tells connection tracking; the
//! packet then passes `postrouting`, where its connection is known by what the client asked for.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    config::model::{Command, Forwarding, Service},
    exec::{self, Limits, Outcome},
    net::nftables,
};

/// The table could not be replaced.
#[derive(Debug, thiserror::Error)]
pub enum MasqueradeError {
    /// There is no `nft`.
    #[error("`nat.masquerade` needs the program nft: install the package nftables")]
    Missing,
    /// The rules cannot be written down for it.
    #[error("cannot write `{}`", .path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// It did not do it.
    #[error("nft did not take the rules of `nat.masquerade`: {0}")]
    Refused(Outcome),
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

/// Whether our table is there. Every script that loads a firewall begins with `flush ruleset`, which
/// takes it away. What cannot be known counts as there.
#[must_use]
pub fn is_there() -> bool {
    nftables::has_inet_table(TABLE_NAME).unwrap_or(true)
}

/// Replaces our table by `rules`, or removes it, in one transaction of the kernel's. `file` is where `nft`
/// reads them. Dropping this kills `nft`: then all is done, or nothing.
///
/// # Errors
/// `nft` cannot be run, refuses, or takes too long.
pub async fn apply(file: &Path, rules: Option<&str>) -> Result<(), MasqueradeError> {
    let write = async {
        if let Some(dir) = file.parent() {
            tokio::fs::create_dir_all(dir).await?;
        }
        tokio::fs::write(file, rules.unwrap_or(REMOVAL)).await
    };
    write.await.map_err(|error| MasqueradeError::Write {
        path: file.to_owned(),
        error,
    })?;
    let args = vec!["-f".to_owned(), file.display().to_string()];
    let nft = program().and_then(|path| Command::new(path.to_owned(), args));
    let nft = nft.ok_or(MasqueradeError::Missing)?;
    let outcome = exec::run(&nft, &[], &Limits::check(LIMIT, None)).await;
    match outcome.verdict() {
        Some(true) => Ok(()),
        _ => Err(MasqueradeError::Refused(outcome)),
    }
}

/// The program `nft`, if there is one.
#[must_use]
pub fn program() -> Option<&'static Path> {
    PLACES.iter().map(Path::new).find(|path| path.exists())
}

/// Where distributions have `nft`.
const PLACES: &[&str] = &[
    "/usr/sbin/nft",
    "/sbin/nft",
    "/usr/bin/nft",
    "/usr/local/sbin/nft",
];
/// How long it may take: the kernel waits for others who change its rules.
const LIMIT: Duration = Duration::from_secs(30);
const TABLE: &str = "inet ballast";
/// The same without its family.
const TABLE_NAME: &str = "ballast";
/// Adding it first makes the removal succeed where it is not there.
const REMOVAL: &str = "table inet ballast\ndelete table inet ballast\n";

#[cfg(test)]
mod tests;
