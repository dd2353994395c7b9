//! What a test needs of the machine. Something missing is a loud skip, and a failure under `CI=true`.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::Path,
    process::Command,
    thread,
};

use nix::unistd::Uid;

/// One thing the machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Namespaces, raw sockets, BPF: everything of the lab wants root.
    Root,
    /// `/sys/fs/bpf` can be mounted.
    Bpffs,
    /// IPVS, perhaps as a module.
    Ipvs,
    /// A program in `PATH` (or `/usr/sbin`).
    Program(&'static str),
}

impl Need {
    /// What every test with hosts needs.
    pub const LAB: &'static [Self] = &[
        Self::Root,
        Self::Bpffs,
        Self::Program("ip"),
        Self::Program("ethtool"),
    ];

    fn missing(self) -> Option<String> {
        match self {
            Self::Root => (!Uid::effective().is_root()).then(|| "not root".to_owned()),
            Self::Bpffs => {
                let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
                (!known.split_whitespace().any(|word| word == "bpf"))
                    .then(|| "this kernel has no bpf file system".to_owned())
            }
            Self::Ipvs => {
                (!has_ipvs()).then(|| "this kernel has no IPVS: `cargo xtask test vm`".to_owned())
            }
            Self::Program(name) => (!in_path(name)).then(|| format!("no `{name}`: install it")),
        }
    }
}

/// Whether all of `needs` is there. If not, says so, past libtest's capture.
///
/// # Panics
/// Under `CI=true`, unless the need is one that `ALLOWED_IN_CI` lists.
#[must_use]
pub fn have(needs: &[Need]) -> bool {
    let mut all = true;
    for need in needs {
        let Some(reason) = need.missing() else {
            continue;
        };
        all = false;
        say(&reason);
        let ci = env::var("CI").is_ok_and(|value| value == "true");
        assert!(
            !ci || ALLOWED_IN_CI.contains(need),
            "needed under CI=true: {reason}"
        );
    }
    all
}

fn say(reason: &str) {
    // libtest names a test's thread after the test, unless it runs all on the main one.
    let line = match thread::current().name() {
        None | Some("main") => format!("SKIPPED: {reason}\n"),
        Some(test) => format!("test {test} ... SKIPPED: {reason}\n"),
    };
    io::stderr().write_all(line.as_bytes()).ok();
}

/// `PATH` with the directories that only root's login shell has in it.
#[must_use]
pub fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}

fn has_ipvs() -> bool {
    let there = || Path::new("/proc/net/ip_vs").exists();
    let load = || Command::new("modprobe").args(["-q", "ip_vs"]).status();
    there() || (load().is_ok() && there())
}

fn in_path(name: &str) -> bool {
    env::split_paths(&search_path()).any(|dir| dir.join(name).is_file())
}

/// What a CI machine may lack without failing the run.
const ALLOWED_IN_CI: &[Need] = &[];
