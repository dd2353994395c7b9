//! The kernel settings of a real server, below `/proc/sys`.
//!
//! What counts for an interface is, of `all` and its own, the larger one
//! (`Documentation/networking/ip-sysctl.rst`): a setting that is strict enough is left alone.

use std::{fs, io, path::Path};

use crate::types::IfName;

/// A setting and the least change that makes it right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Path below `/proc/sys`.
    pub(super) key: String,
    /// What it is, `None` where there is none.
    pub(super) is: Option<i64>,
    /// What it has to become; `None`: nothing, it is right.
    pub(super) becomes: Option<i64>,
    /// Why.
    pub(super) why: &'static str,
}

/// What `vips` of IPv4 need, with packets arriving by `interfaces`. `read` gives a setting's value.
pub(super) fn wanted(read: &impl Fn(&str) -> Option<i64>, interfaces: &[IfName]) -> Vec<Wanted> {
    let mut all = Vec::new();
    for scope in ["all", "lo"] {
        let ignore = conf(scope, "arp_ignore");
        let is = read(&ignore);
        all.push(Wanted {
            key: ignore,
            is,
            becomes: (is.is_none_or(|is| is < 1)).then_some(1),
            why: "ARP questions for the address are the balancer's to answer",
        });
        let announce = conf(scope, "arp_announce");
        let is = read(&announce);
        all.push(Wanted {
            key: announce,
            is,
            becomes: (is.is_none_or(|is| is < 2)).then_some(2),
            why: "the address must not stand in ARP questions of this host",
        });
    }
    all.extend(interfaces.iter().map(|name| source_check(read, name)));
    all
}

/// A strict check of sources refuses clients that are answered by another interface.
fn source_check(read: &impl Fn(&str) -> Option<i64>, interface: &IfName) -> Wanted {
    let key = rp_filter(interface.as_str());
    let is = read(&key);
    let of_all = read(&rp_filter("all")).unwrap_or(0);
    let strict = is.unwrap_or(0).max(of_all) == 1;
    Wanted {
        key,
        is,
        becomes: strict.then_some(2),
        why: "clients' packets may arrive by another interface than answers leave by",
    }
}

/// The check of sources of an interface, or of `all`.
pub(super) fn rp_filter(scope: &str) -> String {
    conf(scope, "rp_filter")
}

fn conf(scope: &str, name: &str) -> String {
    format!("net/ipv4/conf/{scope}/{name}")
}

/// The value of a setting; `None` where there is none.
pub(super) fn read(key: &str) -> Option<i64> {
    let text = fs::read_to_string(Path::new(ROOT).join(key)).ok()?;
    text.trim().parse().ok()
}

/// Sets it.
pub(super) fn write(key: &str, value: i64) -> io::Result<()> {
    fs::write(Path::new(ROOT).join(key), value.to_string())
}

/// As sysctl(8) takes it: dots between the words, unless there are dots in them.
pub(super) fn shown(key: &str) -> String {
    if key.contains('.') {
        key.to_owned()
    } else {
        key.replace('/', ".")
    }
}

const ROOT: &str = "/proc/sys";

#[cfg(test)]
mod tests;
