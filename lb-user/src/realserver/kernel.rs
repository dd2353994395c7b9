//! The kernel's end of the tunnel: one device for each balancer and kind of packet, which takes nothing
//! from others; or, where nobody was named, the devices that the kernel's modules bring, which take
//! packets from everybody.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::{facts::Facts, record::Devices, sysctl};
use crate::{
    net::{
        Net,
        tunnel::{TunnelError, TunnelKind},
    },
    types::IfName,
};

/// All kinds.
pub(super) const KINDS: [TunnelKind; 3] =
    [TunnelKind::V4InV4, TunnelKind::V6InV4, TunnelKind::AnyInV6];

/// The kinds that packets for `vips` from outer sources of these families come in.
pub(super) fn kinds(vips: &BTreeSet<IpAddr>, outer_v4: bool, outer_v6: bool) -> Vec<TunnelKind> {
    let v4 = vips.iter().any(IpAddr::is_ipv4);
    let v6 = vips.iter().any(IpAddr::is_ipv6);
    let needed = |kind: &TunnelKind| match kind {
        TunnelKind::V4InV4 => outer_v4 && v4,
        TunnelKind::V6InV4 => outer_v4 && v6,
        TunnelKind::AnyInV6 => outer_v6 && (v4 || v6),
    };
    KINDS.into_iter().filter(needed).collect()
}

/// The devices for these sources: a name that tells both, the kind, the balancer.
pub(super) fn devices(
    vips: &BTreeSet<IpAddr>,
    sources: &[IpNet],
) -> Vec<(IfName, TunnelKind, IpAddr)> {
    let mut all = Vec::new();
    for (n, source) in sources.iter().enumerate() {
        let address = source.addr();
        for kind in kinds(vips, address.is_ipv4(), address.is_ipv6()) {
            let name = format!("ballast-{}{n}", kind.name().replace("ip6tnl", "ip6"));
            // At most 15 characters up to 10,000 balancers.
            if let Ok(name) = name.parse() {
                all.push((name, kind, address));
            }
        }
    }
    all
}

/// Whether every source is one address: a device has one peer.
pub(super) fn can_name(sources: &[IpNet]) -> bool {
    sources
        .iter()
        .all(|source| source.prefix_len() == source.max_prefix_len())
}

/// Enters into `record` what [`ensure`] is going to do.
pub(super) fn plan(facts: &Facts, vips: &BTreeSet<IpAddr>, record: &mut Devices) {
    let there = |name: &str| facts.links.iter().find(|link| link.name.as_str() == name);
    let enter = |list: &mut Vec<String>, name: &str| {
        if !list.iter().any(|known| known == name) {
            list.push(name.to_owned());
        }
    };
    let wanted = devices(vips, &record.sources);
    for (name, kind, _) in &wanted {
        if there(name.as_str()).is_none() {
            enter(&mut record.made, name.as_str());
        }
        // Loading a module makes its own device, too.
        if there(kind.fallback()).is_none() {
            enter(&mut record.modules, kind.module());
        }
    }
    if wanted.is_empty() {
        for kind in kinds(vips, true, true) {
            match there(kind.fallback()) {
                Some(link) if link.up => continue,
                Some(_) => {}
                None => enter(&mut record.modules, kind.module()),
            }
            enter(&mut record.raised, kind.fallback());
        }
    }
}

/// Makes and sets up what is missing.
pub(super) async fn ensure(
    net: &Net,
    facts: &Facts,
    vips: &BTreeSet<IpAddr>,
    record: &Devices,
    done: &mut Vec<String>,
) -> Result<(), TunnelError> {
    let wanted = devices(vips, &record.sources);
    if wanted.is_empty() {
        return raise_fallbacks(net, facts, &kinds(vips, true, true), done).await;
    }
    for (name, kind, remote) in wanted {
        if net.add_tunnel(kind, &name, remote).await? {
            done.push(format!("added {name}: {} from {remote}", kind.name()));
        }
        up(net, &name).await?;
    }
    Ok(())
}

async fn raise_fallbacks(
    net: &Net,
    facts: &Facts,
    kinds: &[TunnelKind],
    done: &mut Vec<String>,
) -> Result<(), TunnelError> {
    for kind in kinds {
        let name: IfName = kind.fallback().parse().expect("a short word");
        let there = facts.links.iter().find(|link| link.name == name);
        if there.is_some_and(|link| link.up) {
            continue;
        }
        if there.is_none() {
            // Asking for the device that the module makes anyway loads the module.
            net.add_tunnel(*kind, &name, any(*kind)).await?;
        }
        up(net, &name).await?;
        done.push(format!("set {name} up, which takes packets from everybody"));
    }
    Ok(())
}

/// Sets a device up, and its check of sources off: one without an address of its own refuses all that
/// comes out of it, even by the loose check (`__fib_validate_source` in `net/ipv4/fib_frontend.c`).
async fn up(net: &Net, name: &IfName) -> Result<(), TunnelError> {
    if let Ok(link) = net.link(name).await {
        net.set_up(link.index, name, true).await?;
    }
    // The setting goes with the device; that of a device of others is on record by now.
    drop(sysctl::write(&sysctl::rp_filter(name.as_str()), 0));
    Ok(())
}

/// The check of sources that holds for all interfaces, where it would refuse what comes out of a tunnel
/// device.
pub(super) fn refused_by_all() -> Option<i64> {
    sysctl::read(&sysctl::rp_filter("all")).filter(|is| *is != 0)
}

/// Takes back what `record` names; what could not be is left in there, with the reasons.
pub(super) async fn undo(net: &Net, record: &mut Devices, done: &mut Vec<String>) -> Vec<String> {
    let mut failures = Vec::new();
    let mut left = Vec::new();
    for name in std::mem::take(&mut record.made) {
        let Ok(device) = name.parse::<IfName>() else {
            continue;
        };
        match net.remove_tunnel(&device).await {
            Ok(true) => done.push(format!("removed {name}")),
            Ok(false) => {}
            Err(error) => {
                failures.push(crate::net::chain(&error));
                left.push(name);
            }
        }
    }
    record.made = left;
    for name in std::mem::take(&mut record.raised) {
        let Ok(device) = name.parse::<IfName>() else {
            continue;
        };
        if let Ok(link) = net.link(&device).await {
            match net.set_up(link.index, &device, false).await {
                Ok(()) => done.push(format!("set down {name}")),
                Err(error) => {
                    failures.push(crate::net::chain(&error));
                    record.raised.push(name);
                }
            }
        }
    }
    if failures.is_empty() {
        for module in std::mem::take(&mut record.modules) {
            // Somebody else may use it by now, and then it is not ours to remove.
            if let Ok(name) = std::ffi::CString::new(module.clone())
                && nix::kmod::delete_module(&name, nix::kmod::DeleteModuleFlags::O_NONBLOCK).is_ok()
            {
                done.push(format!("unloaded {module}"));
            }
        }
    }
    failures
}

fn any(kind: TunnelKind) -> IpAddr {
    match kind {
        TunnelKind::AnyInV6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => std::net::Ipv4Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests;
