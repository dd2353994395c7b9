//! What the XDP program and the agent must agree on, bit for bit.
//!
//! Everything the data plane *decides* is here, so that the kernel, `ballast explain` and the tests
//! run the same code. Rooms, in reading order:
//!
//! * [`limits`]: every capacity.
//! * [`addr`], [`flow`]: addresses and 5-tuples as maps store them.
//! * [`wire`]: header layouts, one file each; [`csum`]: checksum arithmetic.
//! * [`packet`]: how packet bytes are looked at and changed, in the kernel and on the host.
//! * [`parse`]: bytes → [`parse::Parsed`].
//! * [`arena`]: the memory map that the agent writes and the program reads.
//! * [`service`], [`ring`], [`backend`]: what lies in the arena.
//! * [`hash`]: the flow hash.
//! * [`verdict`], [`counters`]: what came out, and where it is counted.
//! * [`connections`]: the flows that are remembered.
//! * [`decide`]: the decision for one packet, [`steer`] where the ring alone does not say; [`forward`]: carrying it out.
//! * [`fragments`]: where later fragments go; [`answer`]: what does not fit is told so.
//! * [`decap`]: the other end of the tunnel, at a real server.
//! * [`describe`]: the maps for people.
#![cfg_attr(not(test), no_std)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "hashes, offsets and 16-bit header fields are cut on purpose throughout"
)]

pub mod limits;

pub mod addr;
pub mod flow;

pub mod csum;
pub mod wire;

pub mod packet;
pub mod parse;

pub mod arena;
pub mod backend;
pub mod ring;
pub mod service;

pub mod hash;

pub mod counters;
pub mod verdict;

pub mod clients;
pub mod connections;

pub mod answer;
pub mod decide;
pub mod encap;
pub mod forward;
pub mod fragments;
pub mod steer;

pub mod decap;

pub mod describe;
pub mod pod;
