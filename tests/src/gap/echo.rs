//! The real server's side: whatever comes goes back.

use std::{
    net::{IpAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;

use super::PRIORITY;
use crate::{netns::Host, sys};

/// An echo at a virtual address of a real server. Dropping it stops it within a moment.
#[derive(Debug)]
pub struct Echo(Arc<AtomicBool>);

impl Echo {
    /// Starts it on `host`, which has `vip`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(host: &Host, vip: IpAddr) -> Result<Self> {
        let socket = host.run(|| Ok(UdpSocket::bind((vip, ECHO_PORT))?))?;
        socket.set_read_timeout(Some(STOP_INTERVAL))?;
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        // The socket belongs to the host's network wherever it is read.
        std::thread::spawn(move || {
            sys::set_realtime(PRIORITY).ok();
            let mut buffer = [0; 64];
            while !until.load(Ordering::Acquire) {
                if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    socket.send_to(&buffer[..length], from).ok();
                }
            }
        });
        Ok(Self(stop))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The service's port.
pub const ECHO_PORT: u16 = 9000;
const STOP_INTERVAL: Duration = Duration::from_millis(50);
