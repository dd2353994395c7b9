//! Adverts that nobody may listen to, each wrong in one thing, all of priority 254 unless they say otherwise.

mod attacks;
mod forge;

use std::net::Ipv4Addr;

use anyhow::Result;
use nix::{
    net::if_::if_nametoindex,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::{Sum, Version, VirtualRouter};
use crate::{
    netns::Host,
    sys,
    topology::{Node, VIP, VIP6},
};
use attacks::Attack;
use forge::Forge;

/// A forged advert.
#[derive(Clone, Debug)]
pub struct Forged {
    /// What is wrong with it.
    pub what: &'static str,
    /// Under which of these names it is counted: the first fault that is found counts.
    pub reasons: &'static [&'static str],
    /// The frame.
    pub frame: Vec<u8>,
}

/// The virtual routers that [`corpus`] attacks, as the node `own` with this `peer` would configure them:
/// version 2 with a password, version 3, version 3 by unicast, version 3 over IPv6.
#[must_use]
pub fn targets(own: Ipv4Addr, peer: Ipv4Addr) -> Vec<VirtualRouter> {
    vec![
        VirtualRouter::new("v2", V2, Version::V2)
            .password(PASSWORD)
            .address(VIP),
        VirtualRouter::new("v3", V3, Version::V3).address([10, 0, 0, 126]),
        VirtualRouter::new("unicast", UNICAST, Version::V3)
            .unicast(own, peer)
            .address([10, 0, 0, 127]),
        VirtualRouter::new("v6", V6, Version::V3).address(VIP6),
    ]
}

/// Frames against `node`, whose peer is `peer`, from `attacker`.
#[must_use]
pub fn corpus(node: &Node, peer: &Node, attacker: &Node) -> Vec<Forged> {
    let attack = Attack {
        node,
        peer,
        attacker,
    };
    let cases = [
        attack.origin(),
        attack.identity(),
        attack.content(),
        attack.length(),
    ];
    let forged = |(what, reasons, forge): attacks::Case| Forged {
        what,
        reasons,
        frame: forge.frame(),
    };
    cases.into_iter().flatten().map(forged).collect()
}

/// What is right with all of them: an advert of version 3 for router `id` and [`VIP`], with this priority, as
/// `from` would send it: to `to` alone, or to the group.
#[must_use]
pub fn genuine(from: &Node, to: Option<&Node>, id: u8, priority: u8, sum: Sum) -> Vec<u8> {
    let group = forge::GROUP.into();
    let mut forge = Forge::v3(id, from.v4.into(), group, from.port.mac());
    if let Some(to) = to {
        forge.destination = to.v4.into();
        forge.to_mac = to.port.mac();
    }
    forge.priority(priority).sum(sum).frame()
}

/// Sends a frame out of `eth0` of `host`, as it is.
///
/// # Errors
/// When it cannot be sent.
pub fn send(host: &Host, frame: &[u8]) -> Result<()> {
    host.run(|| {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        Ok(sys::send_frame(&socket, if_nametoindex("eth0")?, frame)?)
    })
}

const V2: u8 = 51;
const V3: u8 = 52;
const UNICAST: u8 = 53;
const V6: u8 = 54;
const PASSWORD: &str = "secret";
