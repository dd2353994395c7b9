//! Whether an agent that was killed comes back and goes on with its role, or is gone for good.
//!
//! The service manager tells those who clean up how the agent ended, but not what it will do next. So an
//! agent that is up says so in `runtime_dir`, and takes it back when it is told to stop. Whoever finds
//! that an agent was killed takes it back as well: one that is killed again before it was up (at
//! each start, say) is not expected any more.

use std::{fs, path::Path};

/// It is up: should it be killed now, a restart goes on.
pub(super) fn expect(runtime_dir: &Path) {
    if let Err(error) = fs::write(runtime_dir.join(NAME), "") {
        tracing::warn!(%error, "a crash will change roles: `runtime_dir` cannot be written");
    }
}

/// It ends, and is not to come back with a role.
pub(super) fn forget(runtime_dir: &Path) {
    // Nothing there is as good.
    fs::remove_file(runtime_dir.join(NAME)).ok();
}

/// Whether an agent that ended like this (systemd's `SERVICE_RESULT`) goes on with its role at once. Holds
/// for one end of one run.
pub(crate) fn is_expected_back(runtime_dir: &Path, result: Option<&str>) -> bool {
    let was_up = fs::remove_file(runtime_dir.join(NAME)).is_ok();
    // `timeout` is none of these: that was a stop, or a start that led to nothing.
    let killed = matches!(
        result,
        Some("signal" | "core-dump" | "watchdog" | "oom-kill")
    );
    was_up && killed
}

const NAME: &str = "up";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_up_and_is_killed_is_expected_once() {
        for result in ["signal", "core-dump", "watchdog", "oom-kill"] {
            let dir = tempfile::tempdir().unwrap();
            let expected = || is_expected_back(dir.path(), Some(result));
            assert!(!expected(), "it never was up");
            expect(dir.path());
            assert!(expected());
            assert!(!expected(), "killed at its next start");
            expect(dir.path());
            assert!(expected(), "up again in between");
        }
    }

    #[test]
    fn one_that_ended_otherwise_or_was_told_to_is_not_expected() {
        let dir = tempfile::tempdir().unwrap();
        for result in ["success", "exit-code", "timeout", "protocol", "resources"] {
            expect(dir.path());
            assert!(!is_expected_back(dir.path(), Some(result)), "{result}");
        }
        expect(dir.path());
        assert!(!is_expected_back(dir.path(), None), "no service manager");
        expect(dir.path());
        forget(dir.path());
        assert!(
            !is_expected_back(dir.path(), Some("signal")),
            "killed while it stopped"
        );
    }
}
