//! `url { … }` of HTTP checks.

use regex::Regex;

use crate::import::{
    convert::{
        Cx, Statement,
        walk::{ANY, Grammar, line},
    },
    finding::{Place, quote},
    lexer::unescape,
    yaml::{Entry, Map},
};

/// One request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import::convert) struct Url {
    at: Place,
    path: Option<String>,
    digest: Option<String>,
    /// Ranges, both ends included.
    status: Vec<(u16, u16)>,
    pub(in crate::import::convert) host: Option<(String, Place)>,
    regex: Option<(String, Place)>,
    /// Letters of `(?…)`.
    regex_flags: String,
    regex_no_match: bool,
}

/// Reads one.
pub(super) fn url(urls: &mut Vec<Url>, s: &Statement, cx: &mut Cx<'_>) {
    let mut url = Url {
        at: s.at.clone(),
        path: None,
        digest: None,
        status: Vec::new(),
        host: None,
        regex: None,
        regex_flags: String::new(),
        regex_no_match: false,
    };
    let walked = URL.walk(s.body(), &mut url, cx);
    if walked.broken || url.path.is_none() {
        return cx.error(&s.at, "`url` without a usable `path`: left out");
    }
    urls.push(url);
}

const URL: Grammar<Url> = Grammar {
    takes: &[
        line("path", 1, 1, |u, s, cx| {
            let path = s.arg(0);
            if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return cx.error(&s.at, format!("{} is no path: left out", quote(path)));
            }
            if !path.starts_with('/') {
                cx.warn(
                    &s.at,
                    format!(
                        "{} does not begin with `/`: one is written before it",
                        quote(path)
                    ),
                );
            }
            u.path = Some(format!("/{}", path.strip_prefix('/').unwrap_or(path)));
        }),
        line("digest", 1, 1, |u, s, cx| {
            let digest = s.arg(0);
            if digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit()) {
                u.digest = Some(digest.to_owned());
            } else {
                cx.warn(
                    &s.at,
                    format!(
                        "{} is no MD5 digest of 32 hexadecimal digits: left out",
                        quote(digest)
                    ),
                );
            }
        }),
        line("status_code", 1, ANY, |u, s, cx| {
            for word in s.args() {
                let (low, high) = word.split_once('-').unwrap_or((word, word));
                let code = |text: &str| text.parse().ok().filter(|n| (100..=599).contains(n));
                match (code(low), code(high)) {
                    (Some(low), Some(high)) if low <= high => {
                        if !u.status.contains(&(low, high)) && u.status.len() < 500 {
                            u.status.push((low, high));
                        }
                    }
                    _ => cx.warn(
                        &s.at,
                        format!(
                            "{} is no status code from 100 to 599: left out",
                            quote(word)
                        ),
                    ),
                }
            }
        }),
        line("virtualhost", 1, 1, |u, s, _| {
            u.host = Some((s.arg(0).to_owned(), s.at.clone()));
        }),
        line("regex", 1, ANY, |u, s, _| {
            u.regex = Some((unescape(&s.args().join(" ")), s.at.clone()));
        }),
        line("regex_no_match", 0, 0, |u, _, _| u.regex_no_match = true),
        line("regex_options", 1, ANY, |u, s, cx| {
            for word in s.args() {
                match FLAGS.iter().find(|(option, _)| option == word) {
                    Some((_, flag)) => u.regex_flags.push(*flag),
                    None => cx.warn(
                        &s.at,
                        format!(
                            "the option {} of expressions has no equal: left out",
                            quote(word)
                        ),
                    ),
                }
            }
        }),
    ],
    old: &[],
    without: &[
        (
            "password",
            "requests carry no credentials: give a path that needs none",
        ),
        ("regex_max_offset", "the whole answer is searched"),
        ("regex_min_offset", "the whole answer is searched"),
        (
            "tls_compliant",
            "a connection that ends without TLS's own end is taken as ended",
        ),
        (
            "username",
            "requests carry no credentials: give a path that needs none",
        ),
    ],
    same: &["regex_stack"],
};

const FLAGS: &[(&str, char)] = &[
    ("caseless", 'i'),
    ("dotall", 's'),
    ("extended", 'x'),
    ("multiline", 'm'),
    ("ungreedy", 'U'),
];

impl Url {
    /// Writes it as one of `paths`.
    pub(in crate::import::convert) fn entry(&self, cx: &mut Cx<'_>) -> Entry {
        let mut map = Map::default();
        map.put("path", self.path.clone().unwrap_or_default());
        let ranges = if self.status.is_empty() {
            &[(200, 299)]
        } else {
            self.status.as_slice()
        };
        let codes: Vec<Entry> = codes(ranges).into_iter().map(Entry::item).collect();
        map.put("status", codes);
        map.put_some("digest", self.digest.clone());
        map.put_some("body_regex", self.expression(cx));
        let mut entry = Entry::item_at(map, &self.at);
        if ranges.iter().any(|range| is_wide(*range)) {
            let shown: Vec<String> = ranges
                .iter()
                .map(|(low, high)| {
                    if low == high {
                        low.to_string()
                    } else {
                        format!("{low}-{high}")
                    }
                })
                .collect();
            let default = if self.status.is_empty() {
                "keepalived's default, "
            } else {
                ""
            };
            entry.note(format!(
                "status: {default}{}, without codes that nobody sends",
                shown.join(" ")
            ));
        }
        entry
    }

    fn expression(&self, cx: &mut Cx<'_>) -> Option<String> {
        let (regex, at) = self.regex.as_ref()?;
        if self.regex_no_match {
            cx.warn(
                at,
                "`regex_no_match` has no equal: the body is not looked at",
            );
            return None;
        }
        let flags = &self.regex_flags;
        let whole = if flags.is_empty() {
            regex.clone()
        } else {
            format!("(?{flags}){regex}")
        };
        if Regex::new(&whole).is_err() {
            cx.warn(
                at,
                format!(
                    "{} is no expression that Ballast understands: the body is not looked at",
                    quote(regex)
                ),
            );
            return None;
        }
        Some(whole)
    }
}

fn is_wide((low, high): (u16, u16)) -> bool {
    high - low >= 20
}

/// The codes of ranges: all of them, or of a wide range those that have a meaning.
fn codes(ranges: &[(u16, u16)]) -> Vec<u16> {
    let mut codes: Vec<u16> = ranges
        .iter()
        .flat_map(|range| {
            (range.0..=range.1)
                .filter(|code| !is_wide(*range) || REGISTERED.iter().any(|r| r.contains(code)))
        })
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The IANA registry of HTTP status codes.
const REGISTERED: &[std::ops::RangeInclusive<u16>] = &[
    100..=104,
    200..=208,
    226..=226,
    300..=308,
    400..=418,
    421..=426,
    428..=429,
    431..=431,
    451..=451,
    500..=508,
    510..=511,
];
