//! The kernel's clock state.

use std::io;

use crate::doctor::facts::{Seen, Unseen};

/// Whether the kernel holds its clock for synchronised: somebody (chrony, ntpd, timesyncd) told it so
/// within the last hours.
pub(super) fn synchronised() -> Seen<bool> {
    #[expect(unsafe_code, reason = "neither std nor nix wraps adjtimex")]
    // SAFETY: all zeroes are a valid `timex`; with `modes` 0 the call changes nothing but the struct,
    // which lives longer than the call.
    let state = unsafe {
        let mut state: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut state)
    };
    match state {
        -1 => Err(Unseen(format!(
            "cannot ask for the clock's state: {}",
            io::Error::last_os_error()
        ))),
        libc::TIME_ERROR => Ok(false),
        _ => Ok(true),
    }
}
