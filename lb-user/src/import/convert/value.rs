//! Numbers, times, switches and addresses as keepalived writes them, and times as we do.

use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

use super::{Cx, Statement};
use crate::import::finding::{Place, quote};

impl Cx<'_> {
    /// The whole number at argument `n`; says what happens instead of one that is out of range.
    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        s: &Statement,
        n: usize,
        allowed: RangeInclusive<i64>,
        instead: &str,
    ) -> Option<T> {
        let number = s.arg(n).parse::<i64>().ok().filter(|n| allowed.contains(n));
        if number.is_none() {
            let (low, high) = (allowed.start(), allowed.end());
            let value = quote(s.arg(n));
            self.warn(
                &s.at,
                format!(
                    "`{}`: {value} is no whole number from {low} to {high}: {instead}",
                    s.keyword()
                ),
            );
        }
        number.and_then(|n| T::try_from(n).ok())
    }

    /// The seconds at the first argument, with microseconds perhaps.
    pub(super) fn seconds(
        &mut self,
        s: &Statement,
        allowed: RangeInclusive<Duration>,
        instead: &str,
    ) -> Option<Duration> {
        let Some(given) = seconds(s.arg(0)) else {
            let value = quote(s.arg(0));
            self.warn(
                &s.at,
                format!(
                    "`{}`: {value} is no number of seconds: {instead}",
                    s.keyword()
                ),
            );
            return None;
        };
        let nearest = given.clamp(*allowed.start(), *allowed.end());
        if nearest != given {
            let (low, high) = (show(*allowed.start()), show(*allowed.end()));
            self.warn(
                &s.at,
                format!(
                    "`{}` may be {low} to {high}: {} is written",
                    s.keyword(),
                    show(nearest)
                ),
            );
        }
        Some(nearest)
    }

    /// A switch, which is on if nothing follows it.
    pub(super) fn switch(&mut self, s: &Statement) -> bool {
        match s.arg(0) {
            "" | "on" | "true" | "yes" => true,
            "off" | "false" | "no" => false,
            other => {
                let value = quote(other);
                self.warn(
                    &s.at,
                    format!(
                        "`{}`: {value} is neither on nor off: taken as on",
                        s.keyword()
                    ),
                );
                true
            }
        }
    }

    /// The address at argument `n`.
    pub(super) fn address(&mut self, s: &Statement, n: usize) -> Option<IpAddr> {
        let address = s.arg(n).parse().ok();
        if address.is_none() {
            self.error(
                &s.at,
                format!(
                    "`{}`: {} is no IP address: left out",
                    s.keyword(),
                    quote(s.arg(n))
                ),
            );
        }
        address
    }

    /// The interface at argument `n`.
    pub(super) fn interface(&mut self, text: &str, at: &Place) -> Option<String> {
        match text.parse::<crate::types::IfName>() {
            Ok(name) => Some(name.as_str().to_owned()),
            Err(why) => {
                self.error(at, format!("{} is {why}: left out", quote(text)));
                None
            }
        }
    }
}

/// Decimal seconds, to the microsecond.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let micros = Duration::from_micros(micros.parse().ok()?);
    Duration::from_secs(whole).checked_add(micros)
}

/// A time as we write it: in seconds, as keepalived does, so that the two files can be laid side by side.
pub(super) fn show(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        return format!("{}s", time.as_secs());
    }
    let millis = format!("{}ms", time.as_millis());
    if time < Duration::from_secs(1) && time.subsec_micros().is_multiple_of(1000) {
        return millis;
    }
    let fraction = format!("{:06}", time.subsec_micros());
    format!("{}.{}s", time.as_secs(), fraction.trim_end_matches('0'))
}

/// Milliseconds.
pub(super) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Seconds.
pub(super) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
