//! Carrying a decision out: the frame is changed, and the verdict says by which way it leaves.

use crate::{
    backend::{BackendEntry, ForwardMode, TAGS_AS_RECEIVED},
    csum,
    decide::Forward,
    encap::{self, Inner},
    packet::FrameMut,
    verdict::DropReason,
    wire::{
        Be16, Raw16,
        ethernet::{self, Ethernet, Tag},
        ipv4::Ipv4,
        ipv6::Ipv6,
    },
};

/// How a changed frame leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Up the stack, unchanged: the backend is this host.
    Local,
    /// By an interface, given by its index.
    Interface(u32),
}

/// Rewrites the frame for its backend.
///
/// # Errors
///
/// [`DropReason::NoHeadroom`] where the frame cannot be made longer, [`DropReason::Truncated`] where
/// it is shorter than its headers (which the decision has excluded).
#[inline(always)]
pub fn rewrite<F: FrameMut>(frame: &mut F, forward: &Forward<'_>) -> Result<Exit, DropReason> {
    let backend = forward.backend;
    if backend.mode == ForwardMode::Local as u8 {
        return Ok(Exit::Local);
    }
    decrement_ttl(frame, forward).ok_or(DropReason::Truncated)?;
    let received = forward.packet.l3;
    let kept = backend.tags == TAGS_AS_RECEIVED;
    let link_layer = if kept {
        received
    } else {
        ethernet::LEN + u32::from(backend.tags) * ethernet::TAG_LEN
    };
    let overhead = encap::overhead(backend.mode);
    // The plain case, and the fast one: nothing moves.
    if overhead == 0 && link_layer == received {
        link_header(frame, backend, None, ip_type(forward.packet.v4))
            .ok_or(DropReason::Truncated)?;
        return Ok(Exit::Interface(backend.ifindex));
    }
    tunnel_or_retag(frame, forward, link_layer, overhead)
}

/// The cases in which the frame's start moves.
#[inline(always)]
fn tunnel_or_retag<F: FrameMut>(
    frame: &mut F,
    forward: &Forward<'_>,
    link_layer: u32,
    overhead: u32,
) -> Result<Exit, DropReason> {
    let backend = forward.backend;
    let kept = backend.tags == TAGS_AS_RECEIVED;
    let tags = if kept {
        received_tags(frame, forward.packet.l3)
    } else {
        ReceivedTags::NONE
    };
    let growth = (link_layer + overhead).cast_signed() - forward.packet.l3.cast_signed();
    frame.grow_head(growth).ok_or(DropReason::NoHeadroom)?;
    let inner = Inner {
        v4: forward.packet.v4,
        length: forward.packet.length,
        tos: forward.packet.tos,
        hash: forward.hash,
    };
    let ethertype = if backend.mode == ForwardMode::TunnelV4 as u8 {
        frame
            .store(link_layer, encap::outer_v4(backend, &inner))
            .ok_or(DropReason::NoHeadroom)?;
        ethernet::IPV4
    } else if backend.mode == ForwardMode::TunnelV6 as u8 {
        frame
            .store(link_layer, encap::outer_v6(backend, &inner))
            .ok_or(DropReason::NoHeadroom)?;
        ethernet::IPV6
    } else {
        ip_type(inner.v4)
    };
    if kept {
        tags.write(frame, ethertype).ok_or(DropReason::NoHeadroom)?;
    }
    link_header(frame, backend, Some(tags.first_type(ethertype)), ethertype)
        .ok_or(DropReason::NoHeadroom)?;
    Ok(Exit::Interface(backend.ifindex))
}

#[inline(always)]
const fn ip_type(v4: bool) -> u16 {
    if v4 { ethernet::IPV4 } else { ethernet::IPV6 }
}

/// The tags a frame came with, for a frame that leaves with the same.
#[derive(Clone, Copy)]
pub(crate) struct ReceivedTags {
    count: u32,
    outer_type: u16,
    outer_control: u16,
    inner_type: u16,
    inner_control: u16,
}

impl ReceivedTags {
    const NONE: Self = Self {
        count: 0,
        outer_type: 0,
        outer_control: 0,
        inner_type: 0,
        inner_control: 0,
    };

    /// The ethertype right behind the addresses.
    #[inline(always)]
    pub(crate) const fn first_type(&self, ethertype: u16) -> u16 {
        if self.count == 0 {
            ethertype
        } else {
            self.outer_type
        }
    }

    #[inline(always)]
    pub(crate) fn write<F: FrameMut>(&self, frame: &mut F, ethertype: u16) -> Option<()> {
        if self.count == 0 {
            return Some(());
        }
        let after_outer = if self.count == 2 {
            self.inner_type
        } else {
            ethertype
        };
        frame.store(ethernet::LEN, tag(self.outer_control, after_outer))?;
        if self.count == 2 {
            frame.store(
                ethernet::LEN + ethernet::TAG_LEN,
                tag(self.inner_control, ethertype),
            )?;
        }
        Some(())
    }
}

#[inline(always)]
fn tag(control: u16, ethertype: u16) -> Tag {
    Tag {
        control: Be16::new(control),
        ethertype: Be16::new(ethertype),
    }
}

#[inline(always)]
pub(crate) fn received_tags<F: FrameMut>(frame: &F, l3: u32) -> ReceivedTags {
    let mut tags = ReceivedTags::NONE;
    if l3 == ethernet::LEN {
        return tags;
    }
    if let (Some(link), Some(outer)) = (frame.view::<Ethernet>(0), frame.view::<Tag>(ethernet::LEN))
    {
        tags.count = 1;
        tags.outer_type = link.ethertype.get();
        tags.outer_control = outer.control.get();
        tags.inner_type = outer.ethertype.get();
    }
    if l3 == ethernet::LEN + 2 * ethernet::TAG_LEN
        && let Some(inner) = frame.view::<Tag>(ethernet::LEN + ethernet::TAG_LEN)
    {
        tags.count = 2;
        tags.inner_control = inner.control.get();
    }
    tags
}

/// Writes the addresses and the backend's own tags. `first` is the ethertype behind the addresses
/// where the tags are those the frame came with.
#[inline(always)]
fn link_header<F: FrameMut>(
    frame: &mut F,
    backend: &BackendEntry,
    first: Option<u16>,
    ethertype: u16,
) -> Option<()> {
    frame.store(0, backend.macs)?;
    let [outer, inner] = backend.vlans;
    match backend.tags {
        TAGS_AS_RECEIVED => match first {
            Some(first) => frame.store(ETHERTYPE, Be16::new(first)),
            None => Some(()),
        },
        0 => frame.store(ETHERTYPE, Be16::new(ethertype)),
        1 => {
            frame.store(ETHERTYPE, Be16::new(ethernet::VLAN))?;
            frame.store(ethernet::LEN, tag(outer, ethertype))
        }
        _ => {
            frame.store(ETHERTYPE, Be16::new(ethernet::QINQ))?;
            frame.store(ethernet::LEN, tag(outer, ethernet::VLAN))?;
            frame.store(ethernet::LEN + ethernet::TAG_LEN, tag(inner, ethertype))
        }
    }
}

/// Offset of the ethertype behind the addresses.
const ETHERTYPE: u32 = 12;

/// One hop less, as a router does (RFC 1812 §5.3.1; for tunnels RFC 2003 §3.1), and the IPv4
/// checksum follows by the difference, so that a bad one stays bad.
#[inline(always)]
fn decrement_ttl<F: FrameMut>(frame: &mut F, forward: &Forward<'_>) -> Option<()> {
    let l3 = forward.packet.l3;
    let ttl = forward.packet.ttl.wrapping_sub(1);
    if !forward.packet.v4 {
        let next_header = frame.view::<Ipv6>(l3)?.next_header;
        // Both: where the verifier does not know `l3`, it accepts no access to a single byte.
        return frame.store(l3 + NEXT_HEADER, [next_header, ttl]);
    }
    let ip = frame.view::<Ipv4>(l3)?;
    let old = u16::from_ne_bytes([ip.ttl, ip.protocol]);
    let new = u16::from_ne_bytes([ttl, ip.protocol]);
    let checksum = csum::replace(ip.checksum.get(), old, new);
    frame.store(
        l3 + TTL,
        TtlToChecksum {
            ttl,
            protocol: ip.protocol,
            checksum: Raw16::new(checksum),
        },
    )
}

/// The four bytes that a hop changes.
#[derive(
    Clone,
    Copy,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
    zerocopy::Unaligned,
)]
#[repr(C)]
struct TtlToChecksum {
    ttl: u8,
    protocol: u8,
    checksum: Raw16,
}

/// Offset of the TTL in an IPv4 header.
const TTL: u32 = core::mem::offset_of!(Ipv4, ttl) as u32;
/// Offset of the next header in an IPv6 header; the hop limit follows.
const NEXT_HEADER: u32 = core::mem::offset_of!(Ipv6, next_header) as u32;
