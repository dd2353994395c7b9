//! Many connections that last: clients that say a word to their server again and again, and servers that
//! answer with who they are. A connection that ends, is silent, or is answered by another server is
//! *broken*.

mod server;

use std::{
    collections::BTreeMap,
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    netns::Host,
    wait::{pause, wait_for},
};

pub use server::Answering;

/// Connections from one host to one address. Dropping it closes them.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Rounds that are over; in each, every connection that lives has had an answer.
    rounds: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    living: BTreeMap<u8, usize>,
    broken: Vec<Broken>,
}

/// A connection that broke.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The client's address.
    pub client: SocketAddr,
    /// The server it was with.
    pub server: u8,
    /// What happened.
    pub error: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            client,
            server,
            error,
        } = self;
        write!(f, "{client} with server {server}: {error}")
    }
}

impl Fleet {
    /// Opens `count` connections to `target`, and keeps them busy.
    ///
    /// # Errors
    /// When one cannot be opened, or is not answered.
    pub fn open(host: &Host, target: SocketAddr, count: usize) -> Result<Self> {
        raise_descriptors()?;
        let mut ships = host.run(|| {
            let ship = |_| Ship::open(target);
            (0..count).map(ship).collect::<Result<Vec<_>>>()
        })?;
        let shared = Arc::new(Shared::default());
        shared.note(&ships, Vec::new());
        let for_thread = Arc::clone(&shared);
        // The sockets belong to the host's network wherever they are used.
        let thread = std::thread::spawn(move || {
            while !for_thread.stop.load(Ordering::Acquire) {
                let began = Instant::now();
                let broken = round(&mut ships);
                for_thread.note(&ships, broken);
                for_thread.rounds.fetch_add(1, Ordering::Release);
                pause(INTERVAL.saturating_sub(began.elapsed()));
            }
            Ok(())
        });
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Waits until every connection has said something new and was answered, or broke.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub fn wait_for_round(&self, limit: Duration) -> Result<()> {
        // The one under way began earlier.
        let wanted = self.rounds() + 2;
        wait_for("another round of the fleet", limit, || {
            let rounds = self.rounds();
            ensure!(rounds >= wanted, "{rounds} of {wanted}");
            Ok(())
        })?;
        Ok(())
    }

    /// Connections that live, by server.
    #[must_use]
    pub fn living(&self) -> BTreeMap<u8, usize> {
        self.shared.state().living.clone()
    }

    /// Connections that broke.
    #[must_use]
    pub fn broken(&self) -> Vec<Broken> {
        self.shared.state().broken.clone()
    }

    fn rounds(&self) -> u64 {
        self.shared.rounds.load(Ordering::Acquire)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, ships: &[Ship], broken: Vec<Broken>) {
        let mut state = self.state();
        state.living.clear();
        for ship in ships {
            *state.living.entry(ship.server).or_default() += 1;
        }
        state.broken.extend(broken);
    }
}

/// One connection.
struct Ship {
    stream: TcpStream,
    client: SocketAddr,
    server: u8,
    words: u32,
}

impl Ship {
    fn open(target: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&target, PATIENCE)
            .with_context(|| format!("cannot connect to {target}"))?;
        stream.set_nodelay(true)?;
        let mut ship = Self {
            client: stream.local_addr()?,
            stream,
            server: 0,
            words: 0,
        };
        ship.say()?;
        ship.server = ship.hear(PATIENCE)?;
        Ok(ship)
    }

    fn say(&mut self) -> Result<()> {
        self.words += 1;
        Ok(self.stream.write_all(&self.words.to_be_bytes())?)
    }

    /// Who answered.
    fn hear(&mut self, patience: Duration) -> Result<u8> {
        self.stream.set_read_timeout(Some(patience))?;
        let mut answer = [0; 5];
        self.stream.read_exact(&mut answer)?;
        let [server, word @ ..] = answer;
        ensure!(word == self.words.to_be_bytes(), "another answer");
        Ok(server)
    }

    fn exchange(&mut self, deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let server = self.hear(left.max(Duration::from_millis(1)))?;
        if server != self.server {
            bail!("answered by server {server}");
        }
        Ok(())
    }
}

/// Everybody says a word and hears the answer; those that do not are lost.
fn round(ships: &mut Vec<Ship>) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut keep = |ships: &mut Vec<Ship>, act: &dyn Fn(&mut Ship) -> Result<()>| {
        ships.retain_mut(|ship| match act(ship) {
            Ok(()) => true,
            Err(error) => {
                broken.push(Broken {
                    client: ship.client,
                    server: ship.server,
                    error: format!("{error:#}"),
                });
                false
            }
        });
    };
    keep(ships, &Ship::say);
    // One limit for all: many that are silent must not take many times as long.
    let deadline = Instant::now() + PATIENCE;
    keep(ships, &|ship| ship.exchange(deadline));
    broken
}

/// Thousands of sockets in one process, with those of the servers.
pub(crate) fn raise_descriptors() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}

/// From one word to the next.
const INTERVAL: Duration = Duration::from_millis(500);
/// Enough for several retransmissions on a machine that stalls.
const PATIENCE: Duration = Duration::from_secs(15);
