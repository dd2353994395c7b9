//! Whether a program may be run: nobody but root may be able to change what would run.
//!
//! What keepalived asks for with `enable_script_security`, always: the file and every directory on the way to it, symbolic links
//! included, belongs to root and is writable by root alone. Group-writable is refused even for group root, for with access control
//! lists the group's bits are the mask of what others were granted. A sticky directory like `/tmp` is refused, too.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Component, Path, PathBuf},
};

use nix::errno::Errno;

use crate::config::model::Command;

/// Why a program may not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It, or a directory on the way, is not there or cannot be looked at.
    #[error("cannot run {}: {}", path.display(), errno.desc())]
    Unreachable {
        /// Where the way ends.
        path: PathBuf,
        /// The kernel's reason.
        errno: Errno,
    },
    /// A directory, a device, a socket.
    #[error("cannot run {}: it is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Nobody has the right to execute it.
    #[error("cannot run {0}: it is not executable, use `chmod +x {0}`", path.display())]
    NotExecutable {
        /// The path.
        path: PathBuf,
    },
    /// Its owner could have anything run.
    #[error("refused: {0} belongs to uid {uid}, who could run anything with it, use `chown root {0}` or another place", path.display())]
    Owner {
        /// The program, or a directory above it.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Others could have anything run.
    #[error("refused: others than root can write to {0} (mode {mode:04o}), use `chmod go-w {0}` or another place, like /etc/ballast", path.display())]
    Writable {
        /// The program, or a directory above it.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Symbolic links that lead in circles.
    #[error("cannot run {}: too many symbolic links", path.display())]
    Links {
        /// The path.
        path: PathBuf,
    },
}

/// Whether this program may be run. What is not itself the program counts as well: the interpreter in its first line, and the script
/// that an interpreter is given, as in `[/bin/sh, /etc/x.sh]`. What such programs run in turn is theirs to guard, and so is the text of
/// a `sh -c`. Blocks while the file system does.
///
/// # Errors
/// [`Refused`], which names the file or directory that is the reason.
pub fn permit(command: &Command) -> Result<(), Refused> {
    executable(command.program())?;
    if let Some(script) = script_of(command) {
        guarded_file(script)?;
    }
    Ok(())
}

/// The program and the interpreters that the kernel would run it with.
fn executable(program: &Path) -> Result<(), Refused> {
    let mut program = program.to_owned();
    for _ in 0..=INTERPRETERS {
        let (path, meta) = guarded_file(&program)?;
        if meta.permissions().mode() & 0o111 == 0 {
            return Err(Refused::NotExecutable { path });
        }
        match interpreter(&path) {
            Ok(Some(next)) => program = next,
            // What cannot be read cannot be a script that works; the kernel decides when it is run.
            Ok(None) | Err(_) => break,
        }
    }
    Ok(())
}

/// The program named by `#!` in the first line.
fn interpreter(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut start = Vec::new();
    File::open(path)?.take(FIRST_LINE).read_to_end(&mut start)?;
    let Some(line) = start.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let named = words
        .next()
        .map(|word| PathBuf::from(OsStr::from_bytes(word)));
    // The kernel would take another from its directory, which is `/`.
    Ok(named.map(|path| Path::new("/").join(path)))
}

/// The first argument of an interpreter, or of a program that runs others, that is an existing file.
fn script_of(command: &Command) -> Option<&Path> {
    let name = command.program().file_name()?.to_str()?;
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !RUN_OTHERS.contains(&stem) {
        return None;
    }
    let args = command.args().iter().map(Path::new);
    args.filter(|arg| arg.is_absolute())
        .find(|arg| arg.is_file())
}

/// A regular file on a guarded way, with the links resolved.
fn guarded_file(path: &Path) -> Result<(PathBuf, Metadata), Refused> {
    let (path, meta) = walk(path)?;
    if meta.is_file() {
        Ok((path, meta))
    } else {
        Err(Refused::NotAFile { path })
    }
}

/// Goes the way the kernel goes, and looks at everything on it.
fn walk(path: &Path) -> Result<(PathBuf, Metadata), Refused> {
    let mut links = 0;
    let mut here = PathBuf::from("/");
    let mut meta = look(&here)?;
    guard(&here, &meta)?;
    let mut ahead: VecDeque<OsString> = steps(path).collect();
    while let Some(step) = ahead.pop_front() {
        if step == ".." {
            here.pop();
            meta = look(&here)?;
            continue;
        }
        let next = here.join(&step);
        meta = look(&next)?;
        if meta.is_symlink() {
            links += 1;
            if links > LINKS {
                return Err(Refused::Links {
                    path: path.to_owned(),
                });
            }
            let target = fs::read_link(&next).map_err(|error| unreachable(&next, &error))?;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            for step in steps(&target).rev() {
                ahead.push_front(step);
            }
        } else {
            guard(&next, &meta)?;
            here = next;
        }
    }
    Ok((here, meta))
}

/// The names on a path; what goes up stays in, because of links.
fn steps(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Nobody but root can change it. A link needs no guard of its own: who could change it can write to its directory.
fn guard(path: &Path, meta: &Metadata) -> Result<(), Refused> {
    let path = path.to_owned();
    let mode = meta.mode() & 0o7777;
    if meta.uid() != 0 {
        let uid = meta.uid();
        return Err(Refused::Owner { path, uid });
    }
    if mode & 0o022 != 0 {
        return Err(Refused::Writable { path, mode });
    }
    Ok(())
}

fn look(path: &Path) -> Result<Metadata, Refused> {
    fs::symlink_metadata(path).map_err(|error| unreachable(path, &error))
}

fn unreachable(path: &Path, error: &io::Error) -> Refused {
    Refused::Unreachable {
        path: path.to_owned(),
        errno: super::errno_of(error),
    }
}

/// Programs that run a file they are given, without version numbers: interpreters, and those that change something first.
const RUN_OTHERS: [&str; 20] = [
    "sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox", "perl", "python", "ruby", "lua",
    "node", "php", "env", "nice", "nohup", "setsid", "sudo", "timeout",
];
/// The kernel's limit of links on one path.
const LINKS: usize = 40;
/// The kernel's limit of scripts that interpret scripts.
const INTERPRETERS: usize = 4;
/// The kernel's `BINPRM_BUF_SIZE`.
const FIRST_LINE: u64 = 256;

#[cfg(test)]
mod tests;
