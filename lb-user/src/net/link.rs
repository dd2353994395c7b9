//! Network interfaces, as `ip link` shows them.

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{
        InfoData, InfoVlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkLayerType,
        LinkMessage, VlanProtocol,
    },
};
use nix::errno::Errno;

use super::{Net, RequestError};
use crate::types::{IfIndex, IfName, Mac};

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it; a new interface of the same name gets another.
    pub index: IfIndex,
    /// Its name now; it can be renamed.
    pub name: IfName,
    /// The Ethernet address; `None` where frames carry none (loopback, tunnels).
    pub mac: Option<Mac>,
    /// Largest packet above the Ethernet header and our VLAN tag, in bytes.
    pub mtu: u32,
    /// Set up by the administrator and with carrier (`IFF_UP` and `IFF_RUNNING`).
    pub up: bool,
    /// Neighbours are looked up by ARP or NDP (no `IFF_NOARP`).
    pub resolves: bool,
    /// The kernel's kind (`veth`, `vlan`, `bond`, …); `None` for a plain device.
    pub kind: Option<String>,
    /// Set on a VLAN sub-interface.
    pub vlan: Option<Vlan>,
    /// The bridge, bond or VRF this interface is enslaved to.
    pub master: Option<IfIndex>,
}

/// What a VLAN sub-interface adds to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// VLAN identifier, 0–4095, without priority bits.
    pub id: u16,
    /// The tag is 802.1ad's (0x88a8, "service tag"), not 802.1Q's (0x8100).
    pub service: bool,
    /// The interface below; `None` when it is in another network namespace.
    pub parent: Option<IfIndex>,
}

/// An interface could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No interface of this name.
    #[error("no interface named {0}: `ip link` lists those there are")]
    NotFound(IfName),
    /// The kernel could not be asked.
    #[error("cannot read the network interfaces")]
    Request(#[source] RequestError),
}

impl Net {
    /// All interfaces of the namespace, by index.
    ///
    /// # Errors
    /// [`LinkError::Request`].
    pub async fn links(&self) -> Result<Vec<Link>, LinkError> {
        let answer = self.dump(question()).await.map_err(LinkError::Request)?;
        Ok(answer.iter().filter_map(new_link).collect())
    }

    /// The interface of this name (alternative names not included).
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn link(&self, name: &IfName) -> Result<Link, LinkError> {
        let mut message = question();
        if let RouteNetlinkMessage::GetLink(link) = &mut message {
            link.attributes
                .push(LinkAttribute::IfName(name.as_str().to_owned()));
        }
        match self.ask(message).await {
            Ok(answer) => answer
                .iter()
                .find_map(new_link)
                .ok_or_else(|| LinkError::NotFound(name.clone())),
            Err(error) if error.is(Errno::ENODEV) => Err(LinkError::NotFound(name.clone())),
            Err(error) => Err(LinkError::Request(error)),
        }
    }
}

impl Link {
    /// `None` for a message that does not describe a whole interface: bridge port news come as
    /// links of family `AF_BRIDGE` (also as "deleted"), wireless events without a name.
    pub(super) fn from_message(message: &LinkMessage) -> Option<Self> {
        if message.header.interface_family != AddressFamily::Unspec {
            return None;
        }
        let flags = message.header.flags;
        let mut name = None;
        let mut link = Facts::default();
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(text) => name = text.parse().ok(),
                LinkAttribute::Address(bytes) => link.mac = bytes.as_slice().try_into().ok(),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Link(index) => link.below = IfIndex::new(*index),
                LinkAttribute::LinkNetNsId(_) => link.below_is_elsewhere = true,
                LinkAttribute::Controller(index) => link.master = IfIndex::new(*index),
                LinkAttribute::LinkInfo(infos) => infos.iter().for_each(|info| link.learn(info)),
                _ => {}
            }
        }
        let parent = link.below.filter(|_| !link.below_is_elsewhere);
        Some(Self {
            index: IfIndex::new(message.header.index)?,
            name: name?,
            mac: link
                .mac
                .filter(|_| message.header.link_layer_type == LinkLayerType::Ether)
                .map(Mac),
            mtu: link.mtu,
            up: flags.contains(LinkFlags::Up | LinkFlags::Running),
            resolves: !flags.contains(LinkFlags::Noarp),
            kind: link.kind,
            vlan: link.vlan.map(|(id, service)| Vlan {
                id,
                service,
                parent,
            }),
            master: link.master,
        })
    }
}

/// The attributes of a link message, while they are collected.
#[derive(Default)]
struct Facts {
    mac: Option<[u8; 6]>,
    mtu: u32,
    below: Option<IfIndex>,
    below_is_elsewhere: bool,
    master: Option<IfIndex>,
    kind: Option<String>,
    vlan: Option<(u16, bool)>,
}

impl Facts {
    fn learn(&mut self, info: &LinkInfo) {
        match info {
            LinkInfo::Kind(kind) => self.kind = Some(kind.to_string()),
            LinkInfo::Data(InfoData::Vlan(facts)) => {
                let (mut id, mut service) = (None, false);
                for fact in facts {
                    match fact {
                        InfoVlan::Id(number) => id = Some(*number),
                        InfoVlan::Protocol(protocol) => {
                            service = *protocol == VlanProtocol::Ieee8021Ad;
                        }
                        _ => {}
                    }
                }
                self.vlan = id.map(|id| (id, service));
            }
            _ => {}
        }
    }
}

fn question() -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    // Statistics are most of a link message, and nothing here reads them.
    message
        .attributes
        .push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    RouteNetlinkMessage::GetLink(message)
}

fn new_link(message: &RouteNetlinkMessage) -> Option<Link> {
    match message {
        RouteNetlinkMessage::NewLink(link) => Link::from_message(link),
        _ => None,
    }
}
