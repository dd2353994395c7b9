//! Who has an address: asked of a whole link, with all the answers, and without a trace in the kernel's
//! tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    io,
    net::IpAddr,
    time::Duration,
};

use futures_util::future;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    socket::{Family, ProbeSocket},
    wire,
};
use crate::types::{IfIndex, Mac};

/// Who has this address?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The address.
    pub address: IpAddr,
    /// Who asks. For IPv4 `None` asks as a host does before it takes an address (RFC 5227): nobody
    /// learns anything from it. IPv6 needs an address to answer to.
    pub source: Option<IpAddr>,
}

/// Everybody who answered for each address: asked three times, evenly, during `window`. Addresses that
/// could not be asked for, for want of a source, are not in there; those nobody has are, with nobody.
///
/// Needs CAP_NET_RAW, in the network namespace of the interface and of the calling thread.
///
/// # Panics
/// Outside of a tokio runtime with I/O and time.
///
/// # Errors
/// No packet socket can be had.
pub async fn ask(
    interface: IfIndex,
    mac: Mac,
    questions: &[Question],
    window: Duration,
) -> io::Result<BTreeMap<IpAddr, BTreeSet<Mac>>> {
    let mut answers = BTreeMap::new();
    let mut families = Vec::new();
    for family in [Family::Arp, Family::Ndp] {
        let frames = frames(family, mac, questions, &mut answers);
        if !frames.is_empty() {
            families.push((ProbeSocket::open(interface, family)?, frames));
        }
    }
    if families.is_empty() {
        return Ok(answers);
    }
    let start = Instant::now();
    let sending = async {
        for round in 0..ROUNDS {
            sleep_until(start + window * round / ROUNDS).await;
            for (socket, frames) in &families {
                for frame in frames {
                    // A full queue costs one of three attempts.
                    socket.send(frame).ok();
                }
            }
        }
        future::pending::<()>().await;
    };
    let receiving = async {
        loop {
            let next = families
                .iter()
                .map(|(socket, _)| Box::pin(poll_fn(|context| socket.poll_receive(context))));
            let (frame, ..) = future::select_all(next).await;
            let Ok(frame) = frame else { continue };
            if let Some((address, mac)) = wire::parse_reply(&frame)
                && let Some(holders) = answers.get_mut(&address)
            {
                holders.insert(mac);
            }
        }
    };
    let both = async {
        tokio::select! { () = sending => {}, () = receiving => {} }
    };
    // It never ends by itself: the window is the end.
    timeout_at(start + window, both).await.unwrap_or(());
    Ok(answers)
}

/// The frames that ask, and an entry for each address asked for.
fn frames(
    family: Family,
    mac: Mac,
    questions: &[Question],
    answers: &mut BTreeMap<IpAddr, BTreeSet<Mac>>,
) -> Vec<Vec<u8>> {
    let ours = questions
        .iter()
        .filter(|q| q.address.is_ipv4() == (family == Family::Arp));
    let mut frames = Vec::new();
    for question in ours {
        if let Some(frame) = wire::request(question.address, mac, question.source, None) {
            answers.entry(question.address).or_default();
            frames.push(frame);
        }
    }
    frames
}

/// How often is asked.
const ROUNDS: u32 = 3;
