//! What a master holds in the kernel: addresses and routes, and their announcement.
//!
//! Each job is one future; the engine runs at most one for a router, so that taking and giving up
//! never cross. Addresses carry [`PROTOCOL`](crate::net::PROTOCOL) (`proto` in `ip address`), so that
//! what is ours is known without a list, also by the next agent. An address that somebody else added
//! is used, and never removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use futures_util::{StreamExt as _, stream};

use crate::{
    config::model::{Family, RouteTarget, VrrpInstance},
    net::{Link, Net, address::AddressSpec, announce::Announcer, chain, route::Route},
    types::{IfIndex, IfName},
};

/// What one router holds while it is master, in the kernel's terms.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// Its virtual addresses.
    pub addresses: Vec<AddressSpec>,
    /// Its virtual routes.
    pub routes: Vec<Route>,
    /// Interfaces it names that are not there.
    pub missing: Vec<IfName>,
    /// Through which interface addresses are announced.
    pub announcers: BTreeMap<IfIndex, Arc<Announcer>>,
    /// Announcements in a burst.
    pub repeat: u8,
}

/// Addresses to remove: those that carry our mark.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// What is to go.
    pub addresses: Vec<AddressSpec>,
    /// Where others would go along: [`endangered`](crate::net::address::endangered).
    pub shared: BTreeSet<IfIndex>,
}

/// How a job ended: everything that went wrong, in words.
pub type Troubles = Vec<String>;

impl Holdings {
    /// Of an instance, with the interfaces as they are.
    #[must_use]
    pub fn of<'a>(
        instance: &VrrpInstance,
        link: impl Fn(&IfName) -> Option<&'a Link>,
        mut announcer: impl FnMut(&Link) -> Option<Arc<Announcer>>,
    ) -> Self {
        let mut holdings = Self {
            repeat: instance.garp.repeat,
            ..Self::default()
        };
        for address in &instance.virtual_addresses {
            let name = address.interface.as_ref().unwrap_or(&instance.interface);
            let Some(link) = link(name) else {
                holdings.missing.push(name.clone());
                continue;
            };
            holdings.addresses.push(AddressSpec {
                interface: link.index,
                address: address.vip.addr(),
                prefix: address.vip.prefix(),
                label: address.label.clone(),
            });
            if let Some(announcer) = announcer(link) {
                holdings.announcers.insert(link.index, announcer);
            }
        }
        for route in &instance.virtual_routes {
            let index = match &route.interface {
                None => None,
                Some(name) => match link(name) {
                    Some(link) => Some(link.index),
                    None => {
                        holdings.missing.push(name.clone());
                        continue;
                    }
                },
            };
            let family = route.via.map_or(instance.family, Family::of);
            let to = match route.to {
                RouteTarget::Network(network) => network,
                RouteTarget::Default => everywhere(family),
            };
            holdings
                .routes
                .push(Route::virtual_to(to, route.via, index));
        }
        holdings
    }

    /// Whether nothing has to be done to go on with the other.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.addresses == other.addresses
            && self.routes == other.routes
            && self.missing == other.missing
            && self.repeat == other.repeat
            && self.announcers.len() == other.announcers.len()
            && self.announcers.iter().all(|(index, one)| {
                other
                    .announcers
                    .get(index)
                    .is_some_and(|two| Arc::ptr_eq(one, two))
            })
    }

    /// Adds what is missing. Each address is announced as soon as it is there, and once before where a
    /// burst is more than one: the data plane forwards for an address that the kernel does not have
    /// yet, and the kernel may be long busy with somebody else's interfaces. Routes come last, since
    /// they may need an address, and `old` routes go when the new ones are there.
    ///
    /// Where the addresses have been announced before (`again`), only those are announced that were
    /// missing.
    pub async fn acquire(self: Arc<Self>, net: Net, again: bool, old: Vec<Route>) -> Troubles {
        let ahead = u8::from(self.repeat > 1 && !again);
        self.announce_all(ahead).await;
        let add = |spec: AddressSpec| {
            let (holdings, net) = (Arc::clone(&self), net.clone());
            async move {
                let added = net.add_address(&spec).await;
                if *added.as_ref().unwrap_or(&false) || (added.is_ok() && !again) {
                    holdings.announce_one(&spec, holdings.repeat - ahead);
                }
                added.err().map(|error| chain(&error))
            }
        };
        let mut troubles: Troubles = stream::iter(self.addresses.clone())
            .map(add)
            .buffer_unordered(IN_FLIGHT)
            .filter_map(std::future::ready)
            .collect()
            .await;
        for route in &self.routes {
            if let Err(error) = net.add_route(route).await {
                troubles.push(chain(&error));
            }
        }
        for route in old.iter().filter(|route| !self.routes.contains(route)) {
            troubles.extend(remove_route(&net, route).await);
        }
        let missing = self.missing.iter();
        troubles.extend(missing.map(|name| format!("there is no interface `{name}`")));
        troubles
    }

    /// Removes its routes, those it had before, and what `held` says.
    pub async fn release(self: Arc<Self>, net: Net, held: Held, old: Vec<Route>) -> Troubles {
        let mut troubles = Troubles::new();
        for route in self.routes.iter().chain(&old) {
            troubles.extend(remove_route(&net, route).await);
        }
        let Held { addresses, shared } = held;
        let removed = net.remove_addresses_sparing(&addresses, shared).await;
        let errors = removed.into_iter().filter_map(Result::err);
        troubles.extend(errors.map(|error| chain(&error)));
        troubles
    }

    /// One burst for every address.
    pub async fn announce(self: Arc<Self>) -> Troubles {
        self.announce_all(self.repeat).await;
        Troubles::new()
    }

    async fn announce_all(&self, times: u8) {
        for spec in &self.addresses {
            self.announce_one(spec, times);
            // Adverts come first: thousands of frames are not sent in one go.
            tokio::task::yield_now().await;
        }
    }

    fn announce_one(&self, spec: &AddressSpec, times: u8) {
        let Some(announcer) = self.announcers.get(&spec.interface) else {
            return;
        };
        for _ in 0..times {
            // A full queue loses an announcement of several; the next burst makes up for it.
            if let Err(error) = announcer.announce(spec.address) {
                tracing::debug!(address = %spec.address, %error, "an announcement was not sent");
            }
        }
    }
}

async fn remove_route(net: &Net, route: &Route) -> Option<String> {
    let removed = net.remove_route(route).await;
    removed.err().map(|error| chain(&error))
}

fn everywhere(family: Family) -> ipnet::IpNet {
    let any: IpAddr = match family {
        Family::V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    ipnet::IpNet::new_assert(any, 0)
}

/// Requests to the kernel that wait for their answers at one time.
const IN_FLIGHT: usize = 32;
