//! `lab init`: pid 1 of a host. It makes the namespaces, mounts what belongs to a host of its own,
//! reaps orphans, and ends when its stdin does.

use std::{
    env, fs,
    io::{self, Read},
    path::Path,
    process::{self, Command},
    thread,
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        prctl::set_pdeathsig,
        signal::{SigSet, Signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// What `lab init NAME` does: makes the pid namespace, starts pid 1 in it (`lab pid1 NAME`), tells
/// its pid on stdout, and stays as its parent.
///
/// # Errors
/// When namespaces cannot be made.
pub fn helper(name: &str) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWPID).context("cannot make a pid namespace")?;
    let mut pid1 = Command::new(env::current_exe()?)
        .args(["pid1", name])
        .spawn()?;
    println!("pid {}", pid1.id());
    pid1.wait()?;
    Ok(())
}

/// What `lab pid1 NAME` does. Never returns while the host lives.
///
/// # Errors
/// When the host cannot be set up.
pub fn pid1(name: &str) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // Before the thread below: it inherits the mask, so that only `wait` takes SIGCHLD.
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block()?;

    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .context("cannot make namespaces")?;
    fs::write("/proc/sys/kernel/hostname", name).context("cannot set the host name")?;
    own_mounts()?;
    quiet_network()?;
    println!("{READY}");

    thread::spawn(|| {
        // Nothing is ever written: this returns when the other end is closed.
        io::stdin().read_to_end(&mut Vec::new()).ok();
        process::exit(0);
    });
    loop {
        while !matches!(
            waitpid(None, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD)
        ) {}
        children.wait()?;
    }
}

/// Reads what `helper` and `pid1` print until the host is ready.
///
/// # Errors
/// When they end before.
pub(super) fn read_ready(lines: impl Iterator<Item = io::Result<String>>) -> Result<i32> {
    let mut pid = None;
    let mut ready = false;
    for line in lines {
        let line = line?;
        match line.strip_prefix("pid ") {
            Some(number) => pid = Some(number.parse()?),
            None => ready |= line == READY,
        }
        // Two processes write to one pipe: either line may come first.
        if let (Some(pid), true) = (pid, ready) {
            return Ok(pid);
        }
    }
    bail!("the host's pid 1 ended before it was ready; its message is above")
}

/// Whether the process is gone or only waits to be reaped. `Err` says in which state it is.
pub(super) fn is_dead(pid: Pid) -> Result<(), String> {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return Ok(());
    };
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    match state {
        Some('Z' | 'X') | None => Ok(()),
        // pid 1 of a namespace waits in this state for processes that others have to reap.
        Some(_) if fs::read_link(format!("/proc/{pid}/exe")).is_err() => Ok(()),
        Some(state) => Err(format!("state {state}")),
    }
}

fn own_mounts() -> Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make mounts private")?;
    for (kind, path, data) in [
        ("proc", "/proc", None),
        ("sysfs", "/sys", None),
        ("tmpfs", "/run", Some("mode=755")),
        ("bpf", "/sys/fs/bpf", Some("mode=700")),
    ] {
        if !Path::new(path).exists() {
            bail!("this kernel has no {path}");
        }
        mount(Some(kind), path, Some(kind), MsFlags::empty(), data)
            .with_context(|| format!("cannot mount {path}"))?;
    }
    Ok(())
}

/// No duplicate address detection, no router solicitations, no reverse path filter: addresses work
/// at once and nothing is sent that a test did not ask for.
fn quiet_network() -> Result<()> {
    for scope in ["all", "default"] {
        for (family, key) in [
            ("ipv6", "accept_dad"),
            ("ipv6", "accept_ra"),
            ("ipv6", "router_solicitations"),
            ("ipv4", "rp_filter"),
        ] {
            let path = format!("/proc/sys/net/{family}/conf/{scope}/{key}");
            fs::write(&path, "0").with_context(|| path.clone())?;
        }
    }
    let status = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    if !status.success() {
        bail!("cannot set lo up");
    }
    Ok(())
}

const READY: &str = "ready";
