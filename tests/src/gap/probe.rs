//! The client's side: numbered datagrams at a steady pace, and the kernel's word on when answers came.

use std::{
    io::IoSliceMut,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, anyhow};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt},
        time::TimeSpec,
    },
};

use super::{
    PRIORITY,
    analysis::{Trace, nanos},
    canary::Canary,
};
use crate::{netns::Host, sys, wait::pause, wait::wait_for};

/// Probes under way. Dropping them stops them.
#[derive(Debug)]
pub struct Probes {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
    canary: Option<Canary>,
}

#[derive(Debug, Default)]
struct Shared {
    stop_sending: AtomicBool,
    stop: AtomicBool,
    sent: Mutex<Vec<u64>>,
    answers: Mutex<Vec<(u64, u64)>>,
    answered: AtomicU64,
}

impl Probes {
    /// Starts sending from `host` to `target`, one a millisecond, with a canary beside.
    ///
    /// # Errors
    /// When no socket can be made.
    pub fn start(host: &Host, target: SocketAddr) -> Result<Self> {
        let socket = host.run(|| {
            let any: SocketAddr = if target.is_ipv4() {
                ([0, 0, 0, 0], 0).into()
            } else {
                ([0_u16; 8], 0).into()
            };
            // Not connected: an ICMP error while nobody is master must not end anything.
            Ok(UdpSocket::bind(any)?)
        })?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        socket.set_read_timeout(Some(STOP_INTERVAL))?;
        let shared = Arc::new(Shared::default());
        let sender = (Arc::clone(&shared), socket.try_clone()?);
        let receiver = Arc::clone(&shared);
        let threads = vec![
            std::thread::spawn(move || sender.0.send(&sender.1, target)),
            std::thread::spawn(move || receiver.receive(&socket)),
        ];
        Ok(Self {
            shared,
            threads,
            canary: Some(Canary::start()),
        })
    }

    /// Answers so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Acquire)
    }

    /// Waits for `count` more answers than now.
    ///
    /// # Errors
    /// When they have not come within `limit`.
    pub fn wait_for_more(&self, count: u64, limit: Duration) -> Result<()> {
        let goal = self.answered() + count;
        wait_for(&format!("{count} more answers"), limit, || {
            let answered = self.answered();
            (answered >= goal)
                .then_some(())
                .ok_or(format!("{answered} so far"))
        })?;
        Ok(())
    }

    /// Stops, waits a moment for late answers, and returns everything.
    ///
    /// # Errors
    /// When sending or receiving failed on the way.
    pub fn stop(mut self) -> Result<Trace> {
        self.shared.stop_sending.store(true, Ordering::Release);
        // The last ones are on their way; without an answer they are lost, however long we wait.
        let all =
            || usize::try_from(self.answered()).is_ok_and(|n| n >= lock(&self.shared.sent).len());
        wait_for("the last answers", LATE, all).ok();
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread
                .join()
                .map_err(|_| anyhow!("a probe thread panicked"))??;
        }
        let canary = self.canary.take();
        let overslept = canary.map_or(Ok(Vec::new()), Canary::stop)?;
        let sent = std::mem::take(&mut *lock(&self.shared.sent));
        let mut answered = vec![None; sent.len()];
        for (number, at) in lock(&self.shared.answers).drain(..) {
            let slot = usize::try_from(number)
                .ok()
                .and_then(|n| answered.get_mut(n));
            if let Some(slot) = slot {
                slot.get_or_insert(at);
            }
        }
        Ok(Trace {
            sent,
            answered,
            overslept,
        })
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.shared.stop_sending.store(true, Ordering::Release);
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Shared {
    fn send(&self, socket: &UdpSocket, target: SocketAddr) -> Result<()> {
        sys::set_realtime(PRIORITY).ok();
        let mut next = Instant::now();
        for number in 0_u64.. {
            if self.stop_sending.load(Ordering::Acquire) {
                break;
            }
            lock(&self.sent).push(now());
            // Refused (no neighbour, no carrier) is lost, as it is for any client.
            socket.send_to(&number.to_be_bytes(), target).ok();
            next += PACE;
            pause(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    fn receive(&self, socket: &UdpSocket) -> Result<()> {
        sys::set_realtime(PRIORITY).ok();
        let mut control = cmsg_space!(TimeSpec);
        let mut buffer = [0; 8];
        while !self.stop.load(Ordering::Acquire) {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let message = recvmsg::<SockaddrStorage>(
                socket.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::empty(),
            );
            let at = match message {
                Ok(message) => message.cmsgs()?.find_map(|part| match part {
                    ControlMessageOwned::ScmTimestampns(at) => Some(at),
                    _ => None,
                }),
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                // ICMP errors arrive at sockets that asked for them only; this one did not.
                Err(error) => return Err(error.into()),
            };
            let at = at.map_or_else(now, |at| nanos(Duration::from(at)));
            let number = u64::from_be_bytes(buffer);
            lock(&self.answers).push((number, at));
            self.answered.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// The real-time clock, nanoseconds.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, nanos)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const PACE: Duration = Duration::from_millis(1);
const STOP_INTERVAL: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_millis(300);
const RECEIVE_BUFFER: usize = 4 << 20;
