//! The harness of Ballast's tests: hosts in namespaces, packets, processes, conditions with a limit.
//!
//! Rooms, lowest first. A test makes hosts ([`netns`]) on a network ([`topology`]), starts programs
//! ([`process`]) and asks conditions ([`wait`]); everything it made is gone when it ends, however it ends.

pub mod lab;
pub mod netns;
pub mod packet;
pub mod process;
mod sys;
pub mod wait;
