//! Packet cases: the XDP program in the kernel by `BPF_PROG_TEST_RUN`, without traffic.
//!
//! A case is a sentence, a frame in, a verdict, a frame out byte for byte, and the one counter that
//! moves. The frames expected are built by the test's own packet builder, never by the code under
//! test; only [`differential`] compares that code on the host with itself in the kernel.

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
