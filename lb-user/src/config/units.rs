//! Durations and sizes as people write them.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// `500ms`, `6s`, `2m`, `1h`: a number, which may have a fraction, and one unit. `0` needs none. `None`: it is not one, or not exact
/// in nanoseconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (number, unit) = split(text)?;
    let nanos: u64 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let tenths = u32::try_from(fraction.len()).ok()?;
    let parts = digits(fraction)?.checked_mul(nanos)?;
    let divisor = 10u64.checked_pow(tenths)?;
    if !parts.is_multiple_of(divisor) {
        return None;
    }
    digits(whole)?
        .checked_mul(nanos)?
        .checked_add(parts / divisor)
        .map(Duration::from_nanos)
}

/// `256MiB`, `64KiB`, `1GiB` or plain bytes. `None`: it is not one.
pub(super) fn size(text: &str) -> Option<u64> {
    if let Some(bytes) = digits(text) {
        return Some(bytes);
    }
    let (number, unit) = split(text)?;
    let scale: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits(number)?.checked_mul(scale)
}

/// A duration as [`duration`] reads it: in the largest unit that is exact, else in seconds with a fraction.
pub(super) fn show_duration(d: Duration) -> String {
    let nanos = d.as_nanos();
    for (unit, scale) in [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ] {
        if nanos >= scale && nanos.is_multiple_of(scale) {
            // 40.95s is easier to read than 40950ms.
            if unit == "ms" && nanos > 1_000_000_000 {
                break;
            }
            return format!("{}{unit}", nanos / scale);
        }
    }
    if d.is_zero() {
        "0s".to_owned()
    } else {
        format!("{}s", d.as_secs_f64())
    }
}

/// A size as [`size`] reads it, in the largest unit that is exact.
pub(super) fn show_size(bytes: u64) -> String {
    for (unit, scale) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= scale && bytes.is_multiple_of(scale) {
            return format!("{}{unit}", bytes / scale);
        }
    }
    bytes.to_string()
}

fn split(text: &str) -> Option<(&str, &str)> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    Some((text[..unit].trim_end(), &text[unit..]))
}

/// Only digits: no sign, no `_`.
fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}
