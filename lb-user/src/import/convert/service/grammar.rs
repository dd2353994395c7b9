//! The keywords of virtual and real servers.

use std::{net::IpAddr, time::Duration};

use super::{Backend, Fallback, Method, Protocol, Service, scheduler};
use crate::import::{
    convert::{
        Cx, Statement,
        check::{self, ALPHA, WARMUP},
        command::notify,
        instance::alert_switch,
        value::secs,
        walk::{ANY, Grammar, block, either, line},
    },
    finding::quote,
};

/// Of `virtual_server`.
pub(super) const SERVICE: Grammar<Service> = Grammar {
    takes: &[
        line("lb_algo", 1, 1, algorithm),
        line("lvs_sched", 1, 1, algorithm),
        line("lb_kind", 1, ANY, |v, s, cx| v.method = method(s, cx)),
        line("lvs_method", 1, ANY, |v, s, cx| v.method = method(s, cx)),
        line("mh-port", 0, 0, |v, _, _| v.mh_port = true),
        line("sh-port", 0, 0, |v, _, _| v.sh_port = true),
        line("persistence_timeout", 0, 1, |v, s, cx| {
            v.persistence = match s.arg(0) {
                "" => Some(PERSISTENCE),
                "0" => None,
                _ => cx
                    .seconds(s, secs(1)..=secs(7 * 86_400), "the default, 360s, is taken")
                    .or(Some(PERSISTENCE)),
            };
        }),
        line("persistence_granularity", 1, 1, granularity),
        line("protocol", 1, 1, |v, s, cx| {
            v.foreign_protocol = false;
            match s.arg(0).to_uppercase().as_str() {
                "TCP" => v.protocol = Some(Protocol::Tcp),
                "UDP" => v.protocol = Some(Protocol::Udp),
                other => {
                    cx.error(
                        &s.at,
                        format!("`protocol {other}` has no equal, there are TCP and UDP"),
                    );
                    v.foreign_protocol = true;
                }
            }
        }),
        line("virtualhost", 1, 1, |v, s, _| {
            v.host = Some(s.arg(0).to_owned());
        }),
        line("snmp_name", 1, 1, |v, s, _| {
            v.name = Some(s.arg(0).to_owned());
        }),
        line("quorum", 1, 1, |v, s, cx| {
            v.quorum = cx.number(s, 0, 1..=i64::from(u32::MAX), "1 is taken");
        }),
        line("hysteresis", 1, 1, |v, s, cx| {
            v.hysteresis = cx.number(s, 0, 0..=i64::from(u32::MAX), "0 is taken");
        }),
        line("quorum_up", 1, 3, |v, s, cx| v.on_up = notify(s, cx)),
        line("quorum_down", 1, 3, |v, s, cx| v.on_down = notify(s, cx)),
        line("sorry_server", 1, 2, sorry_server),
        line("sorry_server_lvs_method", 1, ANY, |v, s, cx| {
            if let Some(fallback) = &mut v.fallback {
                fallback.method = method(s, cx);
            }
        }),
        line("delay_loop", 1, 1, |v, s, cx| v.timing.take_interval(s, cx)),
        line("connect_timeout", 1, 1, |v, s, cx| {
            v.timing.take_timeout(s, cx);
        }),
        line("retry", 1, 1, |v, s, cx| v.timing.take_retries(s, cx)),
        line("delay_before_retry", 1, 1, |v, s, cx| {
            v.timing.take_retry_delay(s, cx);
        }),
        line("inhibit_on_failure", 0, 1, |v, s, cx| {
            v.inhibit = cx.switch(s);
        }),
        line("weight", 1, 1, |v, s, cx| {
            v.weight = cx.number(s, 0, 1..=65_535, "1 is taken").unwrap_or(1);
        }),
        line("smtp_alert", 0, 1, alert_switch),
        block("real_server", 1, 2, real_server),
    ],
    old: &[("nb_get_retry", "retry")],
    without: &[
        ("alpha", ALPHA),
        (
            "backup_real_server",
            "there is no second pool, only `fallback`: give that the address of a service whose backends these are",
        ),
        ("failover_down", "there is no second pool"),
        (
            "failover_threshold",
            "there is no second pool, and `quorum` decides when `fallback` answers",
        ),
        ("failover_up", "there is no second pool"),
        ("flag-1", "the scheduler has no such flag"),
        ("flag-2", "the scheduler has no such flag"),
        ("flag-3", "the scheduler has no such flag"),
        (
            "ha_suspend",
            "real servers are checked whoever holds the address",
        ),
        ("hashed", "the scheduler has no such flag"),
        (
            "omega",
            "`quorum.on_down` does not run at a stop; `ExecStopPost=` of the unit does",
        ),
        ("ops", "packets of one UDP flow go to one real server"),
        ("persistence_engine", "clients are told apart by address"),
        (
            "sorry_server_inhibit",
            "the sorry server is not removed with a weight of 0",
        ),
        ("warmup", WARMUP),
    ],
    same: &["ip_family", "mh-fallback", "sh-fallback"],
};

/// keepalived's (and the kernel's) default.
const PERSISTENCE: Duration = secs(360);

fn algorithm(v: &mut Service, s: &Statement, cx: &mut Cx<'_>) {
    let name = s.arg(0);
    v.scheduler = match scheduler(name) {
        Some(Ok(ours)) => Some(ours),
        Some(Err(nearest)) => {
            cx.warn(
                &s.at,
                format!("the scheduler `{name}` has no equal: `{nearest}` is written"),
            );
            Some(nearest)
        }
        None => {
            cx.warn(
                &s.at,
                format!(
                    "{} is no scheduler: `wlc` is taken, as in keepalived",
                    quote(name)
                ),
            );
            Some("wlc")
        }
    };
    v.mh = (name == "mh").then(|| s.at.clone());
    v.sh = (name == "sh").then(|| s.at.clone());
}

/// Says where our hashes are other than those of IPVS.
pub(super) fn tell_hashes(v: &Service, cx: &mut Cx<'_>) {
    if let Some(at) = v.mh.as_ref().filter(|_| !v.mh_port) {
        cx.warn(at, "`mh` without `mh-port` keeps a client on its real server, `maglev` hashes ports, too: use `sh` or `persistence` if that matters");
    }
    if let Some(at) = v.sh.as_ref().filter(|_| v.sh_port) {
        cx.warn(at, "`sh-port` has no equal: `sh` hashes the client's address only; `maglev` hashes ports, too");
    }
}

fn method(s: &Statement, cx: &mut Cx<'_>) -> Option<Method> {
    let method = match s.arg(0).to_uppercase().as_str() {
        "NAT" => Method::Nat,
        "DR" => Method::DirectRouting,
        "TUN" => Method::Tunnel,
        _ => {
            cx.warn(
                &s.at,
                format!(
                    "{} is none of NAT, DR and TUN: the default is taken",
                    quote(s.arg(0))
                ),
            );
            return None;
        }
    };
    let mut words = s.args().iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "type" if method == Method::Tunnel => match words.next().unwrap_or_default() {
                "ipip" => {}
                other => {
                    let kind = quote(&format!("type {other}"));
                    cx.warn(&s.at, format!("{kind} of tunnels has no equal: IP in IP is written, and the real servers must take that"));
                    break;
                }
            },
            other => cx.warn(&s.at, format!("{} has no equal: left out", quote(other))),
        }
    }
    Some(method)
}

fn granularity(v: &mut Service, s: &Statement, cx: &mut Cx<'_>) {
    let length = match s.arg(0).parse::<IpAddr>() {
        Ok(mask) => ipnet::ip_mask_to_prefix(mask).ok(),
        Err(_) => s.arg(0).parse().ok().filter(|n| (1..=128).contains(n)),
    };
    v.prefix_length = length.filter(|n| *n > 0);
    if v.prefix_length.is_none() {
        cx.warn(
            &s.at,
            format!(
                "{} is neither a mask nor a prefix length: each client is one",
                quote(s.arg(0))
            ),
        );
    }
    // A granularity makes a service persistent.
    v.persistence = v.persistence.or(Some(PERSISTENCE));
}

fn sorry_server(v: &mut Service, s: &Statement, cx: &mut Cx<'_>) {
    let Some(address) = cx.address(s, 0) else {
        return;
    };
    let port = match s.arg(1) {
        "" | "0" => None,
        _ => cx.number(s, 1, 1..=65_535, "the service's is taken"),
    };
    v.fallback = Some(Fallback {
        at: s.at.clone(),
        address,
        port,
        method: None,
    });
}

fn real_server(v: &mut Service, s: &Statement, cx: &mut Cx<'_>) {
    let Ok(address) = s.arg(0).parse::<IpAddr>() else {
        return cx.error(
            &s.at,
            format!(
                "{} is no IP address: {} is left out",
                quote(s.arg(0)),
                s.quoted()
            ),
        );
    };
    let port = match s.arg(1) {
        "" | "0" => None,
        text => match text.parse::<u16>() {
            Ok(port) => Some(port),
            Err(_) => {
                return cx.error(
                    &s.at,
                    format!(
                        "{} is no port from 1 to 65535: {} is left out",
                        quote(text),
                        s.quoted()
                    ),
                );
            }
        },
    };
    let mut backend = Backend::new(&s.at, address, port);
    if REAL.walk(s.body(), &mut backend, cx).broken {
        return cx.error(&s.at, format!("{} is left out", s.quoted()));
    }
    v.backends.push(backend);
}

fn checker(b: &mut Backend, s: &Statement, cx: &mut Cx<'_>) {
    let before = b.checks.len();
    check::read(&mut b.checks, s, cx);
    b.lost_check |= b.checks.len() == before;
}

const REAL: Grammar<Backend> = Grammar {
    takes: &[
        line("weight", 1, 1, |b, s, cx| {
            b.weight = cx.number(s, 0, 0..=65_535, "the default is taken");
            b.weight_at = Some(s.at.clone());
        }),
        line("lvs_method", 1, ANY, |b, s, cx| b.method = method(s, cx)),
        line("lb_kind", 1, ANY, |b, s, cx| b.method = method(s, cx)),
        line("virtualhost", 1, 1, |b, s, _| {
            b.host = Some(s.arg(0).to_owned());
        }),
        line("snmp_name", 1, 1, |b, s, _| {
            b.name = Some(s.arg(0).to_owned());
        }),
        line("delay_loop", 1, 1, |b, s, cx| b.timing.take_interval(s, cx)),
        line("connect_timeout", 1, 1, |b, s, cx| {
            b.timing.take_timeout(s, cx);
        }),
        line("retry", 1, 1, |b, s, cx| b.timing.take_retries(s, cx)),
        line("delay_before_retry", 1, 1, |b, s, cx| {
            b.timing.take_retry_delay(s, cx);
        }),
        line("inhibit_on_failure", 0, 1, |b, s, cx| {
            b.inhibit = Some(cx.switch(s));
        }),
        line("smtp_alert", 0, 1, alert_switch),
        either("TCP_CHECK", 0, 0, checker),
        either("HTTP_GET", 0, 0, checker),
        either("SSL_GET", 0, 0, checker),
        either("SMTP_CHECK", 0, 0, checker),
        either("DNS_CHECK", 0, 0, checker),
        either("MISC_CHECK", 0, 0, checker),
        either("UDP_CHECK", 0, 0, checker),
        either("PING_CHECK", 0, 0, checker),
        either("BFD_CHECK", 0, 0, checker),
        either("FILE_CHECK", 0, 0, checker),
    ],
    old: &[("nb_get_retry", "retry")],
    without: &[
        ("CI-LINUX", "the real server is not checked"),
        ("alpha", ALPHA),
        ("lthreshold", "connections are not limited"),
        (
            "notify_down",
            "`alerts.command` runs a program for each change",
        ),
        (
            "notify_up",
            "`alerts.command` runs a program for each change",
        ),
        (
            "track_file",
            "the weight is changed with `ballast backend weight`",
        ),
        ("uthreshold", "connections are not limited"),
        ("warmup", WARMUP),
    ],
    same: &[],
};
