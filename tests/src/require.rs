//! What a test needs of the machine. Something missing is a loud skip, and a failure under `CI=true`.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Write},
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

use nix::unistd::Uid;

/// One thing the machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Namespaces, raw sockets, BPF: everything of the lab wants root.
    Root,
    /// `/sys/fs/bpf` can be mounted.
    Bpffs,
    /// `/dev/net/tun`, for the tunnel's end at a real server.
    Tun,
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
            Self::Tun => (!Path::new("/dev/net/tun").exists())
                .then(|| "no /dev/net/tun: `modprobe tun`".to_owned()),
            Self::Program(name) => (!in_path(name)).then(|| format!("no `{name}`: install it")),
        }
    }
}

/// Whether all of `needs` is there. If not, says `SKIPPED: …` once, past libtest's capture.
///
/// # Panics
/// Under `CI=true`, unless the need is one that [`ALLOWED_IN_CI`] lists.
#[must_use]
pub fn have(needs: &[Need]) -> bool {
    let mut all = true;
    for need in needs {
        let Some(reason) = need.missing() else {
            continue;
        };
        all = false;
        say_once(*need, &reason);
        let ci = env::var("CI").is_ok_and(|value| value == "true");
        assert!(
            !ci || ALLOWED_IN_CI.contains(need),
            "needed under CI=true: {reason}"
        );
    }
    all
}

fn say_once(need: Need, reason: &str) {
    static SAID: OnceLock<Mutex<BTreeSet<Need>>> = OnceLock::new();
    let said = SAID.get_or_init(Mutex::default);
    if said
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(need)
    {
        writeln!(io::stderr(), "SKIPPED: {reason}").ok();
    }
}

fn in_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([
            Path::new("/usr/sbin").to_owned(),
            Path::new("/sbin").to_owned(),
        ])
        .any(|dir| dir.join(name).is_file())
}

/// What a CI machine may lack without failing the run.
const ALLOWED_IN_CI: &[Need] = &[];
