//! The servers' side: one thread and poll(2).

use std::{
    io::{self, Read, Write},
    net::{Ipv6Addr, TcpListener, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::Result;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};

use crate::netns::Host;

/// A server of a [`Fleet`](super::Fleet). Dropping it is its death: all its connections end.
#[derive(Debug)]
pub struct Answering {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Answering {
    /// Starts server `name` on these ports of every address of `host`.
    ///
    /// # Errors
    /// When a port is taken.
    pub fn start(host: &Host, ports: &[u16], name: u8) -> Result<Self> {
        super::raise_descriptors()?;
        let listen = |port: &u16| {
            let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
            socket.set_only_v6(false)?;
            socket.set_reuse_address(true)?;
            socket.bind(&std::net::SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port)).into())?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            Ok(TcpListener::from(socket))
        };
        let listeners = host.run(|| ports.iter().map(listen).collect::<Result<Vec<_>>>())?;
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(&listeners, name, &until));
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(listeners: &[TcpListener], name: u8, stop: &AtomicBool) -> Result<()> {
    let mut streams: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let fds = listeners.iter().map(AsFd::as_fd);
        let fds = fds.chain(streams.iter().map(AsFd::as_fd));
        let ready = wait(fds)?;
        // Those that are accepted now are looked at in the next turn.
        let (doors, words) = ready.split_at(listeners.len());
        let mut words = words.iter().copied().chain(std::iter::repeat(false));
        streams.retain_mut(|stream| !words.next().unwrap_or(false) || answer(stream, name));
        for (listener, _) in listeners.iter().zip(doors).filter(|(_, open)| **open) {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
        }
    }
    Ok(())
}

/// Which of these can be read, after a moment at most.
fn wait<'fd>(fds: impl Iterator<Item = BorrowedFd<'fd>>) -> Result<Vec<bool>> {
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    match poll(&mut fds, PollTimeout::from(50u16)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
    Ok(fds.iter().map(ready).collect())
}

/// Answers a word. Whether the connection goes on.
fn answer(stream: &mut TcpStream, name: u8) -> bool {
    let mut word = [0; 4];
    match stream.read_exact(&mut word) {
        Ok(()) => {
            let [a, b, c, d] = word;
            stream.write_all(&[name, a, b, c, d]).is_ok()
        }
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

const BACKLOG: i32 = 4096;
