//! What a check tries: exactly one of seven.

use std::num::NonZeroU16;

use regex::Regex;

use crate::config::{
    model::{DnsProbe, DnsType, HttpPath, HttpProbe, Payload, Probe, ScriptProbe, UdpProbe},
    validate::scripts,
    walk::{Cx, Fields, Item, one_of, quote},
};

type Read = fn(&Item<'_>, &mut Cx) -> Option<Probe>;

const PROBES: [(&str, Read); 7] = [
    ("tcp", tcp),
    ("http", http),
    ("https", https),
    ("dns", dns),
    ("udp", udp),
    ("ping", ping),
    ("script", script),
];

/// Reads the one probe that is given; none at all is `fallback`.
pub(super) fn read(cx: &mut Cx, check: &mut Fields<'_>, fallback: Option<&Probe>) -> Option<Probe> {
    // `tcp:` with nothing behind it is a probe without options.
    let given: Vec<(&str, Item<'_>, Read)> = PROBES
        .iter()
        .filter_map(|(key, read)| check.get_even_null(key).map(|item| (*key, item, *read)))
        .collect();
    if let [(first, ..), (_, second, _), ..] = given.as_slice() {
        second.error(
            cx,
            format!("a check has one probe, this one has `{first}` already"),
        );
    }
    match given.first() {
        Some((_, item, read)) => read(item, cx),
        None => {
            if fallback.is_none() {
                check.error(
                    cx,
                    format!(
                        "nothing to try, expected one of {}",
                        one_of(PROBES.map(|(key, _)| key))
                    ),
                );
            }
            fallback.cloned()
        }
    }
}

fn port(cx: &mut Cx, fields: &mut Fields<'_>) -> Option<NonZeroU16> {
    fields.maybe(cx, "port", Item::port)
}

fn tcp(item: &Item<'_>, cx: &mut Cx) -> Option<Probe> {
    let mut fields = item.fields(cx)?;
    let port = port(cx, &mut fields);
    fields.close(cx);
    Some(Probe::Tcp { port })
}

fn http(item: &Item<'_>, cx: &mut Cx) -> Option<Probe> {
    let mut fields = item.fields(cx)?;
    let http = http_fields(cx, &mut fields);
    fields.close(cx);
    http.map(Probe::Http)
}

fn https(item: &Item<'_>, cx: &mut Cx) -> Option<Probe> {
    let mut fields = item.fields(cx)?;
    let http = http_fields(cx, &mut fields);
    let tls_verify = fields.or(cx, "tls_verify", true, Item::flag);
    fields.close(cx);
    Some(Probe::Https {
        http: http?,
        tls_verify,
    })
}

fn http_fields(cx: &mut Cx, fields: &mut Fields<'_>) -> Option<HttpProbe> {
    let port = port(cx, fields);
    let host = fields.maybe(cx, "host", |item, cx| item.some_text(cx).map(str::to_owned));
    let paths = match fields.get("paths") {
        None => vec![HttpPath {
            path: "/".to_owned(),
            status: vec![200],
            digest: None,
            body_regex: None,
        }],
        Some(item) if item.is_empty_list() => {
            item.error(cx, "empty, expected at least one path like `{ path: / }`");
            return None;
        }
        Some(_) => fields.each(
            cx,
            "paths",
            "paths like `{ path: /, status: [200] }`",
            http_path,
        ),
    };
    Some(HttpProbe { port, host, paths })
}

fn http_path(item: &Item<'_>, cx: &mut Cx) -> Option<HttpPath> {
    let mut fields = item.fields(cx)?;
    let path = fields.or(cx, "path", "/".to_owned(), |item, cx| {
        let path = item.some_text(cx)?;
        if !path.starts_with('/') || path.contains(char::is_whitespace) {
            item.error(
                cx,
                format!("{} is no path, expected one like `/health`", quote(path)),
            );
        }
        Some(path.to_owned())
    });
    let status = match fields.get("status") {
        None => vec![200],
        Some(item) if item.is_empty_list() => {
            item.error(cx, "empty, expected at least one status code like `[200]`");
            Vec::new()
        }
        Some(_) => fields.each(
            cx,
            "status",
            "status codes like `[200, 204]`",
            |item, cx| item.number(cx, 100..=599),
        ),
    };
    let digest = fields.maybe(cx, "digest", |item, cx| {
        let text = item.some_text(cx)?;
        let digest = hex(text).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        if digest.is_none() {
            item.error(
                cx,
                format!(
                    "{} is no MD5 digest, expected 32 hexadecimal digits",
                    quote(text)
                ),
            );
        }
        digest
    });
    let body_regex = fields.maybe(cx, "body_regex", |item, cx| {
        let text = item.some_text(cx)?;
        match Regex::new(text) {
            Ok(_) => Some(text.to_owned()),
            Err(error) => {
                let why = error.to_string();
                let why = why
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ");
                item.error(
                    cx,
                    format!("{} is no regular expression: {why}", quote(text)),
                );
                None
            }
        }
    });
    fields.close(cx);
    Some(HttpPath {
        path,
        status,
        digest,
        body_regex,
    })
}

fn dns(item: &Item<'_>, cx: &mut Cx) -> Option<Probe> {
    let mut fields = item.fields(cx)?;
    let port = port(cx, &mut fields);
    let name = fields.need(cx, "name").and_then(|item| {
        let name = item.some_text(cx)?;
        let bare = name.strip_suffix('.').unwrap_or(name);
        let label = |l: &str| (1..=63).contains(&l.len()) && !l.contains(char::is_whitespace);
        if bare.len() > 253 || !(name == "." || bare.split('.').all(label)) {
            item.error(cx, format!("{} is no domain name", quote(name)));
        }
        Some(name.to_owned())
    });
    let record = fields.or(cx, "type", DnsType::A, Item::word);
    fields.close(cx);
    Some(Probe::Dns(DnsProbe {
        port,
        name: name?,
        record,
    }))
}

fn udp(item: &Item<'_>, cx: &mut Cx) -> Option<Probe> {
    let mut fields = item.fields(cx)?;
    let port = port(cx, &mut fields);
    let payload = fields.or(cx, "payload", Payload(Vec::new()), payload);
    let reply = fields.maybe(cx, "reply", self::payload);
    fields.close(cx);
    Some(Probe::Udp(UdpProbe {
        port,
        payload,
        reply,
    }))
}

/// `0x…` is bytes in hexadecimal, anything else is text.
fn payload(item: &Item<'_>, cx: &mut Cx) -> Option<Payload> {
    let text = item.text(cx)?;
    let bytes = match text.strip_prefix("0x") {
        None => text.as_bytes().to_vec(),
        Some(digits) => match hex(digits) {
            Some(bytes) => bytes,
            None => {
                item.error(
                    cx,
                    format!(
                        "{} is not hexadecimal, expected pairs of digits after `0x`",
                        quote(text)
                    ),
                );
                return None;
            }
        },
    };
    if bytes.len() > PAYLOAD_MAX {
        item.error(
            cx,
            format!("{} bytes, at most {PAYLOAD_MAX} are allowed", bytes.len()),
        );
    }
    Some(Payload(bytes))
}

fn ping(item: &Item<'_>, cx: &mut Cx) -> Option<Probe> {
    item.fields(cx)?.close(cx);
    Some(Probe::Ping)
}

fn script(item: &Item<'_>, cx: &mut Cx) -> Option<Probe> {
    let mut fields = item.fields(cx)?;
    let command = fields.need(cx, "command").and_then(|item| item.command(cx));
    let user = scripts::user(cx, &mut fields);
    fields.close(cx);
    Some(Probe::Script(ScriptProbe {
        command: command?,
        user,
    }))
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |b: &u8| {
        char::from(*b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect()
}

/// What fits a datagram that needs no fragments on any path.
const PAYLOAD_MAX: usize = 1232;
