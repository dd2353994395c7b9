//! The other end of the tunnel: what a real server does with a frame that a balancer wrapped
//! (RFC 2003, RFC 2473, RFC 4213).
//!
//! Whoever may send here can make packets from anybody appear inside, so three things must hold
//! before a packet is unwrapped: the outer destination is this host, the inner one a virtual address
//! that this host serves by tunnel, and the outer source is on the list. What is not for such an
//! address is not ours and passes untouched: the host may have tunnels of its own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    addr::Addr,
    csum,
    flow::{IPIP, IPV6},
    packet::{Frame, FrameMut},
    pod::map_pod,
    wire::{
        Be16, Be32,
        ethernet::{self, Ethernet, Tag},
        ipv4::{self, Ipv4},
        ipv6::{self, Extension, Fragment, Ipv6},
    },
};

/// Version of the maps below; part of the pins' path.
pub const LAYOUT: u32 = 1;

/// What the decision asks about addresses.
pub trait Tables {
    /// Whether this host has the address: where tunnels may end.
    fn is_tunnel_end(&self, address: &Addr) -> bool;
    /// Whether it is a virtual address that reaches this host by tunnel.
    fn is_virtual(&self, address: &Addr) -> bool;
    /// Whether tunnelled packets from this outer source are taken.
    fn may_send(&self, source: &Addr) -> bool;
}

/// What is to become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Not ours: up the stack as it is.
    Pass,
    /// For a virtual address, and refused.
    Drop(Refusal),
    /// The inner packet goes up the stack.
    Unwrap(Unwrap),
}

/// Why a tunnelled packet for a virtual address is dropped. Each has a counter of its name in
/// [`DecapCounters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The outer source is not on the list.
    SourceRefused,
    /// The outer packet is a fragment. Balancers check the MTU and send none.
    Fragment,
    /// The lengths of the inner and the outer header contradict each other or the frame.
    Malformed,
    /// A router on the way marked congestion, and the inner packet's flow does not know marks
    /// (RFC 6040 §4.2).
    Congestion,
    /// The frame is too short for its headers to be moved (which the decision has excluded).
    NoRoom,
}

/// How to unwrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwrap {
    /// Where the outer IP header starts, bytes from the start of the frame.
    l3: u32,
    /// Bytes of outer headers.
    outer: u32,
    /// Whether the inner packet is IPv4.
    v4: bool,
    /// Length of the inner packet, bytes.
    length: u32,
    /// Type of service or traffic class of the inner packet, where the outer header changes it.
    tos: Option<u8>,
}

impl Unwrap {
    /// Length of the inner packet by its own header, bytes.
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.length
    }
}

/// The single element of the program's `stats`, per CPU. Field names are what bpftool prints.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct DecapCounters {
    /// Packets unwrapped.
    pub packets: u64,
    /// Their inner lengths.
    pub bytes: u64,
    /// [`Refusal::SourceRefused`]
    pub source_refused: u64,
    /// [`Refusal::Fragment`]
    pub fragment: u64,
    /// [`Refusal::Malformed`]
    pub malformed: u64,
    /// [`Refusal::Congestion`]
    pub congestion: u64,
    /// [`Refusal::NoRoom`]
    pub no_room: u64,
    /// Room for what comes; the element is one cache line.
    pub reserved: u64,
}

map_pod!(DecapCounters = 64, Addr = 16);

impl DecapCounters {
    /// Counts a refused packet.
    #[inline(always)]
    pub fn refuse(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::SourceRefused => &mut self.source_refused,
            Refusal::Fragment => &mut self.fragment,
            Refusal::Malformed => &mut self.malformed,
            Refusal::Congestion => &mut self.congestion,
            Refusal::NoRoom => &mut self.no_room,
        };
        *counter += 1;
    }

    /// Counts an unwrapped packet.
    #[inline(always)]
    pub fn count(&mut self, unwrap: &Unwrap) {
        self.packets += 1;
        self.bytes += u64::from(unwrap.length);
    }
}

/// The outer header of a packet that may be a tunnel's.
struct Outer {
    source: Addr,
    destination: Addr,
    /// Protocol number of what is inside: [`IPIP`] or [`IPV6`].
    inside: u8,
    /// Bytes from `l3` to the inner header.
    length: u32,
    /// Bytes after the outer headers, by the outer length.
    payload: u32,
    /// The lowest two bits of type of service or traffic class.
    ecn: u8,
    fragment: bool,
}

/// What matters of the inner header.
struct Inner {
    destination: Addr,
    /// By its own header, bytes.
    length: u32,
    tos: u8,
}

/// Decides about one frame.
#[inline(always)]
pub fn decide<F: Frame, T: Tables>(frame: &F, tables: &T) -> Decision {
    let Some((l3, outer)) = outer(frame) else {
        return Decision::Pass;
    };
    if !tables.is_tunnel_end(&outer.destination) {
        return Decision::Pass;
    }
    if outer.fragment {
        // Whom it is for stands in the first one only; from a balancer it can only be for us.
        return if tables.may_send(&outer.source) {
            Decision::Drop(Refusal::Fragment)
        } else {
            Decision::Pass
        };
    }
    let v4 = outer.inside == IPIP;
    let Some(inner) = inner(frame, l3 + outer.length, v4) else {
        return Decision::Pass;
    };
    if !tables.is_virtual(&inner.destination) {
        return Decision::Pass;
    }
    if !tables.may_send(&outer.source) {
        return Decision::Drop(Refusal::SourceRefused);
    }
    let within = l3 + outer.length + outer.payload <= frame.length();
    if inner.length > outer.payload || !within {
        return Decision::Drop(Refusal::Malformed);
    }
    match ecn(inner.tos & ECN, outer.ecn) {
        None => Decision::Drop(Refusal::Congestion),
        Some(mark) => Decision::Unwrap(Unwrap {
            l3,
            outer: outer.length,
            v4,
            length: inner.length,
            tos: (mark != inner.tos & ECN).then_some(inner.tos & !ECN | mark),
        }),
    }
}

/// Takes the outer headers away: link layer and tags move up to the inner packet.
///
/// # Errors
///
/// [`Refusal::NoRoom`]
#[inline(always)]
pub fn unwrap<F: FrameMut>(frame: &mut F, unwrap: &Unwrap) -> Result<(), Refusal> {
    strip(frame, unwrap).ok_or(Refusal::NoRoom)
}

#[inline(always)]
fn strip<F: FrameMut>(frame: &mut F, unwrap: &Unwrap) -> Option<()> {
    let inside = if unwrap.v4 {
        ethernet::IPV4
    } else {
        ethernet::IPV6
    };
    let mut link = *frame.view::<Ethernet>(0)?;
    let tags = (unwrap.l3 - ethernet::LEN) / ethernet::TAG_LEN;
    let mut first = Tag::NONE;
    let mut second = Tag::NONE;
    match tags {
        0 => link.ethertype = Be16::new(inside),
        1 => {
            first = *frame.view::<Tag>(ethernet::LEN)?;
            first.ethertype = Be16::new(inside);
        }
        _ => {
            first = *frame.view::<Tag>(ethernet::LEN)?;
            second = *frame.view::<Tag>(ethernet::LEN + ethernet::TAG_LEN)?;
            second.ethertype = Be16::new(inside);
        }
    }
    frame.grow_head(-unwrap.outer.cast_signed())?;
    frame.store(0, link)?;
    if tags > 0 {
        frame.store(ethernet::LEN, first)?;
    }
    if tags > 1 {
        frame.store(ethernet::LEN + ethernet::TAG_LEN, second)?;
    }
    match unwrap.tos {
        Some(tos) if unwrap.v4 => mark_v4(frame, unwrap.l3, tos),
        Some(tos) => mark_v6(frame, unwrap.l3, tos),
        None => Some(()),
    }
}

#[inline(always)]
fn mark_v4<F: FrameMut>(frame: &mut F, at: u32, tos: u8) -> Option<()> {
    let mut ip = *frame.view::<Ipv4>(at)?;
    let word = |tos| u16::from_ne_bytes([ip.version_ihl, tos]);
    let checksum = csum::replace(ip.checksum.get(), word(ip.tos), word(tos));
    ip.checksum.set(checksum);
    ip.tos = tos;
    frame.store(at, ip)
}

#[inline(always)]
fn mark_v6<F: FrameMut>(frame: &mut F, at: u32, class: u8) -> Option<()> {
    let mut ip = *frame.view::<Ipv6>(at)?;
    let rest = ip.version_class_label.get() & !(0xff << 20);
    ip.version_class_label = Be32::new(rest | u32::from(class) << 20);
    frame.store(at, ip)
}

/// The mark of the unwrapped packet (RFC 6040 §4.2, figure 4), `None` where it is to be dropped.
#[inline(always)]
const fn ecn(inner: u8, outer: u8) -> Option<u8> {
    match (inner, outer) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (_, CE) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        _ => Some(inner),
    }
}

/// Where the outer header starts and what it says; `None` for a frame that is no tunnel's.
#[inline(always)]
fn outer<F: Frame>(frame: &F) -> Option<(u32, Outer)> {
    let mut ethertype = frame.view::<Ethernet>(0)?.ethertype.get();
    let mut l3 = ethernet::LEN;
    if ethernet::is_tag(ethertype) {
        ethertype = frame.view::<Tag>(l3)?.ethertype.get();
        l3 += ethernet::TAG_LEN;
        if ethernet::is_tag(ethertype) {
            ethertype = frame.view::<Tag>(l3)?.ethertype.get();
            l3 += ethernet::TAG_LEN;
        }
    }
    let outer = match ethertype {
        ethernet::IPV4 => outer_v4(frame, l3)?,
        ethernet::IPV6 => outer_v6(frame, l3)?,
        _ => return None,
    };
    Some((l3, outer))
}

#[inline(always)]
fn outer_v4<F: Frame>(frame: &F, l3: u32) -> Option<Outer> {
    let ip = frame.view::<Ipv4>(l3)?;
    // No balancer sends options, and the kernel knows what to do with a header that is broken.
    if ip.version_ihl != 0x45 || !is_ip(ip.protocol) || !csum_is_right(frame, l3)? {
        return None;
    }
    let total = u32::from(ip.total_length.get());
    Some(Outer {
        source: Addr::from_v4_word(ip.source.get()),
        destination: Addr::from_v4_word(ip.destination.get()),
        inside: ip.protocol,
        length: ipv4::LEN,
        payload: total.checked_sub(ipv4::LEN)?,
        ecn: ip.tos & ECN,
        fragment: ip.flags_offset.get() & (ipv4::MORE_FRAGMENTS | ipv4::OFFSET) != 0,
    })
}

/// The stack will not look at this header any more.
#[inline(always)]
fn csum_is_right<F: Frame>(frame: &F, l3: u32) -> Option<bool> {
    let words: &[crate::wire::Raw16; 10] = frame.view(l3)?;
    Some(csum::full(words.map(crate::wire::Raw16::get)) == 0)
}

#[inline(always)]
fn outer_v6<F: Frame>(frame: &F, l3: u32) -> Option<Outer> {
    let ip = frame.view::<Ipv6>(l3)?;
    let version_class_label = ip.version_class_label.get();
    if version_class_label >> 28 != 6 {
        return None;
    }
    let mut inside = ip.next_header;
    let mut length = ipv6::LEN;
    let mut fragment = false;
    if inside == ipv6::FRAGMENT {
        inside = frame.view::<Fragment>(l3 + length)?.next_header;
        length += 8;
        fragment = true;
    }
    // Linux's own tunnels say how often a packet may be wrapped (RFC 2473 §4.1.1).
    if inside == ipv6::DESTINATION_OPTIONS {
        let options = frame.view::<Extension>(l3 + length)?;
        inside = options.next_header;
        length += (u32::from(options.length) + 1) * 8;
    }
    if !is_ip(inside) {
        return None;
    }
    let after_header = u32::from(ip.payload_length.get());
    Some(Outer {
        source: Addr::from_words(ip.source.map(|word| word.get())),
        destination: Addr::from_words(ip.destination.map(|word| word.get())),
        inside,
        length,
        payload: (after_header + ipv6::LEN).checked_sub(length)?,
        ecn: (version_class_label >> 20) as u8 & ECN,
        fragment,
    })
}

/// `None` where it is too short to tell, or no IP header of that family.
#[inline(always)]
fn inner<F: Frame>(frame: &F, at: u32, v4: bool) -> Option<Inner> {
    if v4 {
        let ip = frame.view::<Ipv4>(at)?;
        return (ip.version_ihl >> 4 == 4).then(|| Inner {
            destination: Addr::from_v4_word(ip.destination.get()),
            length: u32::from(ip.total_length.get()),
            tos: ip.tos,
        });
    }
    let ip = frame.view::<Ipv6>(at)?;
    let version_class_label = ip.version_class_label.get();
    let destination = Addr::from_words(ip.destination.map(|word| word.get()));
    // On the wire an IPv4-mapped destination means nothing, in the table it is the IPv4 address.
    if version_class_label >> 28 != 6 || destination.is_v4() {
        return None;
    }
    Some(Inner {
        destination,
        length: u32::from(ip.payload_length.get()) + ipv6::LEN,
        tos: (version_class_label >> 20) as u8,
    })
}

#[inline(always)]
const fn is_ip(protocol: u8) -> bool {
    protocol == IPIP || protocol == IPV6
}

const ECN: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;

#[cfg(test)]
mod tests;
