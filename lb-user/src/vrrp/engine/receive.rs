//! From a socket to a machine.

use std::{net::IpAddr, time::Instant};

use super::{
    super::{
        accept::{self, Header, Rejected},
        machine::Input,
        socket::Received,
        wire::{self, Advert, ChecksumForm, Envelope},
    },
    Engine, Place, UnitId,
    port::PortKey,
    router::Router,
};
use crate::{
    config::model::{Family, VrrpVersion},
    types::Priority,
};

impl Engine {
    /// Reads every socket empty, up to a limit that keeps a flood from holding up the timers.
    pub(super) fn receive_all(&mut self, now: Instant) {
        let keys: Vec<PortKey> = self.ports.keys().cloned().collect();
        let mut buffer = std::mem::replace(&mut self.buffer, Box::new([0; super::RECEIVE_BUFFER]));
        for key in &keys {
            for _ in 0..RECEIVE_LIMIT {
                let Some((_, socket)) = self.ports.get(key).and_then(|port| port.socket.as_ref())
                else {
                    break;
                };
                match socket.try_receive(&mut buffer[..]) {
                    Ok(Some(received)) => {
                        if let Some(unit) = self.receive(key, &received, now) {
                            self.act(unit);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        // The interface went down, say: link events tell what to do about it.
                        tracing::debug!(interface = %key.0, %error, "a socket of VRRP cannot be read");
                        break;
                    }
                }
            }
        }
        self.buffer = buffer;
    }

    /// One packet. The unit that took it.
    fn receive(&mut self, key: &PortKey, received: &Received<'_>, now: Instant) -> Option<UnitId> {
        let Some(place) = self.claimed_by(key, received.payload) else {
            let reason = if received.payload.len() < 2 {
                "truncated"
            } else {
                "virtual_router_id"
            };
            *self.unclaimed.entry(reason).or_default() += 1;
            return None;
        };
        let router = self.router(place)?;
        let (advert, form) = match judge(router, received) {
            Ok(accepted) => accepted,
            Err((name, reason)) => {
                let count = router.counters.dropped.entry(name).or_default();
                *count += 1;
                // The first of each kind is worth a line, a flood is not.
                if count.is_power_of_two() {
                    tracing::warn!(
                        instance = %router.instance.name, source = %received.source, count = *count, %reason,
                        "an advert is ignored"
                    );
                }
                return None;
            }
        };
        let news = note(router, received.source, &advert, form, now);
        if news {
            self.publish_roles();
        }
        let source = received.source;
        self.units.get_mut(&place.unit)?.group.handle(
            now,
            place.member,
            Input::Advert { source, advert },
        );
        Some(place.unit)
    }

    /// Whose number is on it, wherever else it may be wrong.
    fn claimed_by(&self, key: &PortKey, payload: &[u8]) -> Option<Place> {
        self.ports.get(key)?.routers.get(payload.get(1)?).copied()
    }
}

/// Whether a router listens to a packet; if not, why.
fn judge(
    router: &Router,
    received: &Received<'_>,
) -> Result<(Advert, ChecksumForm), (&'static str, String)> {
    let rejected = |reason: Rejected| (reason.name(), reason.to_string());
    let instance = &router.instance;
    let header = Header {
        source: received.source,
        destination: received.destination,
        ttl: received.ttl,
    };
    accept::header(instance, router.source, header).map_err(rejected)?;
    let envelope = Envelope {
        source: received.source,
        destination: received.destination,
    };
    let (advert, form) = wire::decode(received.payload, envelope)
        .map_err(|error| (error.name(), error.to_string()))?;
    accept::advert(instance, &router.authentication, &advert, form).map_err(rejected)?;
    Ok((advert, form))
}

/// Counts it, and looks at what it says beside the election. Whether the agent must know.
fn note(
    router: &mut Router,
    source: IpAddr,
    advert: &Advert,
    form: ChecksumForm,
    now: Instant,
) -> bool {
    router.counters.received += 1;
    if advert.version == VrrpVersion::V3 && router.instance.family == Family::V4 {
        *router
            .counters
            .checksum_forms
            .entry(form.name())
            .or_default() += 1;
    }
    let mut news = router.hear(source, now);
    if advert.priority == Priority::RELEASE {
        router.counters.released += 1;
    } else {
        news |= std::mem::take(&mut router.was_master);
        compare_addresses(router, source, advert);
    }
    news
}

/// Another list of addresses is a mistake in one of the two files, and no reason for two masters.
fn compare_addresses(router: &mut Router, source: IpAddr, advert: &Advert) {
    let virtual_addresses = &router.instance.virtual_addresses;
    let same = virtual_addresses.len() == advert.addresses.len()
        && virtual_addresses
            .iter()
            .all(|address| advert.addresses.contains(&address.vip.addr()));
    if same {
        router.differing = None;
    } else if router.differing.as_ref() != Some(&advert.addresses) {
        let ours: Vec<String> = virtual_addresses
            .iter()
            .map(|address| address.vip.addr().to_string())
            .collect();
        let theirs: Vec<String> = advert.addresses.iter().map(ToString::to_string).collect();
        tracing::warn!(
            instance = %router.instance.name, %source, ours = ours.join(" "), theirs = theirs.join(" "),
            "the peer has other virtual addresses; one of the two configurations is wrong"
        );
        router.differing = Some(advert.addresses.clone());
    }
}

/// Messages of one socket in one turn.
const RECEIVE_LIMIT: usize = 1024;
