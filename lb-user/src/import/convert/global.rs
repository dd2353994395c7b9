//! `global_defs`: names, mail, and defaults for what comes after.

mod without;

use std::{net::IpAddr, time::Duration};

use super::{
    Cx, Statement,
    scripts::group_is_the_user_s,
    value::{ms, secs, show},
    walk::{ANY, Grammar, block, line},
};
use crate::import::{
    finding::{Place, quote},
    yaml::{Entry, Map},
};

/// The block, or all blocks of the name together.
#[derive(Default)]
pub(super) struct Global {
    pub(super) router_id: Option<(String, Place)>,
    mail: Mail,
    pub(super) sync: Option<Sync>,
    pub(super) timeouts: Timeouts,
    /// Whom scripts run as that say nothing themselves.
    pub(super) script_user: Option<String>,
    pub(super) garp: Garp,
    pub(super) version: Option<u8>,
    /// Where addresses go whose instance says nothing.
    pub(super) default_interface: Option<String>,
}

/// Who is told by mail.
#[derive(Default)]
struct Mail {
    to: Vec<(String, Place)>,
    /// Where recipients are listed.
    block: Option<Place>,
    from: Option<(String, Place)>,
    server: Option<(String, Place)>,
    timeout: Option<Duration>,
}

/// The kernel's connection synchronisation.
#[derive(Clone)]
pub(super) struct Sync {
    pub(super) at: Place,
    pub(super) interface: String,
    /// The instance that decides who sends.
    pub(super) instance: Option<String>,
    pub(super) id: Option<u8>,
}

/// `lvs_timeouts`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Timeouts {
    pub(super) tcp: Option<Duration>,
    pub(super) tcpfin: Option<Duration>,
    pub(super) udp: Option<Duration>,
}

/// How a new master announces itself, as far as it was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Garp {
    pub(super) repeat: Option<u8>,
    pub(super) delay: Option<Duration>,
    pub(super) refresh: Option<Duration>,
}

impl Garp {
    pub(super) fn take_repeat(&mut self, s: &Statement, cx: &mut Cx<'_>) {
        self.repeat = cx.number(s, 0, 1..=100, "the default, 5, is taken");
    }

    pub(super) fn take_delay(&mut self, s: &Statement, cx: &mut Cx<'_>) {
        self.delay = cx.seconds(s, Duration::ZERO..=secs(3600), "the default, 5s, is taken");
    }

    pub(super) fn take_refresh(&mut self, s: &Statement, cx: &mut Cx<'_>) {
        let refresh = cx.seconds(s, Duration::ZERO..=secs(86_400), "there is no refresh");
        self.refresh = refresh.map(|r| if r.is_zero() { r } else { r.max(secs(1)) });
    }

    /// What of it differs from Ballast's defaults, which are keepalived's.
    pub(super) fn node(self, default: Self) -> Map {
        let mut map = Map::default();
        map.put_some("repeat", self.repeat.or(default.repeat).filter(|n| *n != 5));
        map.put_some(
            "delay",
            self.delay
                .or(default.delay)
                .filter(|d| *d != secs(5))
                .map(show),
        );
        map.put_some(
            "refresh",
            self.refresh
                .or(default.refresh)
                .filter(|d| !d.is_zero())
                .map(show),
        );
        map
    }
}

impl Global {
    pub(super) fn read(&mut self, s: &Statement, cx: &mut Cx<'_>) {
        let walked = GLOBAL.walk(s.body(), self, cx);
        // Single settings: what was read of a crowded block is what was written.
        if walked.broken {
            cx.warn(
                &s.at,
                "of `global_defs` only what stands in lines of its own is taken",
            );
        }
    }

    /// Writes `alerts`, if anybody can be told.
    pub(super) fn alerts(&self, cx: &mut Cx<'_>) -> Option<(Map, Place)> {
        let mail = &self.mail;
        let block = mail.block.as_ref()?;
        let to: Vec<&(String, Place)> = mail
            .to
            .iter()
            .filter(|(to, at)| usable("recipient", to, at, cx))
            .collect();
        let from = mail
            .from
            .as_ref()
            .filter(|(from, at)| usable("sender", from, at, cx));
        if to.is_empty() {
            let why = if mail.to.is_empty() {
                "empty `notification_email`"
            } else {
                "no usable recipient"
            };
            cx.warn(block, format!("{why}: no mail is sent"));
            return None;
        }
        let mut smtp = Map::default();
        match &mail.server {
            Some((server, at)) => smtp.put("server", server.as_str()).at(at),
            None => smtp
                .put("server", "127.0.0.1:25")
                .note("keepalived's default"),
        };
        smtp.put_some("timeout", mail.timeout.filter(|t| *t != secs(30)).map(show));
        match from {
            Some((from, at)) => smtp.put("from", from.as_str()).at(at),
            None => {
                cx.warn(
                    block,
                    "no usable `notification_email_from`: `keepalived@localhost` is written",
                );
                smtp.put("from", "keepalived@localhost")
                    .note("keepalived's default is keepalived@ and the host's name")
            }
        };
        smtp.put(
            "to",
            to.iter()
                .map(|(to, at)| Entry::item_at(to.as_str(), at))
                .collect::<Vec<_>>(),
        );
        let mut alerts = Map::default();
        alerts.put("smtp", smtp).at(block);
        Some((alerts, block.clone()))
    }
}

/// The address of `Name <address>`.
fn bare(text: &str) -> String {
    let inside = text
        .split_once('<')
        .and_then(|(_, rest)| rest.strip_suffix('>'));
    inside.unwrap_or(text).to_owned()
}

/// Whether mail can be sent to or from an address.
fn usable(what: &str, address: &str, at: &Place, cx: &mut Cx<'_>) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';');
    let good = matches!(
        address.rsplit_once('@'),
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !address.contains(bad)
    );
    if !good {
        cx.warn(
            at,
            format!(
                "{} is no mail address like `ops@example.com`: the {what} is left out",
                quote(address)
            ),
        );
    }
    good
}

const GLOBAL: Grammar<Global> = Grammar {
    takes: &[
        line("router_id", 1, 1, |g, s, _| {
            g.router_id = Some((s.arg(0).to_owned(), s.at.clone()));
        }),
        block("notification_email", 0, 0, |g, s, _| {
            g.mail.block = Some(s.at.clone());
            for line in s.body() {
                // Several in a line are several; anything else is shown as it was written.
                let all = line.words().iter().all(|word| word.contains('@'));
                let several = all.then(|| line.words().to_vec());
                let found = several.unwrap_or_else(|| vec![line.words().join(" ")]);
                g.mail
                    .to
                    .extend(found.iter().map(|to| (bare(to), line.at.clone())));
            }
        }),
        line("notification_email_from", 1, ANY, |g, s, _| {
            g.mail.from = Some((bare(&s.args().join(" ")), s.at.clone()));
        }),
        line("smtp_server", 1, 2, smtp_server),
        line("smtp_connect_timeout", 1, 1, |g, s, cx| {
            g.mail.timeout = cx.seconds(s, ms(100)..=secs(600), "the default, 30s, is taken");
        }),
        line("lvs_sync_daemon", 1, ANY, sync_daemon),
        line("lvs_timeouts", 1, 6, timeouts),
        line("script_user", 1, 2, |g, s, cx| {
            g.script_user = Some(s.arg(0).to_owned());
            group_is_the_user_s(s, 1, cx);
        }),
        line("vrrp_garp_master_delay", 1, 1, |g, s, cx| {
            g.garp.take_delay(s, cx);
        }),
        line("vrrp_garp_master_repeat", 1, 1, |g, s, cx| {
            g.garp.take_repeat(s, cx);
        }),
        line("vrrp_garp_master_refresh", 1, 1, |g, s, cx| {
            g.garp.take_refresh(s, cx);
        }),
        line("vrrp_min_garp", 0, 1, |g, s, cx| {
            if cx.switch(s) {
                g.garp.repeat = Some(1);
                g.garp.delay = Some(Duration::ZERO);
            }
        }),
        line("vrrp_version", 1, 1, |g, s, cx| {
            g.version = cx.number(s, 0, 2..=3, "2 is taken");
        }),
        line("default_interface", 1, 1, |g, s, cx| {
            g.default_interface = cx.interface(s.arg(0), &s.at);
        }),
        line("smtp_alert", 0, 1, alert_switch),
        line("smtp_alert_checker", 0, 1, alert_switch),
        line("smtp_alert_vrrp", 0, 1, alert_switch),
    ],
    old: &[
        ("enable_snmp_keepalived", "enable_snmp_vrrp"),
        ("lvs_flush_onstop", "lvs_flush_on_stop"),
        ("lvs_id", "router_id"),
        ("lvs_process_name", "checker_process_name"),
        ("lvs_sync_daemon_interface", "lvs_sync_daemon"),
        ("vrrp_vmac_garp_intvl", "vrrp_garp_extra_if"),
    ],
    without: without::WITHOUT,
    same: &[
        // What `ballast run` does anyway.
        "checker_log_all_failures",
        "enable_script_security",
        "log_unknown_vrids",
        "reload_check_config",
        "vrrp_check_unicast_src",
    ],
};

fn smtp_server(g: &mut Global, s: &Statement, cx: &mut Cx<'_>) {
    let port = match s.arg(1) {
        "" => 25u16,
        _ => cx.number(s, 1, 1..=65_535, "25 is taken").unwrap_or(25),
    };
    let host = s.arg(0);
    let server = match host.parse::<IpAddr>() {
        Ok(address) => std::net::SocketAddr::new(address, port).to_string(),
        Err(_)
            if host
                .contains(|c: char| c.is_whitespace() || c.is_control() || ":/@[]".contains(c)) =>
        {
            return cx.warn(
                &s.at,
                format!("{} is no mail server: 127.0.0.1 is taken", quote(host)),
            );
        }
        Err(_) => format!("{host}:{port}"),
    };
    g.mail.server = Some((server, s.at.clone()));
}

fn alert_switch(_: &mut Global, s: &Statement, cx: &mut Cx<'_>) {
    if !cx.switch(s) {
        cx.warn(
            &s.at,
            format!(
                "`{}` off has no equal: who gets mail gets all of it",
                s.keyword()
            ),
        );
    }
}

fn sync_daemon(g: &mut Global, s: &Statement, cx: &mut Cx<'_>) {
    let Some(interface) = cx.interface(s.arg(0), &s.at) else {
        return;
    };
    let mut sync = Sync {
        at: s.at.clone(),
        interface,
        instance: None,
        id: None,
    };
    let mut words = s.args().iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "inst" => sync.instance = words.next().map(str::to_owned),
            "id" => sync.id = words.next().and_then(|id| sync_id(id, s, cx)),
            "maxlen" | "port" | "ttl" | "group" => {
                let value = words.next().unwrap_or_default();
                cx.warn(
                    &s.at,
                    format!("`{word} {value}` has no equal: the kernel's default is taken"),
                );
            }
            other if sync.instance.is_none() => sync.instance = Some(other.to_owned()),
            other => sync.id = sync_id(other, s, cx),
        }
    }
    g.sync = Some(sync);
}

fn sync_id(text: &str, s: &Statement, cx: &mut Cx<'_>) -> Option<u8> {
    let id = text.parse().ok();
    if id.is_none() {
        cx.warn(
            &s.at,
            format!(
                "{} is no identifier from 0 to 255: the instance's is taken",
                quote(text)
            ),
        );
    }
    id
}

fn timeouts(g: &mut Global, s: &Statement, cx: &mut Cx<'_>) {
    for pair in s.args().chunks(2) {
        let time = pair
            .get(1)
            .and_then(|n| n.parse().ok())
            .filter(|n| (1..=7 * 86_400).contains(n))
            .map(secs);
        let place = match pair[0].as_str() {
            "tcp" => &mut g.timeouts.tcp,
            "tcpfin" => &mut g.timeouts.tcpfin,
            "udp" => &mut g.timeouts.udp,
            other => {
                cx.warn(
                    &s.at,
                    format!(
                        "`lvs_timeouts`: {} is none of tcp, tcpfin and udp: left out",
                        quote(other)
                    ),
                );
                continue;
            }
        };
        *place = time;
        if time.is_none() {
            cx.warn(
                &s.at,
                format!(
                    "`lvs_timeouts {}` wants whole seconds, up to 7 days: the default is taken",
                    pair[0]
                ),
            );
        }
    }
}
