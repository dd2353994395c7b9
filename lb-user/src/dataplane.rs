//! The data plane as the agent sees it: an intended [`image::Image`], the operations that lead from
//! one image to the next ([`plan`]), and the only writer of maps ([`bpf`]).

pub mod alloc;
pub mod image;
pub mod moves;
pub mod plan;
pub mod schedule;
pub mod sweep;

pub mod arena;
pub mod region;
pub mod store;

pub mod attach;
pub mod bpf;
pub mod compose;
pub mod ids;
pub mod object;
pub mod pins;
pub mod remembered;
pub mod stats;
