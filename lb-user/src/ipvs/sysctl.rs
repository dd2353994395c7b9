//! Settings of the kernel that IPVS wants: which ones ([`wanted`], pure), and looking and setting.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::config::model::{Forwarding, Service};

/// A setting, and why it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Below `/proc/sys`.
    pub path: &'static str,
    /// What it should be.
    pub value: &'static str,
    /// What goes wrong without it.
    pub why: &'static str,
    /// Whether nothing works without it; others are improvements.
    pub needed: bool,
}

impl Wanted {
    /// As `sysctl` writes it.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.replace('/', ".")
    }
}

/// What `services`, all of them IPVS's, want.
#[must_use]
pub fn wanted<'a>(services: impl IntoIterator<Item = &'a Service>) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut add = |one: Wanted| {
        if !wanted.contains(&one) {
            wanted.push(one);
        }
    };
    for service in services {
        add(EXPIRE_NODEST);
        if service.persistence.is_some() {
            add(EXPIRE_QUIESCENT);
        }
        if service.forwarding == Forwarding::Nat {
            add(if service.address.is_ipv4() {
                FORWARD_V4
            } else {
                FORWARD_V6
            });
            if service.nat.masquerade {
                add(CONNTRACK);
            }
        }
    }
    wanted
}

/// The value of a setting in this network namespace.
///
/// # Errors
/// It is not there (IPVS's are not before its module is), or may not be read.
pub fn read(path: &str) -> io::Result<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(path))?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Changes a setting.
///
/// # Errors
/// It is not there, or may not be written.
pub fn write(path: &str, value: &str) -> io::Result<()> {
    fs::write(Path::new(ROOT).join(path), value)
}

/// Those of `wanted` that are not as wanted, with their present value.
#[must_use]
pub fn missing(wanted: &[Wanted]) -> Vec<(Wanted, String)> {
    let differs = |one: &Wanted| match read(one.path) {
        Ok(value) if value == one.value => None,
        Ok(value) => Some((*one, value)),
        // An older kernel without it goes without.
        Err(_) if !one.needed => None,
        Err(error) => Some((*one, error.to_string())),
    };
    wanted.iter().filter_map(differs).collect()
}

/// Puts back what was before; what cannot be put back is returned.
pub fn restore(before: &BTreeMap<String, String>) -> Vec<(String, io::Error)> {
    let failed = before
        .iter()
        .filter_map(|(path, value)| Some((path.clone(), write(path, value).err()?)));
    failed.collect()
}

const ROOT: &str = "/proc/sys";

const FORWARD_V4: Wanted = Wanted {
    path: "net/ipv4/ip_forward",
    value: "1",
    why: "the answers of the real servers are not passed on to clients",
    needed: true,
};
const FORWARD_V6: Wanted = Wanted {
    path: "net/ipv6/conf/all/forwarding",
    value: "1",
    why: "the answers of the real servers are not passed on to clients",
    needed: true,
};
const CONNTRACK: Wanted = Wanted {
    path: "net/ipv4/vs/conntrack",
    value: "1",
    why: "`nat.masquerade` has no effect",
    needed: true,
};
const EXPIRE_NODEST: Wanted = Wanted {
    path: "net/ipv4/vs/expire_nodest_conn",
    value: "1",
    why: "connections to a real server that was removed hang until they time out",
    needed: false,
};
const EXPIRE_QUIESCENT: Wanted = Wanted {
    path: "net/ipv4/vs/expire_quiescent_template",
    value: "1",
    why: "persistent clients stay with a real server that is drained",
    needed: false,
};

#[cfg(test)]
mod tests;
