//! `ballast realserver check`: what is missing, without touching anything.

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::decap::DecapCounters;
use serde::Serialize;

use super::{
    Places, Wish, balancer,
    facts::{Facts, FactsError},
    kernel, program,
    record::{self, Devices, RecordError, Tunnel},
    sysctl,
};
use crate::net::Net;

/// One thing that has to be so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What has to be.
    pub what: String,
    /// Whether it is.
    pub ok: bool,
    /// What is instead, or why it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// The whole of it.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// Nothing is missing.
    pub ok: bool,
    /// For which addresses.
    pub vips: Vec<IpAddr>,
    /// One by one.
    pub findings: Vec<Finding>,
    /// What our own end of the tunnel did so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Unwrapped>,
}

/// Counters of the decapsulation program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Unwrapped {
    /// Packets unwrapped.
    pub packets: u64,
    /// Their inner lengths.
    pub bytes: u64,
    /// Dropped: sent by nobody on the list.
    pub source_refused: u64,
    /// Dropped: fragments of outer packets.
    pub fragment: u64,
    /// Dropped: lengths that contradict each other.
    pub malformed: u64,
    /// Dropped: marked as congested for a flow that knows no marks.
    pub congestion: u64,
    /// Dropped: too short.
    pub no_room: u64,
}

/// Looks whether this host is a real server of `wish.vips`, or of all that are up where none is named.
///
/// # Errors
/// The host cannot be looked at, or nothing is named and nothing is up.
pub async fn check(net: &Net, places: &Places, wish: &Wish) -> Result<Checked, CheckError> {
    let facts = Facts::read(net).await?;
    let record = record::read(&places.runtime_dir)?;
    let mut vips = wish.vips.clone();
    if vips.is_empty() {
        vips = record.vips.keys().copied().collect();
    }
    if vips.is_empty() {
        return Err(CheckError::NoVips);
    }
    let mut findings = Vec::new();
    if let Err(error) = balancer::refuse(places, &facts, &vips) {
        findings.push(Finding {
            what: "this host is no balancer of the address".to_owned(),
            ok: false,
            why: Some(error.to_string()),
            remedy: None,
        });
    }
    findings.extend(vips.iter().map(|vip| address(&facts, *vip)));
    if vips.iter().any(IpAddr::is_ipv4) {
        findings.extend(sysctls(&facts, wish)?);
    }
    let tunnelled: BTreeSet<IpAddr> = vips
        .iter()
        .copied()
        .filter(|vip| wish.tunnel || record.vips.get(vip).is_some_and(|vip| vip.tunnel))
        .collect();
    let mut counters = None;
    if !tunnelled.is_empty() {
        match &record.tunnel {
            Some(Tunnel::Kernel(devices)) => {
                findings.extend(kernel_devices(&facts, &tunnelled, devices));
            }
            _ => counters = own(places, &facts, wish, &tunnelled, &mut findings)?,
        }
    }
    Ok(Checked {
        ok: findings.iter().all(|finding| finding.ok),
        vips,
        findings,
        tunnel: counters.as_ref().map(Unwrapped::from),
    })
}

/// Nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// This host could not be looked at.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Nothing to look for.
    #[error("nothing is up here that `ballast realserver up` set up; name an address with `--vip`")]
    NoVips,
}

fn address(facts: &Facts, vip: IpAddr) -> Finding {
    let what = format!("{vip} is on lo");
    let up = || Some(format!("ballast realserver up --vip {vip}"));
    match facts.on_loopback(vip) {
        None => Finding {
            what,
            ok: false,
            why: Some("packets for it are not taken".to_owned()),
            remedy: up(),
        },
        Some(found) if !found.is_single() => Finding {
            what: format!("{what} alone"),
            ok: false,
            why: Some(format!(
                "/{} makes its whole network local to this host",
                found.prefix
            )),
            remedy: Some(format!("ip address del {vip}/{} dev lo", found.prefix)),
        },
        Some(found) => Finding {
            what,
            ok: true,
            why: (!found.no_source).then(|| {
                "the kernel may take it as the source of this host's own connections".to_owned()
            }),
            remedy: None,
        },
    }
}

fn sysctls(facts: &Facts, wish: &Wish) -> Result<Vec<Finding>, FactsError> {
    let arrivals = facts.arrivals(&wish.interfaces)?;
    let names: Vec<_> = arrivals.into_iter().map(|(_, name)| name).collect();
    let wanted = sysctl::wanted(&sysctl::read, &names);
    let finding = |wanted: sysctl::Wanted| {
        let name = sysctl::shown(&wanted.key);
        let is = wanted.is.map_or("missing".to_owned(), |is| is.to_string());
        match wanted.becomes {
            None => Finding {
                what: format!("{name} is {is}"),
                ok: true,
                why: None,
                remedy: None,
            },
            Some(value) => Finding {
                what: format!("{name} is {value}"),
                ok: false,
                why: Some(format!("it is {is}: {}", wanted.why)),
                remedy: Some(format!("sysctl -w {name}={value}")),
            },
        }
    };
    Ok(wanted.into_iter().map(finding).collect())
}

/// Our own end of the tunnel; its counters.
fn own(
    places: &Places,
    facts: &Facts,
    wish: &Wish,
    vips: &BTreeSet<IpAddr>,
    findings: &mut Vec<Finding>,
) -> Result<Option<DecapCounters>, FactsError> {
    let remedy = || Some("ballast realserver up --tunnel --vip … --from …".to_owned());
    let mut add = |what: String, ok: bool, why: &str| {
        findings.push(Finding {
            what,
            ok,
            why: (!ok).then(|| why.to_owned()),
            remedy: if ok { None } else { remedy() },
        });
    };
    let Some(seen) = program::look(&places.bpffs_dir) else {
        let ok = kernel_unwraps(facts);
        let why = "neither a device of the kernel nor our program does";
        add("tunnelled packets are unwrapped".to_owned(), ok, why);
        return Ok(None);
    };
    for (index, name) in facts.arrivals(&wish.interfaces)? {
        let ok = seen.interfaces.contains(&index);
        let why = "tunnelled packets that arrive there are not unwrapped";
        add(format!("the decapsulation program is on {name}"), ok, why);
    }
    for vip in vips {
        let ok = seen.contents.vips.contains(vip);
        let why = "the program does not know the address";
        add(
            format!("tunnelled packets for {vip} are unwrapped"),
            ok,
            why,
        );
    }
    for host in facts.hosts().difference(vips) {
        let ok = seen.contents.hosts.contains(host);
        let why = "this host got the address after the program was told";
        add(format!("tunnels may end at {host}"), ok, why);
    }
    let sources: BTreeSet<_> = wish.sources.iter().map(ipnet::IpNet::trunc).collect();
    for source in &sources {
        let ok = seen.contents.sources.contains(source);
        let why = "the program refuses it";
        add(
            format!("tunnelled packets from {source} are taken"),
            ok,
            why,
        );
    }
    if seen.contents.sources.is_empty() {
        add(
            "balancers are known".to_owned(),
            false,
            "all tunnelled packets are refused",
        );
    }
    Ok(Some(seen.counters))
}

/// Whether some device of the kernel unwraps, whoever made it.
fn kernel_unwraps(facts: &Facts) -> bool {
    let kinds = kernel::KINDS.map(|kind| kind.name());
    let mut links = facts.links.iter();
    links.any(|link| {
        link.up
            && link
                .kind
                .as_deref()
                .is_some_and(|kind| kinds.contains(&kind))
    })
}

fn kernel_devices(facts: &Facts, vips: &BTreeSet<IpAddr>, devices: &Devices) -> Vec<Finding> {
    let mut names: Vec<String> = kernel::devices(vips, &devices.sources)
        .into_iter()
        .map(|(name, ..)| name.to_string())
        .collect();
    names.extend(devices.raised.iter().cloned());
    let finding = |name: &String| {
        let mut links = facts.links.iter();
        let ok = links.any(|link| link.name.as_str() == name && link.up);
        Finding {
            what: format!("the tunnel device {name} is up"),
            ok,
            why: (!ok).then(|| "tunnelled packets are not unwrapped".to_owned()),
            remedy: (!ok).then(|| "ballast realserver up --tunnel --vip …".to_owned()),
        }
    };
    let mut findings: Vec<Finding> = names.iter().map(finding).collect();
    if vips.iter().any(IpAddr::is_ipv4) {
        let scopes = names.iter().map(String::as_str).chain(["all"]);
        findings.extend(scopes.map(unchecked));
    }
    findings
}

/// No check of sources for what comes out of a tunnel device.
fn unchecked(scope: &str) -> Finding {
    let key = sysctl::rp_filter(scope);
    let name = sysctl::shown(&key);
    let is = sysctl::read(&key).unwrap_or(0);
    Finding {
        what: format!("{name} is 0"),
        ok: is == 0,
        why: (is != 0).then(|| format!("it is {is}: what comes out of the tunnel is refused")),
        remedy: (is != 0).then(|| format!("sysctl -w {name}=0")),
    }
}

impl From<&DecapCounters> for Unwrapped {
    fn from(counters: &DecapCounters) -> Self {
        let DecapCounters {
            packets,
            bytes,
            source_refused,
            fragment,
            malformed,
            congestion,
            no_room,
            reserved: _,
        } = *counters;
        Self {
            packets,
            bytes,
            source_refused,
            fragment,
            malformed,
            congestion,
            no_room,
        }
    }
}
