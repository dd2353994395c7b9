//! Captures the frames of an interface while a test runs; the pcap stays with the logs when it fails.
//!
//! Capture at the switch's port ([`Port::tap`](crate::topology::Port::tap)): on the balancer itself XDP
//! takes frames before a capture sees them. VLAN tags are not shown: the kernel takes them off.

use std::{
    fs::File,
    io::{BufWriter, IoSliceMut, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, anyhow};
use nix::{
    cmsg_space,
    errno::Errno,
    net::if_::if_nametoindex,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, RecvMsg, SockFlag,
            SockProtocol, SockType, recvmsg, setsockopt, socket, sockopt,
        },
        time::{TimeSpec, TimeVal, TimeValLike},
    },
};

use crate::{netns::Host, packet::Frame};

/// A capture under way. Dropping it stops it.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
    file: PathBuf,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// What to keep of what is heard.
    wanted: fn(&[u8]) -> bool,
    frames: Mutex<Vec<Captured>>,
}

/// One frame.
#[derive(Clone, Debug)]
pub struct Captured {
    /// When it was seen, by the kernel's timestamp: a busy machine reads it later.
    pub at: SystemTime,
    /// Whether the captured interface sent it (else it received it).
    pub outgoing: bool,
    /// From the destination MAC on.
    pub bytes: Vec<u8>,
}

impl Capture {
    /// Starts capturing what `device` of `host` sends and receives.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn start(host: &Host, device: &str) -> Result<Self> {
        Self::start_for(host, device, |_| true)
    }

    /// The same, keeping only frames of which `wanted` says so.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn start_for(host: &Host, device: &str, wanted: fn(&[u8]) -> bool) -> Result<Self> {
        let (socket, ifindex) = host.run(|| {
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )?;
            let poll = TimeVal::milliseconds(STOP_INTERVAL.as_millis().try_into()?);
            setsockopt(&socket, sockopt::ReceiveTimeout, &poll)?;
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
            setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
            Ok((socket, if_nametoindex(device)?))
        })?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            wanted,
            frames: Mutex::default(),
        });
        let receiver = Arc::clone(&shared);
        // The socket belongs to the host's network wherever it is read.
        let thread = std::thread::spawn(move || receiver.receive(&socket, ifindex));
        let file = host.dir().join(format!("{device}.pcap"));
        Ok(Self {
            shared,
            thread: Some(thread),
            file,
        })
    }

    /// Everything seen so far.
    #[must_use]
    pub fn frames(&self) -> Vec<Captured> {
        self.shared
            .frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many were seen so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared
            .frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// What was seen so far, read, with whether the captured interface sent it.
    #[must_use]
    pub fn parsed(&self) -> Vec<(bool, Frame)> {
        self.frames()
            .iter()
            .filter_map(|frame| Some((frame.outgoing, Frame::parse(&frame.bytes)?)))
            .collect()
    }

    /// Stops, and returns what was seen until now, read: also what still waited in the socket.
    ///
    /// # Errors
    /// When the capture failed on the way.
    pub fn stop(mut self) -> Result<Vec<(bool, Frame)>> {
        self.halt()?;
        Ok(self.parsed())
    }

    /// The same, as it was on the wire.
    ///
    /// # Errors
    /// When the capture failed on the way.
    pub fn into_frames(mut self) -> Result<Vec<Captured>> {
        self.halt()?;
        Ok(self.frames())
    }

    fn halt(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread
            .join()
            .map_err(|_| anyhow!("the capture panicked"))??;
        write_pcap(&self.file, &self.frames())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Err(error) = self.halt() {
            eprintln!("capture {}: {error:#}", self.file.display());
        }
    }
}

impl Shared {
    fn receive(&self, socket: &OwnedFd, ifindex: u32) -> Result<()> {
        let mut buffer = vec![0; 64 << 10];
        let mut control = cmsg_space!(TimeSpec);
        // When it was told to stop. What came before is still in the socket, and is read to its end.
        let mut end = None;
        loop {
            if end.is_none() && self.stop.load(Ordering::Acquire) {
                end = Some(SystemTime::now());
            }
            let flags = match end {
                Some(_) => MsgFlags::MSG_DONTWAIT,
                None => MsgFlags::empty(),
            };
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let received =
                recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags);
            let (length, from, at) = match received {
                Ok(message) => (message.bytes, message.address, seen_at(&message)?),
                Err(Errno::EAGAIN) if end.is_some() => return Ok(()),
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                // The interface went down, as when a test cuts a cable.
                Err(Errno::ENETDOWN) => continue,
                Err(error) => return Err(error.into()),
            };
            if end.is_some_and(|end| at > end) {
                return Ok(());
            }
            // The socket hears every interface of the host.
            let Some(from) = from.filter(|from| usize::try_from(ifindex) == Ok(from.ifindex()))
            else {
                continue;
            };
            if !(self.wanted)(&buffer[..length]) {
                continue;
            }
            let frame = Captured {
                at,
                outgoing: from.pkttype() == libc::PACKET_OUTGOING,
                bytes: buffer[..length].to_vec(),
            };
            self.frames
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(frame);
        }
    }
}

fn seen_at(message: &RecvMsg<'_, '_, LinkAddr>) -> Result<SystemTime> {
    let stamp = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::ScmTimestampns(at) => Some(UNIX_EPOCH + Duration::from(at)),
        _ => None,
    });
    Ok(stamp.unwrap_or_else(SystemTime::now))
}

/// The classic file format, microseconds, little endian, link type Ethernet.
fn write_pcap(path: &Path, frames: &[Captured]) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 0x0004_0000, 1] {
        file.write_all(&word.to_le_bytes())?;
    }
    for frame in frames {
        let at = frame.at.duration_since(UNIX_EPOCH)?;
        let length = u32::try_from(frame.bytes.len())?;
        // The format's seconds are 32 bits wide.
        let seconds = u32::try_from(at.as_secs())?;
        for word in [seconds, at.subsec_micros(), length, length] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&frame.bytes)?;
    }
    Ok(file.flush()?)
}

const STOP_INTERVAL: Duration = Duration::from_millis(20);
const RECEIVE_BUFFER: usize = 8 << 20;
