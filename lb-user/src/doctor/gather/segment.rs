//! Listening for adverts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future;
use tokio::time::timeout;

use super::unseen;
use crate::{
    config::{
        Config,
        model::{Family, VrrpInstance},
    },
    doctor::{
        facts::{Heard, Seen, Unseen},
        judge::datapath::link,
    },
    net::nexthop::Tables,
    types::{IfIndex, IfName},
    vrrp::{
        socket::{PACKET_MAX, Socket},
        wire::{self, Envelope},
    },
};

type Place = (IfName, Family);

/// Hears what is said on the interfaces of the instances, for three intervals, but
/// long enough for others with the [`ORDINARY`] one and not beyond [`LIMIT`].
pub(super) async fn listen(config: &Config, tables: &Tables) -> BTreeMap<Place, Seen<Vec<Heard>>> {
    let instances = config.vrrp_instances.iter();
    let places: BTreeSet<Place> = instances.map(|i| (i.interface.clone(), i.family)).collect();
    let listening = places.into_iter().filter_map(|place| {
        let index = link(tables, &place.0)?.index;
        let here = |i: &&VrrpInstance| (&i.interface, i.family) == (&place.0, place.1);
        let intervals = config.vrrp_instances.iter().filter(here);
        let longest = intervals.map(|i| i.advertisement_interval).max();
        Some(async move {
            let heard = hear(&place, index, longest.unwrap_or_default()).await;
            (place, heard)
        })
    });
    future::join_all(listening).await.into_iter().collect()
}

async fn hear(place: &Place, index: IfIndex, interval: Duration) -> Seen<Vec<Heard>> {
    let (name, family) = place;
    let socket = Socket::open(name, index, *family).map_err(|error| unseen(&error))?;
    let mut heard = Vec::new();
    let listening = async {
        let mut buffer = vec![0; PACKET_MAX];
        while heard.len() < ENOUGH {
            match socket.try_receive(&mut buffer) {
                Ok(Some(packet)) => {
                    let envelope = Envelope {
                        source: packet.source,
                        destination: packet.destination,
                    };
                    heard.push(Heard {
                        source: packet.source,
                        ttl: packet.ttl,
                        advert: wire::decode(packet.payload, envelope).map(|(advert, _)| advert),
                    });
                }
                Ok(None) => socket.readable().await,
                Err(error) => return Err(Unseen(format!("cannot listen on `{name}`: {error}"))),
            }
        }
        Ok(())
    };
    let window = ((interval * 3).max(ORDINARY) + SLACK).min(LIMIT);
    // Silence is heard only at the end of the window.
    timeout(window, listening).await.unwrap_or(Ok(()))?;
    if heard.is_empty() && window < interval {
        return Err(Unseen(format!(
            "nothing was heard on `{name}` in {window:?}, which is less than the interval of {interval:?}"
        )));
    }
    Ok(heard)
}

/// However long the interval, nobody waits longer for a doctor.
const LIMIT: Duration = Duration::from_millis(3500);
/// The interval of whoever has not been told another, as a neighbour of another version has not.
const ORDINARY: Duration = Duration::from_secs(1);
/// For an advert that is a little late.
const SLACK: Duration = Duration::from_millis(100);
/// A flood of adverts teaches nothing new.
const ENOUGH: usize = 10_000;
