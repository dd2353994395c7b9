//! Path MTUs to the ends of tunnels, as far as routers have told: forgotten after a while, because a path
//! that has become wider says nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::{
    config::{
        Config,
        model::{Forwarding, TunnelSource},
    },
    net::too_big::TooBig,
};

/// By backend.
#[derive(Debug, Default)]
pub(super) struct Paths {
    mtus: BTreeMap<IpAddr, u32>,
    until: BTreeMap<IpAddr, Instant>,
}

impl Paths {
    /// Bytes of IP that get through, outer header included.
    pub(super) fn mtus(&self) -> &BTreeMap<IpAddr, u32> {
        &self.mtus
    }

    /// Takes note of what a router said, if it can be true: about a packet that we send, to where we send
    /// it. Whether something is different now.
    pub(super) fn learn(
        &mut self,
        said: &TooBig,
        config: &Config,
        own: &BTreeSet<IpAddr>,
        now: Instant,
    ) -> bool {
        let ours = own.contains(&said.source)
            || matches!(&config.datapath.tunnel_source, Some(TunnelSource::Prefix(prefix)) if prefix.contains(&said.source));
        let tunnels = config
            .services
            .iter()
            .flat_map(|service| &service.backends)
            .any(|b| b.forwarding == Forwarding::Tunnel && b.address == said.destination);
        if !ours || !tunnels {
            return false;
        }
        let mtu = fitting(said);
        let known = self.mtus.get(&said.destination).copied();
        if known.is_some_and(|known| known < mtu) {
            return false;
        }
        self.until.insert(said.destination, now + KEPT);
        self.mtus.insert(said.destination, mtu);
        let news = known != Some(mtu);
        if news {
            tracing::info!(backend = %said.destination, mtu, "a router says that the path is narrower");
        }
        news
    }

    /// Forgets what is too old. Whether something is different now.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.mtus.len();
        self.until.retain(|_, until| *until > now);
        self.mtus
            .retain(|backend, _| self.until.contains_key(backend));
        self.mtus.len() != before
    }
}

/// What fits, within the bounds of what can be: below them somebody lies, to make work.
fn fitting(said: &TooBig) -> u32 {
    let least = if said.destination.is_ipv4() {
        LEAST_V4
    } else {
        LEAST_V6
    };
    let told = if said.mtu == 0 {
        // RFC 1191 section 7: the next plateau below what did not fit.
        let below = PLATEAUS.into_iter().find(|plateau| *plateau < said.length);
        below.unwrap_or(least)
    } else {
        said.mtu
    };
    told.max(least)
}

/// As long as the kernel keeps what it learns (`net.ipv4.route.mtu_expires`, RFC 1191 section 6.3).
const KEPT: Duration = Duration::from_secs(600);
/// As the kernel's `net.ipv4.route.min_pmtu`.
const LEAST_V4: u32 = 552;
/// RFC 8200 section 5.
const LEAST_V6: u32 = 1280;
/// RFC 1191 section 7.1.
const PLATEAUS: [u32; 6] = [8166, 4352, 2002, 1492, 1006, 552];

#[cfg(test)]
mod tests;
