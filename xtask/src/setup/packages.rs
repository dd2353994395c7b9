//! Debian packages: which binary needs which, and installing all that are missing in one go.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::{Part, distro::Distro, policy::NoDaemons, step};
use crate::sh;

/// Installs the packages whose binaries `parts` lack.
pub(super) fn ensure(parts: &[Part]) -> Result<()> {
    let missing = missing(parts);
    if missing.is_empty() {
        return Ok(());
    }
    let distro = Distro::current();
    if let Distro::Other(name) = &distro {
        let wanted: Vec<_> = missing.iter().map(|tool| tool.probe.name()).collect();
        bail!(
            "missing on {}: {}; install what provides them (on Debian: {})",
            if name.is_empty() { "this system" } else { name },
            wanted.join(", "),
            names(&missing).join(" ")
        );
    }
    if !sh::is_root() {
        let packages = choose(&missing, &distro, &|_| true).join(" ");
        bail!("not root, and packages are missing; run as root: apt-get install {packages}");
    }
    install(&missing, &distro)?;
    let missing: Vec<_> = self::missing(parts)
        .iter()
        .map(|tool| tool.probe.name())
        .collect();
    if !missing.is_empty() {
        bail!(
            "still missing after the installation: {}",
            missing.join(", ")
        );
    }
    Ok(())
}

/// The names of all that `parts` need.
pub(super) fn binaries(parts: &[Part]) -> Vec<&'static str> {
    TOOLS
        .iter()
        .filter(|tool| parts.contains(&tool.part))
        .map(|tool| tool.probe.name())
        .collect()
}

/// One thing a part needs, and the package that has it.
#[derive(Debug)]
struct Tool {
    part: Part,
    probe: Probe,
    /// Debian's name, and Ubuntu's unless [`choose`] says otherwise.
    package: &'static str,
    /// The unit that the package enables, to be disabled again.
    daemon: Option<&'static str>,
}

/// How to see that it is there.
#[derive(Clone, Copy, Debug)]
enum Probe {
    /// On the search path.
    Binary(&'static str),
    /// At this place.
    File(&'static str),
}

impl Probe {
    fn name(self) -> &'static str {
        match self {
            Self::Binary(name) | Self::File(name) => name,
        }
    }

    fn is_there(self) -> bool {
        match self {
            Self::Binary(name) => sh::find(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
        }
    }
}

fn missing(parts: &[Part]) -> Vec<&'static Tool> {
    let wanted = TOOLS.iter().filter(|tool| parts.contains(&tool.part));
    wanted.filter(|tool| !tool.probe.is_there()).collect()
}

/// The packages of `tools`, each once.
fn names(tools: &[&Tool]) -> Vec<&'static str> {
    let mut names: Vec<_> = tools.iter().map(|tool| tool.package).collect();
    names.dedup();
    names
}

/// The packages to install. Ubuntu has had a package `bpftool` since 25.04 only; before, the
/// binary is in a package per kernel version, here that of the newest kernel ([`sh::find`] sees it).
fn choose(tools: &[&Tool], distro: &Distro, exists: &dyn Fn(&str) -> bool) -> Vec<&'static str> {
    let per_kernel = |name| name == "bpftool" && *distro == Distro::Ubuntu && !exists(name);
    let chosen = names(tools).into_iter().flat_map(|name| match name {
        name if per_kernel(name) => vec!["linux-tools-common", "linux-tools-generic"],
        name => vec![name],
    });
    chosen.collect()
}

fn install(tools: &[&Tool], distro: &Distro) -> Result<()> {
    step(&format!(
        "installing Debian packages for: {}",
        names(tools).join(" ")
    ));
    // A third party's broken repository fails the update, not the packages we want.
    if let Err(error) = sh::run(apt_get().arg("update")) {
        step(&format!(
            "going on with the package lists as they are: {error:#}"
        ));
    }
    let exists = |name: &str| {
        let found = sh::output(sh::command("apt-cache").args(["madison", name]));
        found.is_ok_and(|text| !text.trim().is_empty())
    };
    let packages = choose(tools, distro, &exists);
    let no_daemons = NoDaemons::install(Path::new(super::policy::PATH))?;
    sh::run(
        apt_get()
            .args(["install", "-y", "--no-install-recommends"])
            .args(&packages),
    )
    .context("cannot install Debian packages")?;
    drop(no_daemons);

    // Not started now, and not at the next boot either: nobody asked for these on the host.
    let daemons: Vec<_> = tools.iter().filter_map(|tool| tool.daemon).collect();
    if !daemons.is_empty() && sh::find("systemctl").is_some() {
        step(&format!(
            "keeping the host from starting {} at boot",
            daemons.join(", ")
        ));
        if let Err(error) = sh::output(sh::command("systemctl").arg("disable").args(&daemons)) {
            step(&format!("{error:#}"));
        }
    }
    Ok(())
}

fn apt_get() -> std::process::Command {
    let mut command = sh::command("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.env("NEEDRESTART_SUSPEND", "1"); // Ubuntu's hook would restart other services
    command.args(["-o", "DPkg::Lock::Timeout=120"]); // a fresh machine upgrades itself at first
    command
}

const fn tool(part: Part, probe: Probe, package: &'static str) -> Tool {
    Tool {
        part,
        probe,
        package,
        daemon: None,
    }
}

const fn daemon(name: &'static str) -> Tool {
    Tool {
        part: Part::Lab,
        probe: Probe::Binary(name),
        package: name,
        daemon: Some(name),
    }
}

const TOOLS: &[Tool] = &[
    // build: rustc links with cc, which needs the C library's start files
    tool(Part::Build, Probe::Binary("cc"), "gcc"),
    tool(
        Part::Build,
        Probe::File("/usr/include/stdio.h"),
        "libc6-dev",
    ),
    // lab: networks and what is seen of them
    tool(Part::Lab, Probe::Binary("ip"), "iproute2"),
    tool(Part::Lab, Probe::Binary("ping"), "iputils-ping"),
    tool(Part::Lab, Probe::Binary("ethtool"), "ethtool"),
    tool(Part::Lab, Probe::Binary("tcpdump"), "tcpdump"),
    tool(Part::Lab, Probe::Binary("nft"), "nftables"),
    tool(Part::Lab, Probe::Binary("bpftool"), "bpftool"),
    tool(Part::Lab, Probe::Binary("ps"), "procps"),
    tool(Part::Lab, Probe::Binary("sysctl"), "procps"),
    // lab: what the metrics must please; its service is not wanted here
    Tool {
        part: Part::Lab,
        probe: Probe::Binary("promtool"),
        package: "prometheus",
        daemon: Some("prometheus"),
    },
    tool(Part::Lab, Probe::Binary("killall"), "psmisc"),
    // lab: clients, servers, peers
    tool(Part::Lab, Probe::Binary("curl"), "curl"),
    daemon("nginx"),
    daemon("haproxy"),
    daemon("keepalived"),
    // fuzz: libFuzzer comes as C++; with the compiler come gcc and libc6-dev
    tool(Part::Fuzz, Probe::Binary("c++"), "g++"),
    // vm: the emulator, module indices, compressed modules, the key of Debian's archive; and what
    // tests of IPVS look with
    tool(
        Part::Vm,
        Probe::Binary("qemu-system-x86_64"),
        "qemu-system-x86",
    ),
    tool(Part::Vm, Probe::Binary("depmod"), "kmod"),
    tool(Part::Vm, Probe::Binary("xz"), "xz-utils"),
    tool(
        Part::Vm,
        Probe::File("/usr/share/keyrings/debian-archive-keyring.gpg"),
        "debian-archive-keyring",
    ),
    tool(Part::Vm, Probe::Binary("ipvsadm"), "ipvsadm"),
    tool(Part::Vm, Probe::Binary("nft"), "nftables"),
];

#[cfg(test)]
mod tests;
