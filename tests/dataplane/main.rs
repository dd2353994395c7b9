//! Packet cases: the XDP program in the kernel by `BPF_PROG_TEST_RUN`, without traffic.
//!
//! A case is a sentence, a frame in, a verdict, a frame out byte for byte, and the one counter that
//! moves. The frames expected are built by the test's own packet builder, never by the code under
//! test. Where every case is to be found, for both families where it can be:
//!
//! | case | file: tests |
//! |---|---|
//! | families × TCP, UDP × direct routing, tunnel × tags | [`forwarding`]: every way out takes every way in |
//! | a padded frame into a tunnel, a trailer | [`tunnels`]: padding never enters an outer length · [`ipv6_header`]: a trailer stays · [`ipv4_header`]: a total length under the frame |
//! | IHL 6 … 15, IHL 0 … 4 | [`ipv4_header`]: options are carried along, a header shorter than a header |
//! | a header cut short | [`ipv4_header`], [`ipv6_header`]: a packet cut anywhere · [`link_layer`]: a frame that ends in its tags |
//! | total length over, under the frame | [`ipv4_header`]: a total length beyond, under the frame, a header longer than the packet · [`ipv6_header`]: a payload length is compared |
//! | bad IP version, bad header checksum | [`ipv4_header`], [`ipv6_header`]: every other version · [`ipv4_header`], [`tunnels`]: a bad checksum stays bad |
//! | first, later, last, tiny, overlapping fragment, of no service | [`fragments`] |
//! | TTL 0, 1, 2 … 255 | [`ipv4_header`], [`ipv6_header`]: the last hop, a hop is taken |
//! | land, martian sources | [`sources`] |
//! | broadcast, multicast, foreign MAC; peers; local backends | [`link_layer`] |
//! | VIP without the port, no backends, unresolved next hop | [`services`] |
//! | TCP cut at 0 … 19 bytes, data offset | [`transport`] |
//! | SYN, ACK, RST, FIN, null, xmas | [`forwarding`]: only a SYN without ACK is a new flow |
//! | bad checksums of TCP and UDP, and UDP without one | [`transport`]: a bad checksum is the backend's business |
//! | UDP cut, UDP length lies | [`transport`] |
//! | one 5-tuple as TCP and UDP | [`forwarding`] |
//! | echo request, and its fragments | [`others`], [`fragments`] |
//! | ICMP errors: about a flow, something else, too little, an error; redirect | [`errors`] |
//! | protocol 4 and 41 to the VIP | [`others`]: tunnelled packets |
//! | inner 1480 and 1481 bytes, with and without DF, the answer and its limit | [`tunnels`] |
//! | IPv6 extension headers, atomic fragment, endless chain | [`ipv6_header`] |
//! | NS, NA, RA, MLD, IGMP, VRRP, BFD, ARP, LLDP, STP, MPLS | [`others`] |
//! | slot out of range, garbage in the arena | [`tables`] |
//! | an entry with a stale generation, an ACK without one, every kind of moved slot | [`differential`] |
//!
//! [`differential`] compares the program with the same code on the host and with a [`reference`] that
//! shares none of it, for a million random packets.

mod buffer;
mod harness;
mod memory;
mod world;

mod forwarding;
mod tunnels;

mod errors;
mod fragments;
mod ipv4_header;
mod ipv6_header;
mod link_layer;
mod services;
mod sources;
mod steering;
mod transport;

mod others;
mod tables;

mod bpftool;
mod decap;
mod differential;
mod generator;
mod host;
mod reference;
