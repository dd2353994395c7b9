//! The names of processes, as `/proc` shows them.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use nix::{errno::Errno, unistd::Pid};

/// Up to `limit` processes of this name, zombies included.
///
/// # Errors
/// For want of descriptors or memory, or of `/proc`.
pub(super) fn find(name: &str, limit: usize) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|pid| pid.parse().ok());
        let Some(pid) = pid.map(Pid::from_raw) else {
            continue;
        };
        if matches(pid, name)? {
            found.push(pid);
            if found.len() == limit {
                break;
            }
        }
    }
    Ok(found)
}

/// Whether a process has this name: its own (`comm`: what it was executed as, or calls itself), or that of its executable.
///
/// The kernel keeps 15 bytes of `comm`. A longer name matches by its first 15 where the command line confirms the rest: as the program,
/// or as the script that an interpreter was given. Only then is the command line read, for that can hang with its process.
///
/// # Errors
/// For want of descriptors or memory; a process that is gone just does not match.
pub(super) fn matches(pid: Pid, name: &str) -> io::Result<bool> {
    let own = Path::new("/proc").join(pid.to_string());
    let comm = or_gone(read(&own.join("comm"), NAME))?;
    let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
    if comm == name.as_bytes() {
        return Ok(true);
    }
    let executable =
        or_gone(fs::read_link(own.join("exe")).map(|path| path.as_os_str().as_bytes().to_vec()))?;
    // What a package upgrade has replaced runs on.
    let executable = executable
        .strip_suffix(b" (deleted)")
        .unwrap_or(&executable);
    if base_name(executable) == name.as_bytes() {
        return Ok(true);
    }
    if comm.len() != NAME_KEPT || !name.as_bytes().starts_with(comm) {
        return Ok(false);
    }
    let line = or_gone(read(&own.join("cmdline"), COMMAND_LINE))?;
    let mut words = line.split(|byte| *byte == 0).take(2);
    Ok(words.any(|word| base_name(word) == name.as_bytes()))
}

/// Whether an error says that the process is gone.
pub(super) fn is_gone(error: &io::Error) -> bool {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    matches!(errno, Errno::ENOENT | Errno::ESRCH)
}

/// Nothing, of a process that is gone or not ours to look at.
fn or_gone(result: io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    match result {
        Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(Vec::new())
        }
        result => result,
    }
}

fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut text)?;
    Ok(text)
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// `TASK_COMM_LEN` without its NUL.
const NAME_KEPT: usize = 15;
/// The longest `comm`, with its line feed: kernel threads may have more than others.
const NAME: u64 = 65;
/// As much of a command line as two paths may take.
const COMMAND_LINE: u64 = 8192;
