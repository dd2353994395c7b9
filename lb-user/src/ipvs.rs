//! The kernel's own balancer, IPVS: its table as we want it, what leads there, and the generic netlink
//! that carries it. It serves what XDP does not: NAT, and everything where XDP cannot be had.
//!
//! Pure: [`table`] (what there is), [`wire`] (bytes), [`compose`] (configuration and health → table),
//! [`plan`] (what to do), [`owned`] (what is ours). Adapters: [`client`] (IPVS), [`sysctl`],
//! [`masquerade`] (nftables). Nothing is ever flushed, and a service that somebody else made is left
//! alone.

pub mod table;

pub mod wire;

pub mod compose;

pub mod plan;

pub mod owned;

pub mod client;

pub mod sysctl;

pub mod masquerade;
