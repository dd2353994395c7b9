//! The instrument: what a client sees of a failover.
//!
//! A probe is one UDP datagram a millisecond, numbered, from the client to the virtual address, through
//! the XDP service of whichever balancer has it, to an echo at a real server, whose answer comes straight
//! back. The *gap* is the longest silence between two answers around the event, by the kernel's receive
//! timestamps: about 1 ms when nothing happens. Beside it, how many probes got no answer, and who
//! forwarded before and after, by the source MACs that the real servers saw.
//!
//! A canary of the same priority wakes every millisecond and says how late it was. A machine that stalls
//! makes gaps of its own: a measurement whose canary overslept [`STALL`] is counted and repeated.

mod analysis;
mod calm;
mod canary;
mod echo;
mod event;
mod probe;
mod run;
mod table;

use std::time::Duration;

pub use analysis::{Gap, Trace};
pub use calm::{Busy, Calm, calm};
pub use canary::Canary;
pub use echo::{ECHO_PORT, Echo};
pub use event::Event;
pub use probe::Probes;
pub use run::{Measurement, measure, restore};
pub use table::{Row, Table};

/// A canary that overslept longer makes a measurement worthless, unless that is less than a tenth of an
/// advertisement interval.
pub const STALL: Duration = Duration::from_millis(10);

/// Of probes, echo and canary, where real-time scheduling is allowed.
const PRIORITY: i32 = 20;
