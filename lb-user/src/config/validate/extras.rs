//! The sections `alerts`, `ipvs` and `observability`.

use std::net::{IpAddr, SocketAddr};

use super::{ms, secs};
use crate::config::{
    model::{Alerts, IpvsSync, Observability, Smtp},
    walk::{Cx, Item, quote},
};

/// Reads `alerts`.
pub(super) fn alerts(item: &Item<'_>, cx: &mut Cx) -> Option<Alerts> {
    let mut fields = item.fields(cx)?;
    let alerts = Alerts {
        smtp: fields.maybe(cx, "smtp", smtp),
        command: fields.maybe(cx, "command", Item::command),
    };
    fields.close(cx);
    Some(alerts)
}

fn smtp(item: &Item<'_>, cx: &mut Cx) -> Option<Smtp> {
    let mut fields = item.fields(cx)?;
    let server = fields.need(cx, "server").and_then(|item| server(&item, cx));
    let timeout = fields.or(cx, "timeout", secs(30), |item, cx| {
        item.duration(cx, ms(100)..=secs(600))
    });
    let from = fields
        .need(cx, "from")
        .and_then(|item| mail_address(&item, cx));
    let to = fields.need(cx, "to");
    if let Some(item) = to.filter(Item::is_empty_list) {
        item.error(cx, "empty, expected at least one mail address");
    }
    let to = fields.each(cx, "to", "mail addresses", mail_address);
    fields.close(cx);
    let (host, port) = server?;
    Some(Smtp {
        host,
        port,
        timeout,
        from: from?,
        to,
    })
}

/// `host`, `host:port`, `address`, `address:port` or `[address]:port`; the port is 25 if not given.
fn server(item: &Item<'_>, cx: &mut Cx) -> Option<(String, u16)> {
    let text = item.some_text(cx)?;
    if let Ok(at) = text.parse::<SocketAddr>()
        && at.port() != 0
    {
        return Some((at.ip().to_string(), at.port()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_string(), SMTP));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|p| *p != 0)),
        None => (text, Some(SMTP)),
    };
    let foreign = |c: char| c.is_whitespace() || matches!(c, ':' | '/' | '@' | '[' | ']');
    let named = !host.is_empty() && !host.contains(foreign);
    match port.filter(|_| named) {
        Some(port) => Some((host.to_owned(), port)),
        None => {
            item.error(
                cx,
                format!(
                    "{} is no server, expected one like `mail.example.com:25`",
                    quote(text)
                ),
            );
            None
        }
    }
}

fn mail_address(item: &Item<'_>, cx: &mut Cx) -> Option<String> {
    let text = item.some_text(cx)?;
    // A line break or angle bracket would end the SMTP command that the address is put into.
    let bad = text.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';'));
    match text.rsplit_once('@') {
        Some((local, domain)) if !bad && !local.is_empty() && !domain.is_empty() => {
            Some(text.to_owned())
        }
        _ => {
            item.error(
                cx,
                format!(
                    "{} is no mail address, expected one like `ops@example.com`",
                    quote(text)
                ),
            );
            None
        }
    }
}

/// Reads `ipvs`; an empty section is none.
pub(super) fn ipvs(item: &Item<'_>, cx: &mut Cx) -> Option<Option<IpvsSync>> {
    let mut fields = item.fields(cx)?;
    let sync = fields.maybe(cx, "sync", |item, cx| {
        let mut fields = item.fields(cx)?;
        let interface = fields
            .need(cx, "interface")
            .and_then(|item| item.parsed(cx));
        let id = fields.or(cx, "id", 0, |item, cx| item.number(cx, 0..=255));
        fields.close(cx);
        Some(IpvsSync {
            interface: interface?,
            id,
        })
    });
    fields.close(cx);
    Some(sync)
}

/// Reads `observability`; an empty section is none.
pub(super) fn observability(item: &Item<'_>, cx: &mut Cx) -> Option<Observability> {
    let mut fields = item.fields(cx)?;
    let listen = fields.maybe(cx, "listen", |item, cx| {
        let text = item.some_text(cx)?;
        let at = text.parse::<SocketAddr>().ok().filter(|at| at.port() != 0);
        match at {
            None => item.error(
                cx,
                format!(
                    "{} is no listener, expected one like `127.0.0.1:9191`",
                    quote(text)
                ),
            ),
            Some(at) if !at.ip().is_loopback() => {
                item.warn(
                    cx,
                    "reachable from other hosts, and asks nobody for a password",
                );
            }
            Some(_) => {}
        }
        at
    });
    fields.close(cx);
    listen.map(|listen| Observability { listen })
}

/// Where a mail relay listens (RFC 5321).
const SMTP: u16 = 25;
