//! Which XDP program an interface runs, as the kernel says.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::types::IfIndex;

/// Where in an interface's receive path XDP runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpPlace {
    /// In the driver.
    Native,
    /// In the network stack.
    Generic,
    /// In the network card, or in several places.
    Other,
}

/// What is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpAttachment {
    /// Where it runs.
    pub place: XdpPlace,
    /// The kernel's id of the program; `None` where there are several.
    pub program: Option<u32>,
}

/// What is attached to the interface `index` of the calling thread's network namespace; `None` if
/// nothing is. Blocks for one system call: the kernel answers a question for one link before `send`
/// returns.
///
/// # Errors
/// The kernel's, when there is no such interface or no netlink socket to be had.
pub fn xdp_attachment(index: IfIndex) -> io::Result<Option<XdpAttachment>> {
    let mut question = LinkMessage::default();
    question.header.index = index.get();
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::GetLink(question));
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_non_blocking(true)?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(attachment(&link)),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn attachment(link: &LinkMessage) -> Option<XdpAttachment> {
    let facts = link
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::Xdp(facts) => Some(facts),
            _ => None,
        })?;
    let mut place = None;
    let mut program = None;
    for fact in facts {
        match fact {
            LinkXdp::Attached(XdpAttached::None) => return None,
            LinkXdp::Attached(XdpAttached::Driver) => place = Some(XdpPlace::Native),
            LinkXdp::Attached(XdpAttached::SocketBuffer) => place = Some(XdpPlace::Generic),
            LinkXdp::Attached(_) => place = Some(XdpPlace::Other),
            LinkXdp::ProgId(id) => program = Some(*id),
            _ => {}
        }
    }
    Some(XdpAttachment {
        place: place?,
        program,
    })
}
