//! Whose fault an error of the kernel is.

use nix::errno::Errno;

#[cfg(test)]
mod tests;

/// Whose fault something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The backend, or the network on the way to it.
    Theirs,
    /// This host: its limits, its interfaces, its routes, its rules.
    Ours,
}

/// Whose fault `errno` is when it comes from a socket that checks a backend. What is not in the table is ours: a backend is not
/// taken out for a reason nobody thought of.
pub(super) fn blame(errno: Errno) -> Blame {
    if THEIRS.contains(&errno) {
        Blame::Theirs
    } else {
        Blame::Ours
    }
}

/// What a peer, or a router on the way, can cause. The kernel's translation of ICMP errors is `icmp_err_convert` in
/// `net/ipv4/icmp.c` and `tab_unreach` in `net/ipv6/icmp.c`.
const THEIRS: &[Errno] = &[
    // RST, or ICMP port unreachable.
    Errno::ECONNREFUSED,
    Errno::ECONNRESET,
    Errno::ECONNABORTED,
    // We wrote after their RST.
    Errno::EPIPE,
    Errno::ETIMEDOUT,
    // No answer to ARP or neighbour discovery, or ICMP host unreachable. A missing route is `ENETUNREACH`.
    Errno::EHOSTUNREACH,
    // ICMP host unknown, host isolated, protocol unreachable, parameter problem.
    Errno::EHOSTDOWN,
    Errno::ENONET,
    Errno::ENOPROTOOPT,
    Errno::EPROTO,
];
// Notably ours:
//  EMFILE ENFILE ENOMEM ENOBUFS EAGAIN          limits (the last one: no memory for a route, no free port)
//  ENETDOWN ENETUNREACH ENODEV                  our interface, or no route; a router's ICMP net unreachable is rare and looks the same
//  EADDRNOTAVAIL EADDRINUSE EAFNOSUPPORT        our source address, ports used up, IPv6 switched off
//  EACCES EPERM EINVAL                          a prohibit or blackhole route, a packet filter, a missing capability
//  EMSGSIZE                                     our payload does not fit the path
