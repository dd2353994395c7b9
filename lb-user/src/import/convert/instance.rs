//! `vrrp_instance`.

use std::{net::IpAddr, time::Duration};

use super::{
    Cx, Statement,
    address::{self, Address},
    command::{Command, notify},
    global::{Garp, Sync},
    name,
    route::{self, Route},
    track::{self, Track},
    value::{ms, secs},
    walk::{Grammar, block, line},
};
use crate::import::finding::{Place, quote};

/// A virtual router as keepalived understands it.
pub(super) struct Instance {
    pub(super) at: Place,
    pub(super) name: String,
    /// The name in the file.
    pub(super) known_as: String,
    pub(super) master: bool,
    pub(super) interface: Option<String>,
    pub(super) id: Option<(u8, Place)>,
    pub(super) priority: Option<(u8, Place)>,
    pub(super) version: Option<u8>,
    /// Said to be IPv6, whatever its addresses are.
    pub(super) native_ipv6: bool,
    pub(super) interval: Option<(Duration, Place)>,
    pub(super) nopreempt: Option<Place>,
    pub(super) preempt_delay: Option<(Duration, Place)>,
    pub(super) source: Option<(IpAddr, Place)>,
    pub(super) peers: Vec<(IpAddr, Place)>,
    /// The peers' block, if there is one.
    pub(super) unicast: Option<Place>,
    /// A peer that adverts are only taken from with this TTL or more.
    pub(super) min_ttl: u8,
    pub(super) old_checksum: Option<Place>,
    /// Version 3 over IPv4 is summed without a pseudo-header.
    pub(super) bare_checksum: bool,
    /// That there is none is no mistake.
    pub(super) no_address: bool,
    pub(super) authentication: Option<Authentication>,
    pub(super) addresses: Vec<Address>,
    pub(super) excluded: Vec<Address>,
    pub(super) routes: Vec<Route>,
    pub(super) garp: Garp,
    pub(super) track: Track,
    pub(super) notify: Notify,
    pub(super) sync: Option<Sync>,
    /// An address that others depend on could not be read, or several statements were in one line.
    pub(super) broken: bool,
}

/// Who knows the password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Authentication {
    pub(super) ah: Option<Place>,
    pub(super) pass: Option<(String, Place)>,
}

/// Programs run at changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notify {
    pub(super) master: Option<Command>,
    pub(super) backup: Option<Command>,
    pub(super) fault: Option<Command>,
    pub(super) stop: Option<Command>,
    pub(super) any: Option<Command>,
}

/// Reads an instance.
pub(super) fn read(instances: &mut Vec<Instance>, s: &Statement, cx: &mut Cx<'_>) {
    if let Some(first) = instances.iter().find(|i| i.known_as == s.arg(0)) {
        let line = first.at.line;
        return cx.error(
            &s.at,
            format!(
                "{} is there already, in line {line}: the second one is left out",
                s.quoted()
            ),
        );
    }
    let mut instance = Instance {
        at: s.at.clone(),
        name: name(s.arg(0), "instance", &s.at, cx),
        known_as: s.arg(0).to_owned(),
        master: false,
        interface: None,
        id: None,
        priority: None,
        version: None,
        native_ipv6: false,
        interval: None,
        nopreempt: None,
        preempt_delay: None,
        source: None,
        peers: Vec::new(),
        unicast: None,
        min_ttl: 0,
        old_checksum: None,
        bare_checksum: false,
        no_address: false,
        authentication: None,
        addresses: Vec::new(),
        excluded: Vec::new(),
        routes: Vec::new(),
        garp: Garp::default(),
        track: Track::default(),
        notify: Notify::default(),
        sync: None,
        broken: false,
    };
    let walked = INSTANCE.walk(s.body(), &mut instance, cx);
    instance.broken |= walked.broken;
    instances.push(instance);
}

const GARP: &str = "announcements are sent as `garp` says";
const VMAC: &str = "the addresses are on the interface itself, with its own MAC, and are announced at each takeover";
const FIFO: &str = "there are no FIFOs; `notify` runs programs";

const INSTANCE: Grammar<Instance> = Grammar {
    takes: &[
        line("state", 1, 1, state),
        line("interface", 1, 1, |i, s, cx| {
            i.interface = cx.interface(s.arg(0), &s.at);
            i.broken |= i.interface.is_none();
        }),
        line("virtual_router_id", 1, 1, |i, s, cx| {
            i.id = cx
                .number(s, 0, 1..=255, "there is none")
                .map(|id| (id, s.at.clone()));
        }),
        line("priority", 1, 1, |i, s, cx| {
            let priority = cx
                .number(s, 0, 1..=255, "100 is taken, as in keepalived")
                .unwrap_or(100);
            i.priority = Some((priority, s.at.clone()));
        }),
        line("advert_int", 1, 1, |i, s, cx| {
            i.interval = cx
                .seconds(s, ms(10)..=secs(255), "1s is taken")
                .map(|t| (t, s.at.clone()));
        }),
        line("version", 1, 1, |i, s, cx| {
            i.version = cx.number(s, 0, 2..=3, "the default is taken");
        }),
        line("native_ipv6", 0, 0, |i, _, _| i.native_ipv6 = true),
        line("nopreempt", 0, 0, |i, s, _| {
            i.nopreempt = Some(s.at.clone());
        }),
        line("preempt", 0, 0, |i, _, _| i.nopreempt = None),
        line("preempt_delay", 1, 1, |i, s, cx| {
            i.preempt_delay = cx
                .seconds(s, Duration::ZERO..=secs(3600), "there is none")
                .map(|t| (t, s.at.clone()));
        }),
        line("mcast_src_ip", 1, 1, source),
        line("unicast_src_ip", 1, 1, source),
        block("unicast_peer", 0, 0, peers),
        line("old_unicast_checksum", 0, 1, |i, s, _| {
            i.old_checksum = (s.arg(0) != "never").then(|| s.at.clone());
        }),
        line("v3_checksum_as_v2", 0, 1, |i, s, cx| {
            i.bare_checksum = cx.switch(s);
        }),
        line("no_virtual_ipaddress", 0, 0, |i, _, _| i.no_address = true),
        block("authentication", 0, 0, |i, s, cx| {
            let mut found = Authentication::default();
            i.broken |= AUTHENTICATION.walk(s.body(), &mut found, cx).broken;
            i.authentication = Some(found);
        }),
        block("virtual_ipaddress", 0, 0, |i, s, cx| {
            address::read(&mut i.addresses, s, cx);
        }),
        block("virtual_ipaddress_excluded", 0, 0, |i, s, cx| {
            address::read(&mut i.excluded, s, cx);
        }),
        block("virtual_routes", 0, 0, |i, s, cx| {
            route::read(&mut i.routes, s, cx);
        }),
        block("track_interface", 0, 0, |i, s, cx| {
            track::read(&mut i.track.interfaces, s, cx);
        }),
        block("track_script", 0, 0, |i, s, cx| {
            track::read(&mut i.track.scripts, s, cx);
        }),
        block("track_process", 0, 0, |i, s, cx| {
            track::read(&mut i.track.processes, s, cx);
        }),
        block("track_file", 0, 0, |i, s, cx| {
            track::read(&mut i.track.files, s, cx);
        }),
        line("garp_master_delay", 1, 1, |i, s, cx| {
            i.garp.take_delay(s, cx);
        }),
        line("garp_master_repeat", 1, 1, |i, s, cx| {
            i.garp.take_repeat(s, cx);
        }),
        line("garp_master_refresh", 1, 1, |i, s, cx| {
            i.garp.take_refresh(s, cx);
        }),
        line("notify_master", 1, 3, |i, s, cx| {
            i.notify.master = notify(s, cx);
        }),
        line("notify_backup", 1, 3, |i, s, cx| {
            i.notify.backup = notify(s, cx);
        }),
        line("notify_fault", 1, 3, |i, s, cx| {
            i.notify.fault = notify(s, cx);
        }),
        line("notify_stop", 1, 3, |i, s, cx| {
            i.notify.stop = notify(s, cx);
        }),
        line("notify", 1, 3, |i, s, cx| i.notify.any = notify(s, cx)),
        line("lvs_sync_daemon_interface", 1, 1, |i, s, cx| {
            cx.warn(&s.at, "`lvs_sync_daemon_interface` is an old way to write `lvs_sync_daemon`: `ipvs.sync` is written");
            let interface = cx.interface(s.arg(0), &s.at);
            i.sync = interface.map(|interface| Sync {
                at: s.at.clone(),
                interface,
                instance: Some(i.known_as.clone()),
                id: None,
            });
        }),
        line("smtp_alert", 0, 1, alert_switch),
    ],
    old: &[("vmac_garp_intvl", "garp_extra_if")],
    without: &[
        (
            "auth_hmac",
            "adverts are neither signed nor checked, and a keepalived that insists on it does not hear them",
        ),
        (
            "timer_expired_backup",
            "a master that wakes late goes on, unless it hears a higher priority",
        ),
        ("debug", "`RUST_LOG` says how much is logged"),
        (
            "dont_track_primary",
            "an instance whose own interface is down is in FAULT",
        ),
        (
            "down_timer_adverts",
            "a master counts as dead after three adverts and the skew, as the standard says: other routers must do so, too",
        ),
        ("garp_extra_if", GARP),
        ("garp_lower_prio_delay", GARP),
        ("garp_lower_prio_repeat", GARP),
        ("garp_master_refresh_repeat", GARP),
        (
            "higher_prio_send_advert",
            "a master that hears a higher priority is silent, as the standard says",
        ),
        ("kernel_rx_buf_size", "buffers have their size"),
        ("linkbeat_use_polling", "the kernel says which links are up"),
        (
            "lower_prio_no_advert",
            "a master that hears a lower priority goes on, as the standard says",
        ),
        (
            "mcast_dst_ip",
            "adverts go to the standard's group (224.0.0.18, ff02::12); other routers must use it, too",
        ),
        (
            "no_accept",
            "virtual addresses answer on a master that does not own them",
        ),
        (
            "notify_deleted",
            "an instance that is removed from the file stops: `notify.stop` runs",
        ),
        (
            "notify_master_rx_lower_pri",
            "`notify` runs at changes of the role only",
        ),
        ("notify_priority_changes", FIFO),
        (
            "promote_secondaries",
            "addresses of one network are added and removed each by itself; set net.ipv4.conf.IF.promote_secondaries if others are to survive",
        ),
        (
            "skip_check_adv_addr",
            "addresses in adverts are compared each time, which is cheap",
        ),
        (
            "strict_mode",
            "adverts follow the standard; `check` refuses what it forbids, and virtual addresses answer on a master that does not own them",
        ),
        ("track_bfd", "track a script that asks the BFD daemon"),
        (
            "track_src_ip",
            "an instance sends from an address of its interface, or is in FAULT",
        ),
        ("unicast_ttl", "adverts are sent with TTL 255"),
        ("use_ipvlan", VMAC),
        ("use_vmac", VMAC),
        ("use_vmac_addr", VMAC),
        (
            "virtual_rules",
            "rules belong to `notify` scripts, or to the host's network configuration",
        ),
        ("vmac_xmit_base", VMAC),
        ("vrf", "give the `interface` in the VRF"),
    ],
    same: &["accept", "check_unicast_src", "unicast_fault_no_peer"],
};

const AUTHENTICATION: Grammar<Authentication> = Grammar {
    takes: &[
        line("auth_type", 1, 1, |a, s, cx| match s.arg(0) {
            "AH" => a.ah = Some(s.at.clone()),
            "PASS" => {}
            other => cx.warn(
                &s.at,
                format!("`auth_type {other}` is neither PASS nor AH: taken as PASS"),
            ),
        }),
        line("auth_pass", 1, 1, |a, s, _| {
            a.pass = Some((s.arg(0).to_owned(), s.at.clone()));
        }),
    ],
    old: &[],
    without: &[],
    same: &[],
};

fn state(i: &mut Instance, s: &Statement, cx: &mut Cx<'_>) {
    match s.arg(0) {
        "MASTER" => i.master = true,
        "BACKUP" => i.master = false,
        other => {
            cx.warn(
                &s.at,
                format!(
                    "{} is neither MASTER nor BACKUP: taken as BACKUP, as in keepalived",
                    quote(&format!("state {other}"))
                ),
            );
        }
    }
}

fn source(i: &mut Instance, s: &Statement, cx: &mut Cx<'_>) {
    match cx.address(s, 0) {
        Some(address) => i.source = Some((address, s.at.clone())),
        None => i.broken = true,
    }
}

fn peers(i: &mut Instance, s: &Statement, cx: &mut Cx<'_>) {
    i.unicast = Some(s.at.clone());
    for item in s.body() {
        if i.peers.len() >= super::MANY {
            return super::too_many(item, "peers", cx);
        }
        let Ok(address) = item.keyword().parse::<IpAddr>() else {
            cx.error(
                &item.at,
                format!("{} is no IP address of a peer", quote(item.keyword())),
            );
            i.broken = true;
            continue;
        };
        if i.peers.iter().any(|(known, _)| *known == address) {
            cx.warn(
                &item.at,
                format!("the peer {address} is listed twice: taken once"),
            );
            continue;
        }
        i.peers.push((address, item.at.clone()));
        for option in item.args().chunks(2) {
            peer_option(i, address, option, item, cx);
        }
    }
}

fn peer_option(
    i: &mut Instance,
    peer: IpAddr,
    option: &[String],
    item: &Statement,
    cx: &mut Cx<'_>,
) {
    let [word, rest @ ..] = option else {
        return;
    };
    let ttl = rest.first().and_then(|n| n.parse::<u8>().ok());
    match (word.as_str(), ttl) {
        ("min_ttl", Some(ttl)) => i.min_ttl = i.min_ttl.max(ttl),
        (other, _) if other.parse::<IpAddr>().is_ok() => {
            let message = format!(
                "{} is behind another peer, give it a line of its own",
                quote(other)
            );
            cx.error(&item.at, message);
            i.broken = true;
        }
        _ => {
            let shown = quote(&option.join(" "));
            cx.warn(
                &item.at,
                format!("{shown} has no equal: adverts of {peer} are taken without it"),
            );
        }
    }
}

pub(super) fn alert_switch<T>(_: &mut T, s: &Statement, cx: &mut Cx<'_>) {
    if !cx.switch(s) {
        cx.warn(
            &s.at,
            "`smtp_alert` off has no equal: who gets mail gets all of it",
        );
    }
}
