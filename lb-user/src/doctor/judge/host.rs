//! The machine and what runs on it.

use super::{uses_ipvs, uses_nat};
use crate::{
    config::{Config, model::Forwarding},
    doctor::{
        check::Judgement,
        facts::{Bpffs, Facts},
    },
};

pub(in crate::doctor) fn capabilities(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let missing = &facts.host.missing_capabilities;
    if !missing.is_empty() {
        judgement.found(format!("this process lacks {}", missing.join(", ")));
    }
    judgement
}

pub(in crate::doctor) fn kernel_version(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if let Some(&version) = judgement.need(&facts.host.kernel)
        && version < MINIMUM
    {
        let ((major, minor), (needed, needed_minor)) = (version, MINIMUM);
        judgement.found(format!(
            "this is Linux {major}.{minor}, ballast needs {needed}.{needed_minor}"
        ));
    }
    judgement
}

pub(in crate::doctor) fn locked_memory(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let kernel = judgement.need(&facts.host.kernel).copied();
    let limit = judgement.need(&facts.host.locked_memory).copied();
    if let (Some(kernel), Some(Some(bytes))) = (kernel, limit)
        && kernel < MEMORY_CONTROLLER
    {
        judgement.found(format!("{} KiB may be locked", bytes >> 10));
    }
    judgement
}

pub(in crate::doctor) fn bpffs(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    match &facts.host.bpffs {
        Bpffs::Writable => {}
        Bpffs::NotBpffs(path) => {
            judgement.found(format!("`{}` is not on a BPF file system", path.display()));
        }
        Bpffs::ReadOnly(path) => judgement.found(format!("`{}` is not writable", path.display())),
    }
    judgement
}

pub(in crate::doctor) fn clock(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if judgement.need(&facts.host.clock_synchronised) == Some(&false) {
        judgement.found("the kernel says that nobody keeps its clock right");
    }
    judgement
}

pub(in crate::doctor) fn conntrack_full(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if let Some((count, limit)) = facts.host.conntrack
        && count >= limit / 100 * NEARLY_FULL
    {
        judgement.found(format!("{count} of {limit} connections are tracked"));
    }
    judgement
}

pub(in crate::doctor) fn keepalived_running(_: &Config, facts: &Facts) -> Judgement {
    processes(&facts.host.keepalived)
}

pub(in crate::doctor) fn second_agent(_: &Config, facts: &Facts) -> Judgement {
    processes(&facts.host.agents)
}

pub(in crate::doctor) fn script_permissions(_: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    for (place, why) in &facts.host.unfit {
        judgement.found(format!("{place}: {why}"));
    }
    judgement
}

pub(in crate::doctor) fn ipvs_missing(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if uses_ipvs(config) && judgement.need(&facts.host.ipvs) == Some(&false) {
        judgement.found("neither loaded nor among the kernel's modules");
    }
    judgement
}

pub(in crate::doctor) fn ip_forward(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if !uses_nat(config) || config.datapath.manage_sysctls {
        return judgement;
    }
    let [v4, v6] = &facts.host.forwards;
    for (is_v4, fact, name) in [
        (true, v4, "net.ipv4.ip_forward"),
        (false, v6, "net.ipv6.conf.all.forwarding"),
    ] {
        let concerned = config.services.iter().any(|service| {
            service.forwarding == Forwarding::Nat && service.address.is_ipv4() == is_v4
        });
        if concerned && judgement.need(fact) == Some(&false) {
            judgement.found(format!("{name} is 0"));
        }
    }
    judgement
}

pub(in crate::doctor) fn ipvs_settings(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    if uses_ipvs(config) && !config.datapath.manage_sysctls {
        for (setting, present) in &facts.host.ipvs_settings {
            judgement.found(format!("{} is {present}: {}", setting.name(), setting.why));
        }
    }
    judgement
}

pub(in crate::doctor) fn nft_missing(config: &Config, facts: &Facts) -> Judgement {
    let mut judgement = Judgement::default();
    let masqueraded = config
        .services
        .iter()
        .filter(|service| service.forwarding == Forwarding::Nat && service.nat.masquerade);
    for service in masqueraded.filter(|_| !facts.host.nft) {
        judgement.found(format!("service `{}`", service.name));
    }
    judgement
}

fn processes(found: &crate::doctor::facts::Seen<Vec<u32>>) -> Judgement {
    let mut judgement = Judgement::default();
    if let Some(pids) = judgement.need(found)
        && !pids.is_empty()
    {
        let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
        judgement.found(format!("process {}", pids.join(", ")));
    }
    judgement
}

/// The oldest kernel that we run on.
const MINIMUM: (u32, u32) = (6, 1);
/// From here on, maps are charged to the memory controller, not to RLIMIT_MEMLOCK.
const MEMORY_CONTROLLER: (u32, u32) = (5, 11);
/// In percent.
const NEARLY_FULL: u64 = 80;
