//! `health_check`, of a service and of a backend.
//!
//! A backend's own check starts from its service's: what it does not say (an interval, the probe itself) is the service's.

use std::{net::IpAddr, time::Duration};

mod probe;

use super::{ms, secs, services::Front};
use crate::config::{
    model::{Backend, Check, HealthCheck, Probe, Protocol},
    tree::{Kind, Value},
    validate::address::{family, unicast},
    walk::{Cx, Fields, Item},
};

/// What the service says about its backends' checks.
pub(super) enum OfService {
    /// Nothing.
    Absent,
    /// `none`, or something wrong that was reported.
    Off,
    /// A check.
    Given(Check),
}

/// What a check is made of, apart from the probe.
#[derive(Clone)]
struct Timing {
    interval: Duration,
    timeout: Duration,
    retries: u32,
    retry_delay: Duration,
    rise: u32,
    source: Option<IpAddr>,
}

const DEFAULT: Timing = Timing {
    interval: secs(10),
    timeout: secs(3),
    retries: 1,
    retry_delay: secs(1),
    rise: 1,
    source: None,
};

/// Reads a service's `health_check`.
pub(super) fn of_service(cx: &mut Cx, service: &mut Fields<'_>, front: Front) -> OfService {
    let Some(item) = service.get("health_check") else {
        return OfService::Absent;
    };
    if is_none(&item) {
        return OfService::Off;
    }
    let fallback = by_protocol(front);
    read(&item, cx, &DEFAULT, fallback.as_ref()).map_or(OfService::Off, OfService::Given)
}

/// A backend's check: its own, else the service's, else that of its protocol.
pub(super) fn of_backend(
    cx: &mut Cx,
    backend: &mut Fields<'_>,
    service: &OfService,
    front: Front,
    address: Option<IpAddr>,
) -> HealthCheck {
    let Some(item) = backend.get("health_check") else {
        return match service {
            OfService::Absent => match by_protocol(front) {
                Some(probe) => HealthCheck::Default(DEFAULT.with(probe)),
                None => HealthCheck::Unset,
            },
            OfService::Off => HealthCheck::Off,
            OfService::Given(check) => HealthCheck::Explicit(for_family(check.clone(), address)),
        };
    };
    if is_none(&item) {
        return HealthCheck::Off;
    }
    let base = match service {
        OfService::Given(check) => Timing::of(&for_family(check.clone(), address)),
        OfService::Absent | OfService::Off => DEFAULT,
    };
    let fallback = match service {
        OfService::Given(check) => Some(check.probe.clone()),
        OfService::Absent | OfService::Off => by_protocol(front),
    };
    let Some(check) = read(&item, cx, &base, fallback.as_ref()) else {
        return HealthCheck::Off;
    };
    if let (Some(source), Some(address)) = (check.source, address)
        && family(source) != family(address)
    {
        let message = format!(
            "the source {source} is {}, the backend is {}",
            family(source),
            family(address)
        );
        item.child_or_self("source").error(cx, message);
    }
    HealthCheck::Explicit(check)
}

/// Reports a service's source address that fits none of its backends. (One that fits some is used for those.)
pub(super) fn check_source(
    cx: &mut Cx,
    service: &mut Fields<'_>,
    check: &OfService,
    backends: &[Backend],
) {
    let OfService::Given(Check {
        source: Some(source),
        ..
    }) = check
    else {
        return;
    };
    if backends.is_empty()
        || backends
            .iter()
            .any(|b| family(b.address) == family(*source))
    {
        return;
    }
    let Some(item) = service.get("health_check") else {
        return;
    };
    let message = format!("the source {source} is {}, no backend is", family(*source));
    item.child_or_self("source").error(cx, message);
}

/// The service's check as it applies to one backend: a source address of the other family is left to the kernel.
fn for_family(mut check: Check, address: Option<IpAddr>) -> Check {
    check.source = check
        .source
        .filter(|source| address.is_none_or(|a| family(a) == family(*source)));
    check
}

/// What is tried where the file says nothing.
fn by_protocol(front: Front) -> Option<Probe> {
    match front.protocol {
        Protocol::Tcp => Some(Probe::Tcp { port: None }),
        Protocol::Udp => None,
    }
}

fn is_none(item: &Item<'_>) -> bool {
    matches!(&item.node.value, Value::Scalar { text, kind: Kind::Text } if text == "none")
}

fn read(item: &Item<'_>, cx: &mut Cx, base: &Timing, fallback: Option<&Probe>) -> Option<Check> {
    if !item.is_map() {
        item.error(
            cx,
            "expected `none` or a mapping with one of tcp, http, https, dns, udp, ping or script",
        );
        return None;
    }
    let mut fields = item.fields(cx)?;
    let timing = timing(cx, &mut fields, base);
    let probe = probe::read(cx, &mut fields, fallback);
    fields.close(cx);
    probe.map(|probe| timing.with(probe))
}

fn timing(cx: &mut Cx, fields: &mut Fields<'_>, base: &Timing) -> Timing {
    Timing {
        interval: fields.or(cx, "interval", base.interval, |i, cx| {
            i.duration(cx, ms(50)..=secs(86_400))
        }),
        timeout: fields.or(cx, "timeout", base.timeout, |i, cx| {
            i.duration(cx, ms(10)..=secs(600))
        }),
        retries: fields.or(cx, "retries", base.retries, |i, cx| i.number(cx, 0..=1000)),
        retry_delay: fields.or(cx, "retry_delay", base.retry_delay, |i, cx| {
            i.duration(cx, Duration::ZERO..=secs(3600))
        }),
        rise: fields.or(cx, "rise", base.rise, |i, cx| i.number(cx, 1..=1000)),
        source: fields.maybe(cx, "source", unicast).or(base.source),
    }
}

impl Timing {
    fn of(check: &Check) -> Self {
        let Check {
            interval,
            timeout,
            retries,
            retry_delay,
            rise,
            source,
            ..
        } = *check;
        Self {
            interval,
            timeout,
            retries,
            retry_delay,
            rise,
            source,
        }
    }

    fn with(self, probe: Probe) -> Check {
        let Self {
            interval,
            timeout,
            retries,
            retry_delay,
            rise,
            source,
        } = self;
        Check {
            interval,
            timeout,
            retries,
            retry_delay,
            rise,
            source,
            probe,
        }
    }
}
