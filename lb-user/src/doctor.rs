//! `ballast doctor`: the traps that are known for hosts like this, each looked for and each with its
//! remedy.
//!
//! Two halves that know each other only by [`facts`]: `gather` asks the kernel, the file system and the
//! network, and changes nothing there; [`CHECKS`] judges what it brought back, and is pure. What could
//! not be asked is a fact, too: a check that lacks it says so, and never that all is well.
//!
//! On the network it does what any host may do: it asks who has an address, listens for adverts, and
//! opens a connection to each real server (which it resets). All of it at once, in some four seconds.

pub mod facts;

mod check;
mod firewall;
mod gather;
mod judge;
mod report;

#[cfg(test)]
mod tests;

pub use self::{
    check::{CHECKS, Check, Judgement, Severity},
    report::{Examined, Outcome, Report},
};
use crate::config::Loaded;

/// Looks at this host, from inside the calling thread's namespaces, with the configuration it is to run.
///
/// # Panics
/// Outside of a tokio runtime with I/O and time.
pub async fn examine(loaded: &Loaded) -> Report {
    let facts = gather::facts(loaded).await;
    Report::new(&loaded.config, &facts)
}
