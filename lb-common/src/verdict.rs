//! What can become of a packet.

/// Why a packet of a service was dropped. Numbers are part of the contract with dashboards: never
/// reused, new ones at the end. The order is that of [`crate::counters::DropCounters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum DropReason {
    /// No backend of the service is available.
    NoBackend = 0,
    /// The backend's next hop has no link-layer address yet.
    NextHopUnresolved = 1,
    /// IP version, header length or total length cannot be true.
    BadIpHeader = 2,
    /// The frame ends before the headers do.
    Truncated = 3,
    /// TCP data offset or UDP length cannot be true.
    BadTransportHeader = 4,
    /// TTL or hop limit is 0 or 1: nothing is left for the next hop.
    TtlExpired = 5,
    /// The source cannot be a client: see [`crate::decide`].
    MartianSource = 6,
    /// A later fragment whose first one is not known.
    Fragment = 7,
    /// Too many IPv6 extension headers, or a routing header with segments left.
    ExtensionHeaders = 8,
    /// Does not fit the next hop's MTU, tunnel header included; nobody was told.
    TooBig = 9,
    /// Came from a peer balancer and would be sent on.
    PeerLoop = 10,
    /// A slot or an entry of the arena points nowhere: a defect of the agent's.
    BadTable = 11,
    /// The driver gave no room in front of the packet, or none for the new headers.
    NoHeadroom = 12,
    /// The output interface cannot be redirected to.
    RedirectFailed = 13,
    /// Does not fit the next hop's MTU, and the sender was told.
    TooBigAnswered = 14,
}

impl DropReason {
    /// Every reason, by number.
    pub const ALL: [Self; 15] = [
        Self::NoBackend,
        Self::NextHopUnresolved,
        Self::BadIpHeader,
        Self::Truncated,
        Self::BadTransportHeader,
        Self::TtlExpired,
        Self::MartianSource,
        Self::Fragment,
        Self::ExtensionHeaders,
        Self::TooBig,
        Self::PeerLoop,
        Self::BadTable,
        Self::NoHeadroom,
        Self::RedirectFailed,
        Self::TooBigAnswered,
    ];

    /// Those reasons that [`crate::steer`] can have, from their number.
    #[inline(always)]
    #[must_use]
    pub const fn from_low_bits(bits: u32) -> Self {
        if bits == Self::NoBackend as u32 {
            Self::NoBackend
        } else {
            Self::BadTable
        }
    }

    /// The name in `status`, metrics and the `drop_stats` map.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoBackend => "no_backend",
            Self::NextHopUnresolved => "next_hop_unresolved",
            Self::BadIpHeader => "bad_ip_header",
            Self::Truncated => "truncated",
            Self::BadTransportHeader => "bad_transport_header",
            Self::TtlExpired => "ttl_expired",
            Self::MartianSource => "martian_source",
            Self::Fragment => "fragment",
            Self::ExtensionHeaders => "extension_headers",
            Self::TooBig => "too_big",
            Self::PeerLoop => "peer_loop",
            Self::BadTable => "bad_table",
            Self::NoHeadroom => "no_headroom",
            Self::RedirectFailed => "redirect_failed",
            Self::TooBigAnswered => "too_big_answered",
        }
    }
}

/// What happened at the connection table. The order is that of [`crate::counters::FlowCounters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum FlowEvent {
    /// A packet's flow was remembered.
    Hit = 0,
    /// It was not.
    Miss = 1,
    /// A flow is remembered from now on.
    Insert = 2,
    /// To remember it, a weaker entry was forgotten.
    Eviction = 3,
    /// It was not remembered: the service's budget for this second is spent.
    OverBudget = 4,
    /// It was not remembered: its place is full of established flows.
    Full = 5,
    /// A flow older than a move went to the previous owner.
    ToPrevious = 6,
}

impl FlowEvent {
    /// Every event, by number.
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::Miss,
        Self::Insert,
        Self::Eviction,
        Self::OverBudget,
        Self::Full,
        Self::ToPrevious,
    ];

    /// The name in `status`, metrics and the `flow_stats` map.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hits",
            Self::Miss => "misses",
            Self::Insert => "inserts",
            Self::Eviction => "evictions",
            Self::OverBudget => "over_budget",
            Self::Full => "table_full",
            Self::ToPrevious => "to_previous",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positions() {
        for (position, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, position);
        }
    }
}
