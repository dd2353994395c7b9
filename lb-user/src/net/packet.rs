//! Unsafe door: the address of a packet socket, which no crate wraps.

use std::io;

use socket2::SockAddr;

use crate::types::IfIndex;

/// A `sockaddr_ll` of one interface and protocol (an `ETH_P_…`, host byte order; 0: none).
pub(super) fn link_address(interface: IfIndex, protocol: u16) -> io::Result<SockAddr> {
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
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
