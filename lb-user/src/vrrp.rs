//! VRRP: which of several routers answers for the virtual addresses.
//!
//! RFC 3768 (version 2) and RFC 9568 (version 3). The pure part (everything but the socket and the
//! task) knows neither clock nor network: `now` comes in, actions come out.

pub mod socket;
pub mod wire;
