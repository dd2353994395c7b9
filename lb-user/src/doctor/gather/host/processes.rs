//! Who else is here.

use std::{fs, os::unix::net::UnixStream, path::Path};

use nix::sys::socket::{getsockopt, sockopt};

use crate::doctor::facts::{Seen, Unseen};

/// Processes of this name in our network namespace, those in other ones (containers) left out.
pub(super) fn named(name: &str, wanted: impl Fn(&[String]) -> bool) -> Seen<Vec<u32>> {
    let cannot = |error: std::io::Error| Unseen(format!("cannot read /proc: {error}"));
    let here = fs::read_link("/proc/self/ns/net").map_err(cannot)?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let file = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        if file("comm").strip_suffix(b"\n") != Some(name.as_bytes()) {
            continue;
        }
        // What cannot be looked at counts: better named once too often.
        let elsewhere = fs::read_link(entry.path().join("ns/net")).is_ok_and(|there| there != here);
        let line = file("cmdline");
        let words = line.split(|byte| *byte == 0);
        let words: Vec<_> = words
            .map(|w| String::from_utf8_lossy(w).into_owned())
            .collect();
        if !elsewhere && pid != std::process::id() && wanted(&words) {
            found.push(pid);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Running agents, but for the one that listens on this socket.
pub(super) fn agents(socket: &Path) -> Seen<Vec<u32>> {
    let mut agents = named("ballast", |words| words.iter().any(|word| word == "run"))?;
    // Nothing is asked of it: who it is, the kernel says.
    if let Ok(stream) = UnixStream::connect(socket)
        && let Ok(peer) = getsockopt(&stream, sockopt::PeerCredentials)
    {
        agents.retain(|pid| i64::from(*pid) != i64::from(peer.pid()));
    }
    Ok(agents)
}
