//! Files that users name.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
};

/// Opens a file for reading, not a directory. A FIFO that nobody writes to is empty: opened in the usual
/// way it would wait, for ever. What a shell's `<(command)` writes is read to its end.
///
/// # Errors
/// It cannot be opened, or is a directory.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_fifo() {
        fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _, thread};

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    #[test]
    fn a_fifo_that_nobody_writes_to_is_empty_and_another_is_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let mut text = String::new();
        open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "");

        let mut reader = open(&path).unwrap();
        let writing = thread::spawn({
            let writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
            move || {
                use std::io::Write as _;
                let mut writer = writer;
                for part in ["first ", "second"] {
                    thread::yield_now();
                    writer.write_all(part.as_bytes()).unwrap();
                }
            }
        });
        reader.read_to_string(&mut text).unwrap();
        writing.join().unwrap();
        assert_eq!(text, "first second");
    }

    #[test]
    fn a_directory_is_no_file() {
        let error = open(&std::env::temp_dir()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
}
