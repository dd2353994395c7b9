//! The machine: what is in /proc and on its file systems.

mod processes;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use nix::{
    sys::statfs::{BPF_FS_MAGIC, statfs},
    unistd::{AccessFlags, access},
};

use super::{clock, read};
use crate::{
    agent,
    config::{
        Config, Loaded,
        model::{Engine, Forwarding},
    },
    control,
    doctor::facts::{Bpffs, Host, Seen, Unseen},
    exec,
    ipvs::{masquerade, sysctl},
};

/// Everything about the machine.
pub(super) fn host(loaded: &Loaded) -> Host {
    let config = &loaded.config;
    let unfit = exec::check_config(loaded).into_iter();
    Host {
        missing_capabilities: agent::missing_capabilities(),
        kernel: kernel(),
        locked_memory: locked_memory(),
        bpffs: bpffs(&config.bpffs_dir),
        clock_synchronised: clock::synchronised(),
        conntrack: conntrack(),
        keepalived: processes::named("keepalived", |_| true),
        agents: processes::agents(&config.runtime_dir.join(control::SOCKET)),
        unfit: unfit.map(|(place, why)| (place, why.to_string())).collect(),
        forwards: ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]
            .map(|key| read(&format!("/proc/sys/net/{key}")).map(|value| value != "0")),
        ipvs: ipvs(),
        ipvs_settings: ipvs_settings(&loaded.config),
        nft: masquerade::program().is_some(),
        default_routes: [
            read("/proc/net/route").map(|text| default_routes_v4(&text)),
            read("/proc/net/ipv6_route").map(|text| default_routes_v6(&text)),
        ],
    }
}

fn ipvs_settings(config: &Config) -> Vec<(sysctl::Wanted, String)> {
    if !Path::new("/proc/sys/net/ipv4/vs").exists() {
        return Vec::new();
    }
    let all = config.datapath.engine == Engine::Ipvs;
    let services = config.services.iter();
    let services = services.filter(|service| all || service.forwarding == Forwarding::Nat);
    let mut missing = sysctl::missing(&sysctl::wanted(services));
    missing.retain(|(setting, _)| setting.path.starts_with("net/ipv4/vs/"));
    missing
}

fn kernel() -> Seen<(u32, u32)> {
    let release = read("/proc/sys/kernel/osrelease")?;
    version(&release)
        .ok_or_else(|| Unseen(format!("the kernel's release `{release}` has no version")))
}

/// `6.1.0-13-amd64`
pub(in crate::doctor) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-', '+']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn locked_memory() -> Seen<Option<u64>> {
    let limits = read("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max locked memory"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    match soft {
        Some("unlimited") => Ok(None),
        Some(bytes) => bytes
            .parse()
            .map(Some)
            .map_err(|_| Unseen("the limit of locked memory is no number".to_owned())),
        None => Err(Unseen(
            "/proc/self/limits has no limit of locked memory".to_owned(),
        )),
    }
}

fn bpffs(root: &Path) -> Bpffs {
    let existing = root.ancestors().find(|path| path.exists());
    let existing = existing.unwrap_or(Path::new("/")).to_owned();
    match statfs(&existing) {
        Ok(stat) if stat.filesystem_type() == BPF_FS_MAGIC => {}
        _ => return Bpffs::NotBpffs(root.to_owned()),
    }
    match access(&existing, AccessFlags::W_OK) {
        Ok(()) => Bpffs::Writable,
        Err(_) => Bpffs::ReadOnly(existing),
    }
}

/// The files are there once something tracks connections.
fn conntrack() -> Option<(u64, u64)> {
    let number = |name: &str| {
        let text = read(&format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
        text.ok()?.parse().ok()
    };
    Some((number("count")?, number("max")?))
}

fn ipvs() -> Seen<bool> {
    if Path::new("/proc/net/ip_vs").exists() {
        return Ok(true);
    }
    let release = read("/proc/sys/kernel/osrelease")?;
    let modules = format!("/lib/modules/{release}");
    let listed = ["modules.dep", "modules.builtin"].iter().any(|list| {
        let text = fs::read_to_string(format!("{modules}/{list}")).unwrap_or_default();
        text.lines().any(|line| {
            let module = line.split(':').next().unwrap_or_default();
            module
                .rsplit('/')
                .next()
                .is_some_and(|file| file.starts_with("ip_vs.ko"))
        })
    });
    Ok(listed)
}

/// The gateways of the routes to everywhere in /proc/net/route.
pub(in crate::doctor) fn default_routes_v4(text: &str) -> Vec<Option<IpAddr>> {
    let routes = text.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "00000000", gateway, _, _, _, _, "00000000", ..] = fields.as_slice() else {
            return None;
        };
        // As the number lies in memory.
        let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes());
        Some((!gateway.is_unspecified()).then_some(gateway.into()))
    });
    routes.collect()
}

/// The same in /proc/net/ipv6_route.
pub(in crate::doctor) fn default_routes_v6(text: &str) -> Vec<Option<IpAddr>> {
    let routes = text.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [to, "00", _, "00", gateway, _, _, _, flags, ..] = fields.as_slice() else {
            return None;
        };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        if to.bytes().any(|digit| digit != b'0') || flags & REJECT != 0 {
            return None;
        }
        let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
        Some((!gateway.is_unspecified()).then_some(gateway.into()))
    });
    routes.collect()
}

/// `RTF_REJECT`: the kernel's own "nowhere".
const REJECT: u32 = 0x200;
