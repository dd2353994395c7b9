//! The emulator: one run, its output passed on as it comes, no leftovers.
//!
//! The guest speaks through three serial ports (output, errors, exit code), which are sockets here.
//! qemu dies with us (`setpriv --pdeathsig`), also when we are killed.

use std::{
    env, fs,
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::kernel::Kernel;
use crate::{setup::cache, sh};

/// Boots `kernel` with `initramfs` and waits until it is off.
pub(super) fn run(kernel: &Kernel, initramfs: &[u8], timeout: Duration) -> Result<ExitCode> {
    let scratch = Scratch::new()?;
    let image = scratch.path("initramfs");
    fs::write(&image, initramfs).with_context(|| format!("cannot write {}", image.display()))?;
    let listen = |name| {
        let path = scratch.path(name);
        UnixListener::bind(&path).with_context(|| format!("cannot listen at {}", path.display()))
    };
    let [out, err, code] = PORTS.map(listen);
    let (out, err) = (pass_on(out?, io::stdout()), pass_on(err?, io::stderr()));
    let code = collect(code?);
    let mut machine = Machine::start(&scratch, kernel, &image)?;

    // The port closes when qemu ends, whatever the reason.
    let code = match code.recv_timeout(timeout) {
        Ok(text) => text?,
        Err(_) => bail!(
            "the machine was switched off after {} s; it had said:\n{}",
            timeout.as_secs(),
            scratch.console()
        ),
    };
    let qemu = machine.wait()?;
    for printed in [out, err] {
        printed
            .join()
            .map_err(|_| anyhow!("the reader of a port panicked"))?
            .context("cannot pass on the guest's output")?;
    }
    let code = code.trim().parse::<u8>();
    code.map(ExitCode::from).map_err(|_| {
        anyhow!(
            "the machine ended before the command did; it had said:\n{qemu}{}",
            scratch.console()
        )
    })
}

/// Copies what comes through a port, until the guest is off.
fn pass_on(
    port: UnixListener,
    mut to: impl Write + Send + 'static,
) -> thread::JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let (mut from, _) = port.accept()?;
        let mut buffer = [0; 4096];
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok(()),
                length => to.write_all(&buffer[..length]).and_then(|()| to.flush())?,
            }
        }
    })
}

/// All that comes through a port, once the guest is off.
fn collect(port: UnixListener) -> mpsc::Receiver<Result<String>> {
    let (done, receiver) = mpsc::channel();
    thread::spawn(move || {
        let read = || {
            let mut text = String::new();
            port.accept()?.0.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|error: io::Error| anyhow!("cannot read a port: {error}"));
        // Nobody waits any more after the time-out.
        drop(done.send(text));
    });
    receiver
}

/// The running emulator; dropping it ends it.
struct Machine {
    child: Child,
    said: Option<thread::JoinHandle<String>>,
}

impl Machine {
    fn start(scratch: &Scratch, kernel: &Kernel, initramfs: &Path) -> Result<Self> {
        let mut command = emulator(scratch, kernel, initramfs);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run `{}`", sh::display(&command)))?;
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let ports = PORTS.map(|name| scratch.path(name));
        let said = thread::spawn(move || {
            let mut text = String::new();
            drop(stderr.read_to_string(&mut text));
            // It has ended. If it never connected, whoever waits for that is to see an end, too.
            for port in ports {
                drop(UnixStream::connect(port));
            }
            text
        });
        Ok(Self {
            child,
            said: Some(said),
        })
    }

    /// Waits for the end; returns what qemu itself had to say.
    fn wait(&mut self) -> Result<String> {
        self.child.wait().context("cannot wait for qemu")?;
        let said = self.said.take().and_then(|said| said.join().ok());
        Ok(said.unwrap_or_default())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It has ended, in the good case.
        drop(self.child.kill());
        drop(self.wait());
    }
}

fn emulator(scratch: &Scratch, kernel: &Kernel, initramfs: &Path) -> Command {
    let mut command = sh::command("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args([
            "-machine",
            "q35",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
        ])
        .args(["-smp", "2", "-m", "3072"])
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", KERNEL_OPTIONS])
        .args([
            "-virtfs",
            "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
        ])
        .args(["-device", "virtio-serial-pci"])
        .arg("-serial")
        .arg(format!("file:{}", scratch.path(CONSOLE).display()));
    for (number, name) in (1..).zip(PORTS) {
        let path = scratch.path(name);
        command
            .arg("-chardev")
            .arg(format!("socket,id={name},path={}", path.display()))
            .arg("-device")
            .arg(format!("virtserialport,chardev={name},nr={number}"));
    }
    command
}

/// A directory for one run. In the temporary directory, because paths of sockets are short.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let dir = env::temp_dir().join(format!("ballast-vm-{}", process::id()));
        cache::remove_dir(&dir)?;
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self(dir))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The end of what the kernel said.
    fn console(&self) -> String {
        let text = fs::read(self.path(CONSOLE)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = cache::remove_dir(&self.0) {
            eprintln!("{error:#}");
        }
    }
}

/// The guest's ports, in the order of their numbers, which `initramfs::INIT` knows.
const PORTS: [&str; 3] = ["out", "err", "code"];
const CONSOLE: &str = "console";
/// Lines of the console that an error shows.
const CONSOLE_LINES: usize = 40;
/// A panic ends the machine; numbers of the CPU are trusted, because nobody types here.
const KERNEL_OPTIONS: &str =
    "console=ttyS0 loglevel=4 panic=-1 random.trust_cpu=on mitigations=off";
