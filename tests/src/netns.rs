//! Hosts: network, pid, mount and UTS namespaces with an own `/proc`, `/sys`, `/run` and bpffs.
//!
//! A host is held by its pid 1, the helper `lab init`, which ends when the pipe to us closes: on drop,
//! after a panic, and after a SIGKILL of the test alike. With it go the host's processes, interfaces,
//! mounts and pins. Nothing of a host has a name outside of it, so tests run in parallel.

pub mod init;

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    panic,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::signal::{SigSet, Signal, kill},
    unistd::Pid,
};

use crate::{process::Process, require, wait::wait_for};

/// A machine of the lab. Clones are the same machine; it is gone when the last one is dropped,
/// its [`Process`]es included.
#[derive(Clone, Debug)]
pub struct Host {
    inner: Arc<Inner>,
}

impl Host {
    /// Boots a machine with host name `name`, `lo` up, and nothing else; `dir` is for its logs and
    /// configurations, and its owner removes it. Tests take hosts from [`Lab::host`](crate::lab::Lab::host).
    ///
    /// # Errors
    /// When namespaces cannot be made, or the `lab` binary is not built.
    pub fn boot(name: &str, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        Inner::boot(name, dir.to_owned())
            .map(|inner| Self {
                inner: Arc::new(inner),
            })
            .with_context(|| format!("cannot make the host {name}"))
    }

    /// The host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its scratch directory, the same path inside and outside.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The pid of the host's pid 1, as seen from outside.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.inner.pid.as_raw().cast_unsigned()
    }

    /// `nsenter …`: what a person types to get into this host.
    #[must_use]
    pub fn enter_command(&self) -> String {
        format!(
            "nsenter --target {} --mount --uts --net --pid --wd=/",
            self.pid()
        )
    }

    /// Runs a command in the host, at most 30 s, and returns what it printed on stdout.
    ///
    /// # Errors
    /// When it cannot be started or ends with another status than 0; the text has its stderr.
    pub fn exec<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        let args: Vec<_> = args
            .into_iter()
            .map(|arg| arg.as_ref().to_owned())
            .collect();
        let output = self.output(&args)?;
        ensure!(
            output.status.success(),
            "{}: {:?} ended with {}: {}{}",
            self.name(),
            args.join(OsStr::new(" ")),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr).trim_end(),
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Like [`Host::exec`] with a string, split at white space: `host.sh("ip link set eth0 up")`.
    ///
    /// # Errors
    /// As for `exec`.
    pub fn sh(&self, line: &str) -> Result<String> {
        self.exec(line.split_whitespace())
    }

    /// Runs a command in the host, at most 30 s, whatever its exit status (124: it took longer).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=1", "30"])
            .args(args)
            .env("PATH", require::search_path())
            .stdin(Stdio::null());
        self.run_in(Inside::Children, move || Ok(command.output()?))
    }

    /// Starts a program; its output goes to `dir()/LABEL.log`. It ends with the value returned.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, label: &str, command: Command) -> Result<Process> {
        Process::start(self, label, command)
    }

    /// Runs `work` on a thread inside the host's network, mount and UTS namespaces: sockets made
    /// there are the host's.
    ///
    /// # Errors
    /// Those of `work`, or when the host is gone. A panic of `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.run_in(Inside::Threads, work)
    }

    /// Like [`Host::run`], without waiting: for senders and listeners beside the test.
    pub fn thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> thread::JoinHandle<Result<T>> {
        let host = self.clone();
        thread::spawn(move || {
            host.inner.enter(Inside::Threads)?;
            work()
        })
    }

    /// Writes a sysctl of the host: `host.sysctl("net.ipv4.conf.all.arp_ignore", 1)`.
    ///
    /// # Errors
    /// When there is no such setting.
    pub fn sysctl(&self, key: &str, value: impl std::fmt::Display) -> Result<()> {
        let path = Path::new("/proc/sys").join(key.replace('.', "/"));
        let value = value.to_string();
        self.run(|| fs::write(&path, &value).with_context(|| format!("sysctl {key} = {value}")))
    }

    /// Reads a file as the host sees it (its `/proc`, `/sys`, `/run`).
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<String> {
        let path = path.as_ref();
        self.run(|| fs::read_to_string(path).with_context(|| path.display().to_string()))
    }

    /// Whether a path exists as the host sees it.
    #[must_use]
    pub fn has_path(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        self.run(|| Ok(path.exists())).unwrap_or(false)
    }

    /// Puts a directory of ours over one of the host's, e.g. an own `/etc/nginx`.
    ///
    /// # Errors
    /// That of mount(2).
    pub fn bind_mount(&self, ours: &Path, theirs: &Path) -> Result<()> {
        use nix::mount::{MsFlags, mount};
        self.run(|| {
            mount(
                Some(ours),
                theirs,
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
            .with_context(|| format!("bind {} to {}", ours.display(), theirs.display()))
        })
    }

    /// Power off: every process gets SIGKILL at once, nothing can say goodbye. Interfaces go with
    /// the last clone; [`Port::cut`](crate::topology::Port::cut) the cable first to take the carrier from the network.
    ///
    /// # Errors
    /// When the host does not die within 5 s.
    pub fn kill_power(&self) -> Result<()> {
        self.inner.kill()
    }

    pub(crate) fn run_in<T: Send>(
        &self,
        inside: Inside,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.inner.enter(inside)?;
                work()
            });
            thread
                .join()
                .unwrap_or_else(|payload| panic::resume_unwind(payload))
        })
    }
}

/// How much of a host a thread enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// Only the network: interfaces of several hosts can be named by their pids outside.
    Network,
    /// All but the pid namespace.
    Threads,
    /// All; children are born into the pid namespace. Such a thread can make no threads.
    Children,
}

impl Inside {
    fn includes(self, namespace: CloneFlags) -> bool {
        match self {
            Self::Network => namespace == CloneFlags::CLONE_NEWNET,
            Self::Threads => namespace != CloneFlags::CLONE_NEWPID,
            Self::Children => true,
        }
    }
}

#[derive(Debug)]
struct Inner {
    name: String,
    /// Global pid of the host's pid 1.
    pid: Pid,
    /// The parent of pid 1; its stdin is the pipe whose end ends the host.
    helper: Mutex<Child>,
    alive: AtomicBool,
    namespaces: Vec<(CloneFlags, File)>,
    dir: PathBuf,
}

impl Inner {
    fn boot(name: &str, dir: PathBuf) -> Result<Self> {
        let mut helper = Command::new(lab_binary()?)
            .args(["init", name])
            .env("PATH", require::search_path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `lab init`")?;
        let stdout = helper.stdout.take().context("stdout is piped")?;
        let pid = match init::read_ready(BufReader::new(stdout).lines()) {
            Ok(pid) => pid,
            Err(error) => {
                drop(helper.stdin.take());
                helper.wait()?;
                return Err(error);
            }
        };
        let open = |(flag, file): (CloneFlags, &str)| -> Result<_> {
            Ok((flag, File::open(format!("/proc/{pid}/ns/{file}"))?))
        };
        // The mount namespace last: after it, /proc is the host's.
        let namespaces = [
            (CloneFlags::CLONE_NEWPID, "pid"),
            (CloneFlags::CLONE_NEWNET, "net"),
            (CloneFlags::CLONE_NEWUTS, "uts"),
            (CloneFlags::CLONE_NEWNS, "mnt"),
        ]
        .into_iter()
        .map(open)
        .collect::<Result<_>>()?;
        Ok(Self {
            name: name.to_owned(),
            pid: Pid::from_raw(pid),
            helper: Mutex::new(helper),
            alive: AtomicBool::new(true),
            namespaces,
            dir,
        })
    }

    /// Moves the calling thread into the namespaces.
    fn enter(&self, inside: Inside) -> Result<()> {
        if !self.alive.load(Ordering::Acquire) {
            bail!("{} is powered off", self.name);
        }
        // A mount namespace can only be entered by a thread that shares its root with no other.
        unshare(CloneFlags::CLONE_FS)?;
        for (flag, file) in &self.namespaces {
            if inside.includes(*flag) {
                setns(file, *flag).with_context(|| format!("cannot enter {}", self.name))?;
            }
        }
        if inside == Inside::Children {
            // Programs inherit the mask of the thread that starts them; the demo's blocks SIGTERM.
            SigSet::all().thread_unblock()?;
        }
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        let mut helper = self.helper.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.alive.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        // The helper is pid 1's parent: while it has not been waited for, the pid is pid 1's.
        if helper.try_wait()?.is_none() {
            kill(self.pid, Signal::SIGKILL).ok();
        }
        drop(helper.stdin.take());
        // Processes we started in the host are our children: pid 1 lingers until each is waited
        // for, which their owners do. Its interfaces and mounts are gone before that.
        wait_for("pid 1 to die", Duration::from_secs(5), || {
            init::is_dead(self.pid)
        })
        .with_context(|| self.name.clone())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("cannot power off {}: {error:#}", self.name);
        }
        // All our children in the host are reaped by now, so pid 1 ends, and with it the helper.
        let helper = self
            .helper
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let ended = wait_for("`lab init` to end", Duration::from_secs(5), || {
            helper.try_wait().ok().flatten().is_some()
        });
        if let Err(error) = ended {
            eprintln!("{}: {error}", self.name);
            helper.kill().ok();
            helper.wait().ok();
        }
    }
}

/// The `lab` helper: `LAB_BIN`, or beside (or above `deps/` of) the running test binary.
fn lab_binary() -> Result<PathBuf> {
    sibling_binary("LAB_BIN", "lab")
}

/// A binary of this workspace, named by `variable` or built next to the running one.
///
/// # Errors
/// When it is not there.
pub fn sibling_binary(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return Ok(path.into());
    }
    let current = env::current_exe()?;
    current
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .with_context(|| {
            format!(
                "no `{name}` near {}: build it or set {variable}",
                current.display()
            )
        })
}
