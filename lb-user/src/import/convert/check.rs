//! The checkers of a real server, from `TCP_CHECK` to `MISC_CHECK`.

mod http;

pub(super) use self::http::Url;

use std::{net::IpAddr, time::Duration};

use super::{
    Cx, Statement,
    command::{Command, command},
    value::{ms, secs},
    walk::{ANY, Grammar, either, line},
};
use crate::import::finding::{Place, quote};

/// When to check; what is not given comes from the real server, the virtual server or the checker's default, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) interval: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: Option<u32>,
    pub(super) retry_delay: Option<Duration>,
}

impl Timing {
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            interval: self.interval.or(other.interval),
            timeout: self.timeout.or(other.timeout),
            retries: self.retries.or(other.retries),
            retry_delay: self.retry_delay.or(other.retry_delay),
        }
    }

    pub(super) fn take_interval(&mut self, s: &Statement, cx: &mut Cx<'_>) {
        self.interval = cx.seconds(s, ms(50)..=secs(86_400), "the default, 60s, is taken");
    }

    pub(super) fn take_timeout(&mut self, s: &Statement, cx: &mut Cx<'_>) {
        self.timeout = cx.seconds(s, ms(10)..=secs(600), "the default, 5s, is taken");
    }

    pub(super) fn take_retries(&mut self, s: &Statement, cx: &mut Cx<'_>) {
        self.retries = cx.number(s, 0, 0..=1000, "the default is taken");
    }

    pub(super) fn take_retry_delay(&mut self, s: &Statement, cx: &mut Cx<'_>) {
        self.retry_delay = cx.seconds(s, Duration::ZERO..=secs(3600), "the default is taken");
    }
}

/// One checker.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub(super) at: Place,
    pub(super) kind: Kind,
    pub(super) timing: Timing,
    pub(super) port: Option<u16>,
    pub(super) source: Option<IpAddr>,
    /// HTTP: the default for its URLs.
    pub(super) host: Option<String>,
    pub(super) urls: Vec<Url>,
    /// DNS.
    pub(super) name: Option<String>,
    pub(super) record: Option<String>,
    /// MISC.
    pub(super) command: Option<Command>,
    pub(super) command_timeout: Option<Duration>,
    pub(super) user: Option<String>,
    /// UDP, in hexadecimal digits.
    pub(super) payload: Option<String>,
    pub(super) reply: Option<String>,
    broken: bool,
}

/// What is tried, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Http,
    Https,
    Dns,
    Misc,
    Udp,
    /// Asked as TCP.
    Smtp,
    Tcp,
    /// Asked by an echo.
    Bfd,
    Ping,
    /// Not asked at all.
    File,
}

const CHECKERS: &[(&str, Kind)] = &[
    ("BFD_CHECK", Kind::Bfd),
    ("DNS_CHECK", Kind::Dns),
    ("FILE_CHECK", Kind::File),
    ("HTTP_GET", Kind::Http),
    ("MISC_CHECK", Kind::Misc),
    ("PING_CHECK", Kind::Ping),
    ("SMTP_CHECK", Kind::Smtp),
    ("SSL_GET", Kind::Https),
    ("TCP_CHECK", Kind::Tcp),
    ("UDP_CHECK", Kind::Udp),
];

impl Check {
    /// The keyword.
    pub(super) fn keyword(&self) -> &'static str {
        CHECKERS
            .iter()
            .find(|(_, kind)| *kind == self.kind)
            .map_or("", |(word, _)| word)
    }
}

/// Reads a checker of any kind.
pub(super) fn read(checks: &mut Vec<Check>, s: &Statement, cx: &mut Cx<'_>) {
    let Some((_, kind)) = CHECKERS.iter().find(|(word, _)| *word == s.keyword()) else {
        return;
    };
    let mut check = Check {
        at: s.at.clone(),
        kind: *kind,
        timing: Timing::default(),
        port: None,
        source: None,
        host: None,
        urls: Vec::new(),
        name: None,
        record: None,
        command: None,
        command_timeout: None,
        user: None,
        payload: None,
        reply: None,
        broken: false,
    };
    if s.block.is_none() {
        cx.warn(
            &s.at,
            format!(
                "`{}` has no block `{{ … }}`: taken as an empty one",
                s.keyword()
            ),
        );
    }
    let grammar = match kind {
        Kind::Http | Kind::Https => &HTTP,
        Kind::Dns => &DNS,
        Kind::Misc => &MISC,
        Kind::Udp => &UDP,
        Kind::Smtp => &SMTP,
        Kind::Tcp | Kind::Ping => &PLAIN,
        Kind::Bfd | Kind::File => &OTHER,
    };
    check.broken |= grammar.walk(s.body(), &mut check, cx).broken;
    if let Some(instead) = incomplete(&check) {
        cx.error(
            &s.at,
            format!("`{}` {instead}: the checker is left out", s.keyword()),
        );
        return;
    }
    checks.push(check);
}

/// What a checker lacks.
fn incomplete(check: &Check) -> Option<&'static str> {
    match check.kind {
        _ if check.broken => Some("cannot be read"),
        Kind::Http | Kind::Https if check.urls.is_empty() => Some("has no `url` with a `path`"),
        Kind::Misc if check.command.is_none() => Some("has no `misc_path`"),
        _ => None,
    }
}

/// A grammar of the keywords that all checkers have, and those of one kind.
macro_rules! checker {
    ([$($row:expr),* $(,)?], [$($without:expr),* $(,)?], [$($same:expr),* $(,)?]) => {
        Grammar {
            takes: &[
                line("connect_port", 1, 1, |c, s, cx| c.port = cx.number(s, 0, 1..=65_535, "the real server's is taken")),
                line("bindto", 1, 1, |c, s, cx| c.source = cx.address(s, 0)),
                line("connect_timeout", 1, 1, |c, s, cx| c.timing.take_timeout(s, cx)),
                line("retry", 1, 1, |c, s, cx| c.timing.take_retries(s, cx)),
                line("delay_before_retry", 1, 1, |c, s, cx| c.timing.take_retry_delay(s, cx)),
                line("delay_loop", 1, 1, |c, s, cx| c.timing.take_interval(s, cx)),
                $($row,)*
            ],
            old: &[("nb_get_retry", "retry"), ("bind_to", "bindto")],
            without: &[
                ("alpha", ALPHA),
                ("bind_if", "checks leave by the interface that the route says"),
                ("bind_port", "checks come from any port"),
                ("connect_ip", "the real server's own address is asked"),
                ("fwmark", "checks carry no firewall mark"),
                ("warmup", WARMUP),
                $($without,)*
            ],
            same: &["log_all_failures", $($same,)*],
        }
    };
}

/// Also of services and real servers.
pub(super) const ALPHA: &str =
    "the first check decides, and until then a real server counts as its check's first result says";
/// Also of services and real servers.
pub(super) const WARMUP: &str = "first checks are spread over the interval anyway";

const PLAIN: Grammar<Check> = checker!([], [], []);

const HTTP: Grammar<Check> = checker!(
    [
        either("url", 0, 0, |c, s, cx| http::url(&mut c.urls, s, cx)),
        line("virtualhost", 1, 1, |c, s, _| c.host =
            Some(s.arg(0).to_owned())),
        line("enable_sni", 0, 1, |_, s, cx| {
            if !cx.switch(s) {
                cx.warn(
                    &s.at,
                    "`enable_sni` off has no equal: the host's name is sent",
                );
            }
        }),
    ],
    [
        ("fast_recovery", "all paths are asked in each check"),
        (
            "http_protocol",
            "checks speak HTTP/1.1 and close the connection"
        ),
    ],
    []
);

const DNS: Grammar<Check> = checker!(
    [
        line("type", 1, 1, |c, s, cx| {
            let record = s.arg(0).to_uppercase();
            if RECORDS.contains(&record.as_str()) {
                c.record = Some(record);
            } else {
                cx.warn(
                    &s.at,
                    format!(
                        "{} is no record type that Ballast asks for: SOA is taken",
                        quote(s.arg(0))
                    ),
                );
            }
        }),
        line("name", 1, 1, |c, s, _| c.name = Some(s.arg(0).to_owned())),
    ],
    [],
    []
);

const MISC: Grammar<Check> = checker!(
    [
        line("misc_path", 1, 1, |c, s, cx| c.command =
            command(s.arg(0), s, cx)),
        line("misc_timeout", 1, 1, |c, s, cx| {
            c.command_timeout = cx.seconds(s, ms(10)..=secs(600), "the interval is taken");
        }),
        line("user", 1, 2, |c, s, cx| {
            c.user = Some(s.arg(0).to_owned());
            super::scripts::group_is_the_user_s(s, 1, cx);
        }),
    ],
    [(
        "misc_dynamic",
        "an exit code of 0 is good and any other is bad: the weight stays"
    )],
    []
);

const UDP: Grammar<Check> = checker!(
    [
        line("payload", 1, ANY, |c, s, cx| c.payload = hexadecimal(s, cx)),
        line("require_reply", 0, ANY, |c, s, cx| {
            c.reply = if s.args().is_empty() {
                Some(String::new())
            } else {
                hexadecimal(s, cx)
            };
        }),
    ],
    [
        ("max_reply_length", "an answer of any length is good"),
        (
            "min_reply_length",
            "an answer is good if it begins as `reply` says"
        ),
    ],
    []
);

const SMTP: Grammar<Check> = checker!(
    [either("host", 0, 0, |_, s, cx| {
        cx.warn(
            &s.at,
            "`host` of `SMTP_CHECK` has no equal: the real server's own address is asked",
        );
    })],
    [],
    ["helo_name"]
);

const OTHER: Grammar<Check> = checker!(
    [line("track_file", 1, 1, |_, _, _| {})],
    [],
    ["dynamic", "name", "weight"]
);

/// Hexadecimal digits, in pairs or not; a digit alone is a byte. Stops where any digit would do.
fn hexadecimal(s: &Statement, cx: &mut Cx<'_>) -> Option<String> {
    let mut bytes = String::new();
    for word in s.args() {
        for pair in word.as_bytes().chunks(2) {
            if pair.iter().any(|b| matches!(b, b'x' | b'X')) {
                cx.warn(
                    &s.at,
                    format!(
                        "`{}`: the answer is compared up to the first `X` only",
                        s.keyword()
                    ),
                );
                return Some(bytes);
            }
            if !pair.iter().all(u8::is_ascii_hexdigit) {
                cx.warn(
                    &s.at,
                    format!(
                        "`{}`: {} is not hexadecimal: left out",
                        s.keyword(),
                        quote(word)
                    ),
                );
                return None;
            }
            if pair.len() == 1 {
                bytes.push('0');
            }
            bytes.extend(pair.iter().map(|b| char::from(b.to_ascii_lowercase())));
        }
    }
    Some(bytes)
}

const RECORDS: &[&str] = &["A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT"];
