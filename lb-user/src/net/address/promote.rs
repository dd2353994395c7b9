//! Keeps the host's own addresses when a virtual one goes.
//!
//! Of an interface's IPv4 addresses in one network the first is primary, and when it is removed, the
//! kernel removes the others with it unless the sysctl `promote_secondaries` is set (systemd sets it,
//! the kernel's default is off). A virtual address becomes the first where the host's own is taken away
//! and given back meanwhile, by a restarted network service say.

use std::collections::BTreeSet;

use netlink_packet_core::{DefaultNla, Emitable as _, NLA_F_NESTED};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{AfSpecInet, AfSpecUnspec, LinkAttribute, LinkMessage},
};

use super::{Address, AddressSpec};
use crate::{
    net::{Net, error::chain},
    types::IfIndex,
};

#[cfg(test)]
mod tests;

/// Pure: the interfaces on which removing `specs` would take other addresses along.
#[must_use]
pub fn endangered<'a>(
    all: impl IntoIterator<Item = &'a Address> + Clone,
    specs: &[AddressSpec],
) -> BTreeSet<IfIndex> {
    // A /32 has its network to itself.
    let shares = |spec: &AddressSpec| spec.address.is_ipv4() && spec.prefix < 32;
    if !specs.iter().any(shares) {
        return BTreeSet::new();
    }
    let going = |own: &Address| {
        specs.iter().any(|spec| {
            (spec.address, spec.interface, spec.prefix) == (own.address, own.interface, own.prefix)
        })
    };
    let firsts = all
        .clone()
        .into_iter()
        .filter(|own| own.address.is_ipv4() && !own.secondary && going(own));
    firsts
        .filter(|first| {
            all.clone().into_iter().any(|other| {
                other.secondary
                    && other.interface == first.interface
                    && other.prefix == first.prefix
                    && first.covers(other.address)
                    && !going(other)
            })
        })
        .map(|first| first.interface)
        .collect()
}

impl Net {
    /// Has the kernel promote an address on each of these interfaces; those where it did not before.
    pub(super) async fn start_promoting(&self, interfaces: BTreeSet<IfIndex>) -> Vec<IfIndex> {
        let mut changed = Vec::new();
        for interface in interfaces {
            if self.promotes(interface).await != Some(false) {
                continue;
            }
            match self.set_promoting(interface, true).await {
                Ok(()) => changed.push(interface),
                Err(error) => tracing::warn!(
                    %interface,
                    error = chain(&error),
                    "a virtual address may take the host's own along: set promote_secondaries"
                ),
            }
        }
        changed
    }

    /// Sets them back.
    pub(super) async fn stop_promoting(&self, interfaces: Vec<IfIndex>) {
        for interface in interfaces {
            if let Err(error) = self.set_promoting(interface, false).await {
                tracing::warn!(%interface, error = chain(&error), "promote_secondaries stays set");
            }
        }
    }

    async fn promotes(&self, interface: IfIndex) -> Option<bool> {
        let mut question = LinkMessage::default();
        question.header.index = interface.get();
        let answer = self
            .ask(RouteNetlinkMessage::GetLink(question))
            .await
            .ok()?;
        let attributes = answer.iter().find_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(&link.attributes),
            _ => None,
        })?;
        let families = attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::AfSpecUnspec(families) => Some(families),
            _ => None,
        })?;
        let settings = families.iter().find_map(|family| match family {
            AfSpecUnspec::Inet(settings) => Some(settings),
            _ => None,
        })?;
        settings.iter().find_map(|setting| match setting {
            AfSpecInet::DevConf(values) => Some(values.promote_secondaries != 0),
            _ => None,
        })
    }

    async fn set_promoting(
        &self,
        interface: IfIndex,
        on: bool,
    ) -> Result<(), crate::net::RequestError> {
        // By hand, because the library's own request leaves out what is 0.
        let value = DefaultNla::new(PROMOTE_SECONDARIES, u32::from(on).to_ne_bytes().to_vec());
        let mut bytes = vec![0; value.buffer_len()];
        value.emit(&mut bytes);
        let setting = AfSpecInet::Other(DefaultNla::new(INET_CONF | NLA_F_NESTED, bytes));
        let mut order = LinkMessage::default();
        order.header.index = interface.get();
        order
            .attributes
            .push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet(vec![
                setting,
            ])]));
        self.order(RouteNetlinkMessage::SetLink(order), 0).await
    }
}

/// `IFLA_INET_CONF`
const INET_CONF: u16 = 1;
/// `IPV4_DEVCONF_PROMOTE_SECONDARIES`
const PROMOTE_SECONDARIES: u16 = 20;
