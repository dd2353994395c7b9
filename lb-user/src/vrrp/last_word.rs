//! Priority 0 in the name of a thread that is gone: peers take over at once, not when they notice.
//!
//! Needs nothing of what the thread had, which may be the reason why it is gone.

use std::{io, net::IpAddr};

use nix::{ifaddrs::getifaddrs, net::if_::if_nametoindex};

use super::{
    accept,
    socket::{self, Socket},
    wire::{self, Advert, Authentication, Envelope},
};
use crate::{
    config::model::{Family, VrrpInstance},
    net::chain,
    types::{IfIndex, Priority},
};

/// Tells the peers of a router that it has no master any more. In a tokio runtime with I/O.
pub fn say(instance: &VrrpInstance) {
    if let Err(error) = try_say(instance) {
        tracing::warn!(instance = %instance.name, error = %chain(&error), "peers could not be told");
    }
}

fn try_say(instance: &VrrpInstance) -> io::Result<()> {
    let index = if_nametoindex(instance.interface.as_str())?;
    let index = IfIndex::new(index).ok_or(io::ErrorKind::NotFound)?;
    let source = source(instance)?.ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = Socket::open(&instance.interface, index, instance.family);
    let socket = socket.map_err(io::Error::other)?;
    let advert = farewell(instance);
    let group = [socket::multicast(instance.family)];
    let destinations: &[IpAddr] = match &instance.unicast {
        None => &group,
        Some(unicast) => &unicast.peers,
    };
    let mut message = Vec::new();
    let mut result = Ok(());
    for destination in destinations {
        let envelope = Envelope {
            source,
            destination: *destination,
        };
        message.clear();
        wire::encode(&advert, accept::sent_form(instance), envelope, &mut message)
            .map_err(io::Error::other)?;
        result = result.and(socket.send(source, *destination, &message));
    }
    result
}

fn farewell(instance: &VrrpInstance) -> Advert {
    let password = instance.authentication.as_ref();
    Advert {
        version: instance.version,
        virtual_router_id: instance.virtual_router_id,
        priority: Priority::RELEASE,
        interval: instance.advertisement_interval,
        addresses: instance
            .virtual_addresses
            .iter()
            .map(|address| address.vip.addr())
            .collect(),
        authentication: password.map_or(Authentication::None, Authentication::simple),
    }
}

/// The configured one, or one that is not virtual: of IPv6, a link-local one.
fn source(instance: &VrrpInstance) -> io::Result<Option<IpAddr>> {
    if instance.unicast_source.is_some() {
        return Ok(instance.unicast_source);
    }
    let own = getifaddrs()?
        .filter(|own| own.interface_name == instance.interface.as_str())
        .filter_map(|own| {
            let address = own.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        });
    let virtuals = &instance.virtual_addresses;
    let mut fit = own.filter(|own| {
        let family = match own {
            IpAddr::V4(_) => Family::V4 == instance.family,
            IpAddr::V6(v6) => Family::V6 == instance.family && v6.is_unicast_link_local(),
        };
        family && virtuals.iter().all(|address| address.vip.addr() != *own)
    });
    Ok(fit.next())
}
