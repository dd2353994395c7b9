//! Packet sockets (AF_PACKET): whole Ethernet frames on one interface.

use std::io;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::types::IfIndex;

/// A packet socket that hears nothing yet: of protocol 0, so no frame can slip in before a filter is
/// there and [`link_address`] is bound. Needs CAP_NET_RAW.
pub(super) fn open() -> io::Result<Socket> {
    Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))
}

/// A `sockaddr_ll` to bind to: one interface, and the frames of one Ethernet type (`ETH_P_…`). Type 0
/// hears nothing.
pub(super) fn link_address(interface: IfIndex, ethernet_type: i32) -> io::Result<SockAddr> {
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let protocol = u16::try_from(ethernet_type).map_err(too_large)?;
    let index = i32::try_from(interface.get()).map_err(too_large)?;
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(too_large)?;
    #[expect(unsafe_code, reason = "socket2 has no packet socket address")]
    // SAFETY: the storage is zeroed, aligned and larger than a `sockaddr_ll`, of which every bit
    // pattern is valid; family and length are set to match.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, storage_length| {
            let address = &mut *storage.cast::<libc::sockaddr_ll>();
            address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).map_err(too_large)?;
            address.sll_protocol = protocol.to_be();
            address.sll_ifindex = index;
            *storage_length = length;
            Ok(())
        })
    }?;
    Ok(address)
}
