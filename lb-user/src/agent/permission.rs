//! Whether this process may do what an agent does.

use std::fs;

/// A capability is missing.
#[derive(Debug, thiserror::Error)]
#[error(
    "not permitted: {missing} {} missing; run as root, or give the capabilities \
     CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW (the systemd unit does)",
    if missing.contains(',') { "are" } else { "is" }
)]
pub struct NotPermitted {
    missing: String,
}

/// Checks the effective capabilities.
///
/// # Errors
///
/// [`NotPermitted`] with those that are missing.
pub(super) fn check() -> Result<(), NotPermitted> {
    match missing_capabilities() {
        names if names.is_empty() => Ok(()),
        names => Err(NotPermitted {
            missing: names.join(", "),
        }),
    }
}

/// The effective capabilities that an agent needs and this process lacks.
pub(crate) fn missing_capabilities() -> Vec<&'static str> {
    missing(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// The capabilities that a `/proc/PID/status` lacks.
fn missing(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .unwrap_or(0);
    NEEDED
        .iter()
        .filter(|(bit, _)| effective & (1 << bit) == 0)
        .map(|(_, name)| *name)
        .collect()
}

/// Numbers from `include/uapi/linux/capability.h`.
const NEEDED: [(u32, &str); 4] = [
    (12, "CAP_NET_ADMIN"),
    (13, "CAP_NET_RAW"),
    (38, "CAP_PERFMON"),
    (39, "CAP_BPF"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_capabilities_is_told_which() {
        assert_eq!(missing("Name:\tx\nCapEff:\t0000000000000000\n").len(), 4);
        assert_eq!(missing("CapEff:\t000001ffffffffff\n"), Vec::<&str>::new());
        assert_eq!(
            missing("CapEff:\t0000000000003000\n"),
            ["CAP_PERFMON", "CAP_BPF"]
        );
        assert_eq!(missing("").len(), 4);
    }
}
