//! The sections `vrrp_instances` and `vrrp_sync_groups`.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use super::{
    address::{family as family_word, unicast},
    at_most, ms,
    names::Names,
    secs, track, virtuals,
};
use crate::{
    config::{
        limits,
        model::{
            Checksum, Family, Garp, InitialState, Notify, Password, Script, SyncGroup, Unicast,
            VrrpInstance, VrrpVersion,
        },
        walk::{Cx, Fields, Item},
    },
    types::{IfName, Priority, RouterId},
};

/// What instances may not share.
#[derive(Default)]
struct Taken {
    routers: HashMap<(IfName, Family, RouterId), u32>,
    addresses: HashMap<IpAddr, u32>,
}

/// Reads `vrrp_instances`.
pub(super) fn instances(
    cx: &mut Cx,
    root: &mut Fields<'_>,
    names: &Names,
    scripts: &[Script],
) -> Vec<VrrpInstance> {
    at_most(cx, root, "vrrp_instances", limits::INSTANCES);
    let mut taken = Taken::default();
    root.each(cx, "vrrp_instances", "instances", |item, cx| {
        instance(item, cx, names, scripts, &mut taken)
    })
}

fn instance(
    item: &Item<'_>,
    cx: &mut Cx,
    names: &Names,
    scripts: &[Script],
    taken: &mut Taken,
) -> Option<VrrpInstance> {
    let mut fields = item.fields(cx)?;
    let name = fields.need(cx, "name").and_then(|item| item.parsed(cx));
    let interface: Option<IfName> = fields
        .need(cx, "interface")
        .and_then(|item| item.parsed(cx));
    let virtual_router_id = fields
        .need(cx, "virtual_router_id")
        .and_then(|item| item.number(cx, 1..=255))
        .and_then(RouterId::new);
    let version = fields.or(cx, "version", VrrpVersion::V2, Item::word);
    let initial_state = fields.or(cx, "initial_state", InitialState::Backup, Item::word);
    let priority = fields.or(cx, "priority", Priority::DEFAULT, |item, cx| {
        item.number(cx, 1..=255)
            .map(|n| Priority::new(n).unwrap_or(Priority::OWNER))
    });
    let advertisement_interval = interval(cx, &mut fields, version);
    let (preempt, preempt_delay) = preemption(cx, &mut fields, initial_state, priority);
    let family = family(&mut fields);
    let checksum = checksum(cx, &mut fields, version, family);
    let (unicast_source, unicast) = unicast_peers(cx, &mut fields, family);
    let authentication = fields.maybe(cx, "authentication", |item, cx| {
        authentication(item, cx, version)
    });
    check_family(cx, &mut fields, version, family);
    let virtual_addresses = virtuals::addresses(cx, &mut fields, family, &mut taken.addresses);
    let virtual_routes = virtuals::routes(cx, &mut fields);
    let garp = garp(cx, &mut fields);
    let track = track::read(cx, &mut fields, names, scripts);
    let notify = fields.or(cx, "notify", Notify::default(), notify);
    check_router(
        cx,
        &mut fields,
        &interface,
        family,
        virtual_router_id,
        taken,
    );
    fields.close(cx);
    Some(VrrpInstance {
        name: name?,
        interface: interface?,
        virtual_router_id: virtual_router_id?,
        family,
        version,
        initial_state,
        priority,
        advertisement_interval,
        preempt,
        preempt_delay,
        checksum,
        unicast_source,
        unicast,
        authentication,
        virtual_addresses,
        virtual_routes,
        garp,
        track,
        notify,
    })
}

/// Version 2 has whole seconds in one byte (RFC 3768 section 5.3.7), version 3 hundredths in twelve bits (RFC 9568 section 5.2.7).
fn interval(cx: &mut Cx, fields: &mut Fields<'_>, version: VrrpVersion) -> Duration {
    let (allowed, step) = match version {
        VrrpVersion::V2 => (ms(1)..=secs(255), secs(1)),
        VrrpVersion::V3 => (ms(10)..=ms(40_950), ms(10)),
    };
    fields.or(cx, "advertisement_interval", secs(1), |item, cx| {
        let interval = item.duration(cx, allowed)?;
        if !interval.as_nanos().is_multiple_of(step.as_nanos()) {
            item.error(
                cx,
                match version {
                    VrrpVersion::V2 => {
                        "version 2 has whole seconds only, use `version: 3` for less"
                    }
                    VrrpVersion::V3 => "version 3 has steps of 10ms",
                },
            );
        }
        Some(interval)
    })
}

fn preemption(
    cx: &mut Cx,
    fields: &mut Fields<'_>,
    initial: InitialState,
    priority: Priority,
) -> (bool, Duration) {
    let preempt = fields.or(cx, "preempt", true, |item, cx| {
        let preempt = item.flag(cx)?;
        if !preempt && priority == Priority::OWNER {
            item.error(
                cx,
                "false with priority 255: the owner of the addresses always takes over",
            );
        } else if !preempt && initial == InitialState::Master {
            item.warn(
                cx,
                "false with `initial_state: master`: a living master is followed at the start too, whatever its priority; only the wait for one is shorter",
            );
        }
        Some(preempt)
    });
    let delay = fields.or(cx, "preempt_delay", Duration::ZERO, |item, cx| {
        let delay = item.duration(cx, Duration::ZERO..=secs(3600))?;
        if !preempt && !delay.is_zero() {
            item.warn(cx, "has no effect with `preempt: false`");
        }
        Some(delay)
    });
    (preempt, delay)
}

/// The family that the instance's first good address says it has; without one, IPv4.
fn family(fields: &mut Fields<'_>) -> Family {
    let first = virtuals::first_address(fields)
        .or_else(|| fields.get("unicast_source")?.as_scalar()?.parse().ok())
        .or_else(|| {
            virtuals::first_of(&fields.get("unicast_peers")?)?
                .parse()
                .ok()
        });
    first.map_or(Family::V4, Family::of)
}

fn check_family(cx: &mut Cx, fields: &mut Fields<'_>, version: VrrpVersion, family: Family) {
    if version == VrrpVersion::V2 && family == Family::V6 {
        match fields.get("version") {
            Some(item) => item.error(cx, "version 2 has no IPv6, use `version: 3`"),
            None => cx.error(
                fields.at,
                &format!("{}.version", fields.path),
                "the default is 2, which has no IPv6: give `version: 3`",
            ),
        }
    }
}

fn checksum(
    cx: &mut Cx,
    fields: &mut Fields<'_>,
    version: VrrpVersion,
    family: Family,
) -> Checksum {
    fields.or(cx, "checksum", Checksum::Auto, |item, cx| {
        let checksum = item.word(cx)?;
        if checksum != Checksum::Auto && (version == VrrpVersion::V2 || family == Family::V6) {
            item.warn(cx, "has an effect in version 3 over IPv4 only");
        }
        Some(checksum)
    })
}

fn unicast_peers(
    cx: &mut Cx,
    fields: &mut Fields<'_>,
    family: Family,
) -> (Option<IpAddr>, Option<Unicast>) {
    let of_family = |item: &Item<'_>, cx: &mut Cx| {
        let address = unicast(item, cx)?;
        if Family::of(address) != family {
            item.error(
                cx,
                format!(
                    "{address} is {}, the instance is {family}",
                    family_word(address)
                ),
            );
        }
        Some(address)
    };
    let source = fields.maybe(cx, "unicast_source", of_family);
    let mut seen = HashSet::new();
    let peers = fields.each(cx, "unicast_peers", "addresses", |item, cx| {
        let address = of_family(item, cx)?;
        if Some(address) == source {
            item.error(
                cx,
                format!("{address} is this node's `unicast_source`, expected the other nodes only"),
            );
        } else if !seen.insert(address) {
            item.error(cx, format!("{address} is listed twice"));
        }
        Some(address)
    });
    let ttl_check = fields.or(cx, "unicast_ttl_check", true, |item, cx| {
        if peers.is_empty() {
            item.warn(cx, "has no effect without `unicast_peers`");
        }
        item.flag(cx)
    });
    (
        source,
        (!peers.is_empty()).then_some(Unicast { peers, ttl_check }),
    )
}

fn authentication(item: &Item<'_>, cx: &mut Cx, version: VrrpVersion) -> Option<Password> {
    let mut fields = item.fields(cx)?;
    let pass = fields.need(cx, "pass").and_then(|item| {
        let pass = item.some_text(cx)?;
        if pass.len() > PASSWORD_BYTES {
            let message = format!(
                "{} bytes, only the first {PASSWORD_BYTES} are sent",
                pass.len()
            );
            item.warn(cx, message);
        }
        Password::new(pass.to_owned())
    });
    if version == VrrpVersion::V3 {
        fields.error(
            cx,
            "version 3 has no authentication, remove it or use `version: 2`",
        );
    }
    fields.close(cx);
    pass
}

fn garp(cx: &mut Cx, fields: &mut Fields<'_>) -> Garp {
    let absent = Garp {
        repeat: 5,
        delay: secs(5),
        refresh: Duration::ZERO,
    };
    fields.or(cx, "garp", absent, |item, cx| {
        let mut fields = item.fields(cx)?;
        let garp = Garp {
            repeat: fields.or(cx, "repeat", absent.repeat, |item, cx| {
                item.number(cx, 1..=100)
            }),
            delay: fields.or(cx, "delay", absent.delay, |item, cx| {
                item.duration(cx, Duration::ZERO..=secs(3600))
            }),
            refresh: fields.or(cx, "refresh", absent.refresh, |item, cx| {
                let refresh = item.duration(cx, Duration::ZERO..=secs(86_400))?;
                if !refresh.is_zero() && refresh < secs(1) {
                    item.error(
                        cx,
                        "less than a second, expected `0s` (never) or at least `1s`",
                    );
                }
                Some(refresh)
            }),
        };
        fields.close(cx);
        Some(garp)
    })
}

fn notify(item: &Item<'_>, cx: &mut Cx) -> Option<Notify> {
    let mut fields = item.fields(cx)?;
    let notify = Notify {
        master: fields.maybe(cx, "master", Item::command),
        backup: fields.maybe(cx, "backup", Item::command),
        fault: fields.maybe(cx, "fault", Item::command),
        stop: fields.maybe(cx, "stop", Item::command),
        any: fields.maybe(cx, "any", Item::command),
    };
    fields.close(cx);
    Some(notify)
}

fn check_router(
    cx: &mut Cx,
    fields: &mut Fields<'_>,
    interface: &Option<IfName>,
    family: Family,
    id: Option<RouterId>,
    taken: &mut Taken,
) {
    let (Some(interface), Some(id), Some(item)) = (interface, id, fields.get("virtual_router_id"))
    else {
        return;
    };
    match taken.routers.get(&(interface.clone(), family, id)) {
        Some(line) => {
            let message = format!(
                "{id} is taken on `{interface}` for {family}, by line {line}: use another one"
            );
            item.error(cx, message);
        }
        None => {
            taken
                .routers
                .insert((interface.clone(), family, id), item.node.at.line);
        }
    }
}

/// Reads `vrrp_sync_groups`.
pub(super) fn sync_groups(cx: &mut Cx, root: &mut Fields<'_>, names: &Names) -> Vec<SyncGroup> {
    let mut grouped: HashMap<String, u32> = HashMap::new();
    root.each(cx, "vrrp_sync_groups", "sync groups", |item, cx| {
        let mut fields = item.fields(cx)?;
        let name = fields.need(cx, "name").and_then(|item| item.parsed(cx));
        if let Some(item) = fields.need(cx, "members").filter(Item::is_empty_list) {
            item.error(cx, "empty, expected names of instances");
        }
        let members = fields.each(cx, "members", "names of instances", |item, cx| {
            let member = item.parsed(cx)?;
            names.instance(cx, item);
            let text = item.as_scalar()?.to_owned();
            let line = item.node.at.line;
            if let Some(first) = grouped.get(&text) {
                item.error(
                    cx,
                    format!("`{text}` is in a group already, in line {first}: it can be in one"),
                );
            }
            grouped.entry(text).or_insert(line);
            Some(member)
        });
        if let ([_], Some(item)) = (members.as_slice(), fields.get("members")) {
            item.warn(cx, "a group of one member does nothing");
        }
        let notify = fields.or(cx, "notify", Notify::default(), notify);
        fields.close(cx);
        Some(SyncGroup {
            name: name?,
            members,
            notify,
        })
    })
}

/// Bytes of a password in an advert (RFC 2338 section 5.3.10).
const PASSWORD_BYTES: usize = 8;
