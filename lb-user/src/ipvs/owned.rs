//! Pure: what of the kernel is ours, as a file remembers it.
//!
//! Neither IPVS's table nor a sysctl has room for an owner's name. So what we are about to change is
//! written down first: after a crash the next agent knows it. The file, in `runtime_dir`, says of which
//! boot it is: it means nothing to another kernel's state.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::SocketAddr,
};

use super::table::{ServiceKey, SyncDaemon, SyncRole, TCP, UDP};

/// What is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// Services in IPVS's table.
    pub services: BTreeSet<ServiceKey>,
    /// Sync daemons.
    pub daemons: BTreeSet<SyncDaemon>,
    /// Sysctls that were set, by path below `/proc/sys`, with the value from before.
    pub sysctls: BTreeMap<String, String>,
    /// Whether our nftables table may be there.
    pub masquerade: bool,
}

impl Owned {
    /// The file of a boot: one thing a line.
    #[must_use]
    pub fn write(&self, boot: &str) -> String {
        let mut text = format!("boot {boot}\n");
        let mut line = |line: std::fmt::Arguments<'_>| {
            writeln!(text, "{line}").expect("a string takes everything");
        };
        for key in &self.services {
            if let Some((protocol, at)) = named(*key) {
                line(format_args!("service {protocol} {at}"));
            }
        }
        for daemon in &self.daemons {
            let role = match daemon.role {
                SyncRole::Send => "send",
                SyncRole::Receive => "receive",
            };
            line(format_args!(
                "sync {role} {} {}",
                daemon.interface, daemon.id
            ));
        }
        for (path, value) in &self.sysctls {
            line(format_args!("sysctl {path} {value}"));
        }
        if self.masquerade {
            line(format_args!("masquerade"));
        }
        text
    }

    /// Reads the file in a boot; lines that are none of ours say nothing.
    #[must_use]
    pub fn read(text: &str, boot: &str) -> Self {
        let mut owned = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words.as_slice() {
                ["service", protocol, at] => owned.services.extend(service(protocol, at)),
                ["sync", role, interface, id] => {
                    owned.daemons.extend(daemon(role, interface, id));
                }
                ["sysctl", path, value @ ..] if !value.is_empty() => {
                    owned.sysctls.insert((*path).to_owned(), value.join(" "));
                }
                ["masquerade"] => owned.masquerade = true,
                ["boot", other] if *other != boot => return Self::default(),
                _ => {}
            }
        }
        owned
    }
}

/// `None` for what we never make.
fn named(key: ServiceKey) -> Option<(&'static str, SocketAddr)> {
    let ServiceKey::Address {
        protocol,
        address,
        port,
    } = key
    else {
        return None;
    };
    let protocol = match protocol {
        TCP => "tcp",
        UDP => "udp",
        _ => return None,
    };
    Some((protocol, SocketAddr::new(address, port)))
}

fn service(protocol: &str, at: &str) -> Option<ServiceKey> {
    let protocol = match protocol {
        "tcp" => TCP,
        "udp" => UDP,
        _ => return None,
    };
    let at: SocketAddr = at.parse().ok()?;
    Some(ServiceKey::Address {
        protocol,
        address: at.ip(),
        port: at.port(),
    })
}

fn daemon(role: &str, interface: &str, id: &str) -> Option<SyncDaemon> {
    let role = match role {
        "send" => SyncRole::Send,
        "receive" => SyncRole::Receive,
        _ => return None,
    };
    Some(SyncDaemon {
        role,
        interface: interface.to_owned(),
        id: id.parse().ok()?,
    })
}

#[cfg(test)]
mod tests;
