//! `health_check` of a backend.

use std::time::Duration;

use super::Users;
use crate::import::{
    convert::{
        Backend, Cx, Service,
        check::{Check, Kind, Timing},
        quote,
        value::{secs, show},
    },
    yaml::{Entry, Map, Node},
};

/// What a backend is asked, as a node that can be compared; a backend without a check is never asked.
pub(super) fn node(
    backend: &Backend,
    service: &Service,
    port: u16,
    users: &mut Users,
    cx: &mut Cx<'_>,
) -> Node {
    let Some(check) = backend.checks.iter().min_by_key(|c| c.kind) else {
        return "none".into();
    };
    for other in backend.checks.iter().filter(|c| c.at != check.at) {
        cx.warn(
            &other.at,
            format!(
                "a real server has one check, and {} has `{}`: `{}` is left out",
                backend.address,
                check.keyword(),
                other.keyword()
            ),
        );
    }
    let timing = check.timing.or(backend.timing).or(service.timing);
    let interval = timing.interval.unwrap_or(secs(60));
    let mut map = Map::default();
    put_timing(&mut map, check, timing, interval);
    if let Some(source) = check.source {
        if source.is_ipv4() == backend.address.is_ipv4() {
            map.put("source", source.to_string());
        } else {
            cx.warn(
                &check.at,
                format!("`bindto {source}` is of another family than the real server: left out"),
            );
        }
    }
    // Where the real server's own port is not the service's, its checks keep it.
    let asked = check.port.or(backend.port).filter(|p| *p != port);
    match probe(check, backend, service, asked, users, cx) {
        Some((key, probe)) => {
            map.put(key, probe);
            map.into()
        }
        None => "none".into(),
    }
}

fn put_timing(map: &mut Map, check: &Check, timing: Timing, interval: Duration) {
    let (retries, retry_delay, timeout) = match check.kind {
        Kind::Dns => (3, interval.min(secs(3600)), secs(5)),
        Kind::Http | Kind::Https => (1, secs(3), secs(5)),
        Kind::Misc => (0, secs(1), interval.min(secs(600))),
        _ => (1, secs(1), secs(5)),
    };
    let timeout = match check.kind {
        Kind::Misc => check.command_timeout.unwrap_or(timeout),
        _ => timing.timeout.unwrap_or(timeout),
    };
    let retries = timing.retries.unwrap_or(retries);
    let retry_delay = timing.retry_delay.unwrap_or(retry_delay);
    map.put_some("interval", (interval != secs(10)).then(|| show(interval)));
    map.put_some("timeout", (timeout != secs(3)).then(|| show(timeout)));
    map.put_some("retries", (retries != 1).then_some(retries));
    map.put_some(
        "retry_delay",
        (retry_delay != secs(1) && retries > 0).then(|| show(retry_delay)),
    );
}

fn probe(
    check: &Check,
    backend: &Backend,
    service: &Service,
    port: Option<u16>,
    users: &mut Users,
    cx: &mut Cx<'_>,
) -> Option<(&'static str, Map)> {
    let mut map = Map::default();
    map.put_some("port", port);
    Some(match check.kind {
        Kind::Tcp => ("tcp", map),
        Kind::Http => ("http", http(map, check, backend, service, cx)),
        Kind::Https => {
            let mut map = http(map, check, backend, service, cx);
            map.put("tls_verify", false)
                .note("keepalived trusts any certificate");
            ("https", map)
        }
        Kind::Dns => {
            map.put("name", check.name.clone().unwrap_or_else(|| ".".to_owned()));
            map.put(
                "type",
                check.record.clone().unwrap_or_else(|| "SOA".to_owned()),
            );
            ("dns", map)
        }
        Kind::Udp => {
            let hexadecimal = |digits: &String| {
                if digits.is_empty() {
                    String::new()
                } else {
                    format!("0x{digits}")
                }
            };
            map.put_some("payload", check.payload.as_ref().map(hexadecimal));
            map.put_some("reply", check.reply.as_ref().map(hexadecimal));
            ("udp", map)
        }
        Kind::Misc => {
            let command = check.command.as_ref()?;
            let mut map = Map::default();
            let entry = map.put("command", command.node()).at(&command.at);
            if let Some(note) = &command.note {
                entry.note(note.as_str());
            }
            users.put(&mut map, check.user.as_ref(), &check.at, cx);
            ("script", map)
        }
        Kind::Ping => ("ping", Map::default()),
        Kind::Smtp => {
            cx.warn(&check.at, "`SMTP_CHECK` has no equal: the port is asked for a connection, not for a greeting (a `script` can do that)");
            ("tcp", map)
        }
        Kind::Bfd => {
            cx.warn(
                &check.at,
                "`BFD_CHECK` has no equal: the real server is asked for an echo",
            );
            ("ping", Map::default())
        }
        Kind::File => {
            cx.warn(&check.at, "`FILE_CHECK` has no equal: the real server is not checked; `ballast backend disable` and `weight` do by hand what the file did");
            return None;
        }
    })
}

fn http(mut map: Map, check: &Check, backend: &Backend, service: &Service, cx: &mut Cx<'_>) -> Map {
    let own = check.urls.iter().find_map(|u| u.host.as_ref());
    for (host, at) in check.urls.iter().filter_map(|u| u.host.as_ref()) {
        if let Some((first, _)) = own.filter(|(first, _)| first != host) {
            cx.warn(
                at,
                format!(
                    "one check has one host, which is {}: {} is left out",
                    quote(first),
                    quote(host)
                ),
            );
        }
    }
    let host = own
        .map(|(host, _)| host)
        .or(check.host.as_ref())
        .or(backend.host.as_ref())
        .or(service.host.as_ref());
    map.put_some("host", host.cloned());
    let paths: Vec<Entry> = check.urls.iter().map(|url| url.entry(cx)).collect();
    map.put("paths", paths);
    map
}
