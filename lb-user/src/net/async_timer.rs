//! A timer that is right to some microseconds.
//!
//! The runtime's own are rounded up to whole milliseconds, one of which is a tenth of the shortest
//! advertisement interval: a master's silence would be noticed that much later than it could be.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::Instant,
};

use nix::sys::{
    time::TimeSpec,
    timer::{Expiration, TimerSetTimeFlags},
    timerfd::{ClockId, TimerFd, TimerFlags},
};
use tokio::io::unix::AsyncFd;

use super::async_socket::register;

/// One timer of the kernel's, registered with the runtime it was made in.
#[derive(Debug)]
pub(crate) struct AsyncTimer {
    timer: TimerFd,
    wakes: AsyncFd<OwnedFd>,
    /// What the kernel was last told.
    armed: Option<Instant>,
}

impl AsyncTimer {
    /// A timer that waits for nothing.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let wakes = register(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self {
            timer,
            wakes,
            armed: None,
        })
    }

    /// Waits until then; without a time, for ever. Cancel safe.
    pub(crate) async fn sleep_until(&mut self, at: Option<Instant>) {
        let Some(at) = at else {
            return std::future::pending().await;
        };
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if self.sleep(at, TimeSpec::from(left)).await.is_err() {
                // Later than could be, but not never.
                return tokio::time::sleep_until(at.into()).await;
            }
        }
    }

    /// Until the kernel says that a time has come; it may be one set before.
    async fn sleep(&mut self, at: Instant, left: TimeSpec) -> io::Result<()> {
        if self.armed != Some(at) {
            let once = Expiration::OneShot(left);
            self.timer.set(once, TimerSetTimeFlags::empty())?;
            self.armed = Some(at);
        }
        self.wakes.readable().await?.clear_ready();
        self.armed = None;
        // Nothing to read: what was readable has been set anew since.
        self.timer.wait().ok();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_time_is_waited_for_and_not_forgotten_when_another_comes_first() {
        let mut timer = AsyncTimer::new().unwrap();
        let start = Instant::now();
        let later = start + Duration::from_secs(3600);
        let soon = start + Duration::from_millis(20);

        for at in [Some(later), None] {
            tokio::select! {
                biased;
                () = timer.sleep_until(at) => panic!("{at:?} has not come"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        timer.sleep_until(Some(soon)).await;
        assert!(Instant::now() >= soon);

        // Ran out while nobody waited for it; the next one is not taken for it.
        let cut = Instant::now() + Duration::from_millis(5);
        tokio::select! {
            biased;
            () = timer.sleep_until(Some(cut)) => {}
            () = tokio::task::yield_now() => {}
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let next = Instant::now() + Duration::from_millis(20);
        timer.sleep_until(Some(next)).await;
        assert!(Instant::now() >= next);
    }

    #[tokio::test]
    async fn what_is_past_is_not_waited_for() {
        let mut timer = AsyncTimer::new().unwrap();
        tokio::select! {
            biased;
            () = timer.sleep_until(Some(Instant::now())) => {}
            () = std::future::ready(()) => panic!("it waited"),
        }
    }
}
