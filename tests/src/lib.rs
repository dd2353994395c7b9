//! The harness of Ballast's tests: hosts in namespaces, packets, processes, conditions with a limit.
//!
//! Rooms, lowest first. A test runs in a [`lab`], makes hosts ([`netns`]) on a network
//! ([`topology`]), starts programs ([`process`]) and asks conditions ([`wait`]); everything it
//! made is gone when it ends, however it ends.

pub mod ballast;
pub mod bench;
pub mod capture;
pub mod client;
pub mod endpoint;
pub mod fleet;
pub mod gap;
pub mod haproxy;
pub mod how_to;
pub mod imported;
pub mod keepalived;
pub mod lab;
pub mod mail;
pub mod netns;
pub mod packet;
pub mod pair;
pub mod process;
pub mod random;
pub mod realserver;
pub mod require;
pub mod site;
mod sys;
pub mod topology;
pub mod vrrp;
pub mod wait;
pub mod web;
