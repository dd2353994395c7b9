//! Runs a command under another kernel: Debian's, emulated in software (TCG), so it works wherever
//! qemu does, also inside a virtual machine.
//!
//! The guest sees the host's files over 9p with a layer of memory above, so it runs what is installed
//! and built here and changes nothing. Its output and exit code come through; its network is its own.
//! Kernels and busybox are downloaded and unpacked into our cache, never installed.

mod initramfs;
mod kernel;
mod qemu;

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{
    setup::{self, Part},
    sh,
};

/// The series there are, oldest first.
pub(crate) const KERNELS: [&str; 3] = ["6.1", "6.12", "7.2"];

/// Runs `command` under the newest kernel of the series `kernel`; its exit code is ours.
///
/// # Errors
/// There is no such kernel, something that is needed cannot be had, or the machine did not reach the
/// end of the command in time.
pub(crate) fn run(kernel: &str, timeout: Duration, command: &[OsString]) -> Result<ExitCode> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("other kernels are emulated on x86_64 only");
    }
    setup::ensure(&[Part::Vm])?;
    let kernel = kernel::ensure(kernel)?;
    let script = script(&kernel, command)?;
    let initramfs = initramfs::build(&kernel, &kernel::busybox()?, &script)?;
    qemu::run(&kernel, &initramfs, timeout)
}

/// What the guest's shell runs: the command, in the directory and with the variables of ours that
/// concern it.
fn script(kernel: &kernel::Kernel, command: &[OsString]) -> Result<Vec<u8>> {
    let mut script = b"cd ".to_vec();
    script.extend(quoted(std::env::current_dir()?.as_os_str().as_bytes()));
    script.push(b'\n');
    let passed = |name: &OsString| {
        let name = name.to_string_lossy();
        PASSED.iter().any(|prefix| name.starts_with(prefix)) || name == "HOME" || name == "CI"
    };
    let path = ("PATH".into(), sh::search_path().to_owned());
    let release = ("BALLAST_VM".into(), OsString::from(&kernel.release));
    let variables = std::env::vars_os().filter(|(name, _)| passed(name));
    for (name, value) in variables.chain([path, release]) {
        script.extend(b"export ");
        script.extend(name.into_vec());
        script.push(b'=');
        script.extend(quoted(value.as_bytes()));
        script.push(b'\n');
    }
    script.extend(b"exec");
    for word in command {
        script.push(b' ');
        script.extend(quoted(word.as_bytes()));
    }
    script.push(b'\n');
    Ok(script)
}

/// One word for a shell.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut quoted = b"'".to_vec();
    for byte in word {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Variables that tests and our own programs read.
const PASSED: &[&str] = &[
    "BALLAST_",
    "RUST_",
    "PROPTEST_",
    "INSTA_",
    "PACKETS",
    "SEED",
    "EPOCH",
];

#[cfg(test)]
mod tests;
