//! The kernel's IPVS, over a generic netlink socket of the calling thread's network namespace.
//!
//! Calls block, and not for long: the kernel works inside the system call that sends a request, and
//! the answer is there when that returns.

use std::{collections::BTreeSet, io, sync::atomic::AtomicU32};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

use super::{
    table::{Seen, SyncDaemon},
    wire::{self, Malformed, Reply, Request},
};

/// IPVS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The kernel has no such family.
    #[error(
        "this kernel has no IPVS: load its module (`modprobe ip_vs`; to have it at boot: \
         `echo ip_vs > /etc/modules-load.d/ip_vs.conf`), or run a kernel that has it (CONFIG_IP_VS)"
    )]
    NoIpvs,
    /// No socket.
    #[error("cannot open a generic netlink socket")]
    Socket(#[source] io::Error),
    /// The family cannot be asked for.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// A request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It could not be sent, or the answer not be received.
    #[error("cannot speak with the kernel's IPVS")]
    Socket(#[source] io::Error),
    /// The answer makes no sense.
    #[error("the kernel's IPVS sent what cannot be read")]
    Malformed(#[from] Malformed),
    /// The kernel said no.
    #[error("IPVS refused to {what}{}", hint(.error))]
    Refused {
        /// What was asked.
        what: String,
        /// Its reason.
        #[source]
        error: io::Error,
    },
}

/// A connection to IPVS.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    family: u16,
    sequence: AtomicU32,
}

impl Client {
    /// Connects to this network namespace's IPVS.
    ///
    /// # Errors
    /// There is none, or it cannot be asked.
    pub fn open() -> Result<Self, OpenError> {
        let mut socket = Socket::new(NETLINK_GENERIC).map_err(OpenError::Socket)?;
        socket.bind_auto().map_err(OpenError::Socket)?;
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(OpenError::Socket)?;
        // Whatever is not there when the kernel has worked will never be.
        socket.set_non_blocking(true).map_err(OpenError::Socket)?;
        let mut client = Self {
            socket,
            family: 0,
            sequence: AtomicU32::new(0),
        };
        match client.call(&Request::Family) {
            Ok(replies) => {
                let family = replies.iter().find_map(|reply| match reply {
                    Reply::Family(family) => Some(*family),
                    _ => None,
                });
                client.family = family.ok_or(OpenError::NoIpvs)?;
                Ok(client)
            }
            Err(CallError::Refused { error, .. })
                if error.raw_os_error() == Some(nix::libc::ENOENT) =>
            {
                Err(OpenError::NoIpvs)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The whole table, with counters.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn table(&self) -> Result<Seen, CallError> {
        let mut table = Seen::new();
        for reply in self.call(&Request::Services)? {
            if let Reply::Service(key, service) = reply {
                table.insert(key, service);
            }
        }
        for (key, service) in &mut table {
            for reply in self.call(&Request::Destinations(*key))? {
                if let Reply::Destination(destination, seen) = reply {
                    service.destinations.insert(destination, seen);
                }
            }
        }
        Ok(table)
    }

    /// The sync daemons that run.
    ///
    /// # Errors
    /// They cannot be asked for.
    pub fn daemons(&self) -> Result<BTreeSet<SyncDaemon>, CallError> {
        let replies = self.call(&Request::Daemons)?;
        let daemons = replies.into_iter().filter_map(|reply| match reply {
            Reply::Daemon(daemon) => Some(daemon),
            _ => None,
        });
        Ok(daemons.collect())
    }

    /// Does what is asked.
    ///
    /// # Errors
    /// The kernel says no.
    pub fn apply(&self, request: &Request) -> Result<(), CallError> {
        self.call(request).map(drop)
    }

    fn call(&self, request: &Request) -> Result<Vec<Reply>, CallError> {
        let sequence = self
            .sequence
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let message = request.encode(self.family, sequence);
        self.socket.send(&message, 0).map_err(CallError::Socket)?;
        let mut replies = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full().map_err(CallError::Socket)?;
            for (of, reply) in wire::decode(&datagram)? {
                match reply {
                    // A late answer to a call that failed half way.
                    _ if of != sequence => {}
                    Reply::Status(0) | Reply::End => return Ok(replies),
                    Reply::Status(errno) => {
                        return Err(CallError::Refused {
                            what: describe(request),
                            error: io::Error::from_raw_os_error(errno),
                        });
                    }
                    other => replies.push(other),
                }
            }
        }
    }
}

/// A request in words that follow "refused to".
fn describe(request: &Request) -> String {
    match request {
        Request::Family => "name its family".to_owned(),
        Request::Services => "list its services".to_owned(),
        Request::Destinations(service) => format!("list the real servers of {service}"),
        Request::AddService(service, settings) => {
            format!(
                "add the service {service} with scheduler {}",
                settings.scheduler
            )
        }
        Request::SetService(service, settings) => {
            format!(
                "change the service {service} to scheduler {}",
                settings.scheduler
            )
        }
        Request::RemoveService(service) => format!("remove the service {service}"),
        Request::AddDestination(service, server, _) => {
            format!("add the real server {server} to {service}")
        }
        Request::SetDestination(service, server, _) => {
            format!("change the real server {server} of {service}")
        }
        Request::RemoveDestination(service, server) => {
            format!("remove the real server {server} from {service}")
        }
        Request::Daemons => "list its sync daemons".to_owned(),
        Request::StartDaemon(daemon) => {
            format!("synchronise connections through {}", daemon.interface)
        }
        Request::StopDaemon(daemon) => {
            format!("stop synchronising through {}", daemon.interface)
        }
    }
}

/// What the kernel's numbers mean here (`ip_vs_ctl.c`).
fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(nix::libc::ENOENT) => " (a scheduler is a module of its own, `ip_vs_NAME`)",
        Some(nix::libc::EPERM) => " (it takes CAP_NET_ADMIN)",
        Some(nix::libc::ENODEV) => " (there is no such interface)",
        _ => "",
    }
}
