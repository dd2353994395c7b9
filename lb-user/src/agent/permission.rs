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
    check_for(&NEEDED)
}

/// Checks what changing addresses takes, and with `bpf` what loading programs does.
///
/// # Errors
///
/// [`NotPermitted`] with those that are missing.
pub(crate) fn may_change_the_network(bpf: bool) -> Result<(), NotPermitted> {
    check_for(if bpf { &NEEDED } else { &NEEDED[..1] })
}

fn check_for(needed: &[(u32, &'static str)]) -> Result<(), NotPermitted> {
    match missing(&own_status(), needed) {
        names if names.is_empty() => Ok(()),
        names => Err(NotPermitted {
            missing: names.join(", "),
        }),
    }
}

/// The effective capabilities that an agent needs and this process lacks.
pub(crate) fn missing_capabilities() -> Vec<&'static str> {
    missing(&own_status(), &NEEDED)
}

fn own_status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// The capabilities among `needed` that a `/proc/PID/status` lacks.
fn missing(status: &str, needed: &[(u32, &'static str)]) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .unwrap_or(0);
    needed
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
        assert_eq!(
            missing("Name:\tx\nCapEff:\t0000000000000000\n", &NEEDED).len(),
            4
        );
        assert_eq!(
            missing("CapEff:\t000001ffffffffff\n", &NEEDED),
            Vec::<&str>::new()
        );
        assert_eq!(
            missing("CapEff:\t0000000000003000\n", &NEEDED),
            ["CAP_PERFMON", "CAP_BPF"]
        );
        assert_eq!(missing("", &NEEDED).len(), 4);
    }
}
