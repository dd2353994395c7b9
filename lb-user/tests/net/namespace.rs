//! Network namespaces of a test's own: gone with the last descriptor, also after a panic.

use std::{
    fs::{self, File},
    os::fd::AsRawFd as _,
    process::Command,
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

/// Whether namespaces can be made. If not, says so, and fails where nothing may be skipped.
pub(crate) fn can_make_namespaces() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "needs root: nothing may be skipped under CI"
    );
    eprintln!("SKIPPED: needs root to make network namespaces");
    false
}

/// One network namespace.
pub(crate) struct Namespace {
    descriptor: File,
}

impl Namespace {
    /// A new one, with its loopback interface up.
    pub(crate) fn new() -> Self {
        let descriptor = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may");
            // Nobody else is here: do not spend seconds on asking.
            fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").expect("IPv6 is on");
            File::open("/proc/thread-self/ns/net").expect("every thread has one")
        })
        .join()
        .expect("the thread made a namespace");
        let namespace = Self { descriptor };
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs something on a thread of its own in the namespace.
    pub(crate) fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.descriptor, CloneFlags::CLONE_NEWNET).expect("root may");
                job()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// The same, for a job that outlives the call.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let descriptor = self.descriptor.try_clone().expect("a descriptor is free");
        thread::spawn(move || {
            setns(&descriptor, CloneFlags::CLONE_NEWNET).expect("root may");
            drop(descriptor);
            job()
        })
    }

    /// Runs `ip` with these words, which must succeed; its output.
    pub(crate) fn ip(&self, words: &str) -> String {
        let output = self.run(|| Command::new("ip").args(words.split_whitespace()).output());
        let output = output.expect("iproute2 is installed");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {words}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A name of it for `ip link … netns`.
    pub(crate) fn path(&self) -> String {
        let (process, descriptor) = (std::process::id(), self.descriptor.as_raw_fd());
        format!("/proc/{process}/fd/{descriptor}")
    }
}
