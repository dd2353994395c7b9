//! Small files in `runtime_dir`: each replaced as a whole, and of one boot.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// Puts `bytes` in the place of the file, readable by its owner alone. Who reads it finds either the old
/// content or the new one. Nothing is synced: a killed process loses nothing that the kernel has taken, and
/// such a file counts for nothing after a reboot.
///
/// # Errors
/// The file beside it, which ends in `.new`, cannot be written, or not take its place.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    // It may be there, from a run that ended between the two steps.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    fs::rename(&beside, path)
}

/// Another one after each boot; empty where the kernel does not tell. For a `runtime_dir` that is not on a
/// tmpfs.
pub(crate) fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_replaced_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.json");
        let left = dir.path().join("kept.new");
        fs::write(&left, "of a run that was killed").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"first").unwrap();
        replace(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.json");
        fs::write(&path, "old").unwrap();
        fs::create_dir(dir.path().join("kept.new")).unwrap();
        replace(&path, b"new").unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
