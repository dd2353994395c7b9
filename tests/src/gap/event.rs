//! What happens to a master, and how it is made good.

use std::{fmt, time::Duration};

use anyhow::{Result, ensure};

use crate::{pair::Pair, wait::wait_for};

/// What takes a master away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Event {
    /// Cut at the switch, every process killed, the interface gone with its XDP program.
    PowerOff,
    /// Cut at the switch; everything goes on running.
    LinkDown,
    /// SIGTERM to who elects.
    CleanStop,
    /// The process it tracks is killed.
    ProcessDeath,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::PowerOff,
        Self::LinkDown,
        Self::CleanStop,
        Self::ProcessDeath,
    ];

    /// As JSON has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PowerOff => "power_off",
            Self::LinkDown => "link_down",
            Self::CleanStop => "clean_stop",
            Self::ProcessDeath => "process_death",
        }
    }

    /// The master has no time to say that it goes.
    #[must_use]
    pub fn is_sudden(self) -> bool {
        matches!(self, Self::PowerOff | Self::LinkDown)
    }

    /// How long the client looks, at least: as long whoever elects, since a longer look sees a longer
    /// silence of the machine's own. A `ballast` that stops ends two seconds after its successor spoke.
    pub(super) fn watched(self) -> Duration {
        match self {
            Self::CleanStop => Duration::from_secs(3),
            Self::PowerOff | Self::LinkDown | Self::ProcessDeath => Duration::from_millis(300),
        }
    }

    /// Makes it happen to the balancer `index`.
    pub(super) fn happen(self, pair: &mut Pair<'_>, index: usize) -> Result<()> {
        match self {
            Self::PowerOff => pair.power_off(index),
            Self::LinkDown => pair.net.lbs[index].port.cut(),
            Self::CleanStop => pair.terminate(index),
            Self::ProcessDeath => pair.kill_tracked(index),
        }
    }

    /// Waits for what has to be over before the client may stop looking.
    pub(super) fn wait_until_over(self, pair: &mut Pair<'_>, index: usize) -> Result<()> {
        match self {
            Self::CleanStop => pair.wait_for_end(index),
            Self::PowerOff | Self::LinkDown | Self::ProcessDeath => Ok(()),
        }
    }

    /// Makes good what happened to `index`.
    pub(super) fn undo(self, pair: &mut Pair<'_>, index: usize) -> Result<()> {
        match self {
            Self::PowerOff => pair.power_on(index),
            Self::LinkDown => {
                let lb = &pair.net.lbs[index];
                lb.port.mend()?;
                wait_for("the carrier", LIMIT, || {
                    let state = lb.host.read("/sys/class/net/eth0/operstate")?;
                    ensure!(state.trim() == "up", "eth0 is {}", state.trim());
                    Ok(())
                })?;
                Ok(())
            }
            Self::CleanStop => pair.run_elector(index),
            Self::ProcessDeath => pair.run_tracked(index),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name().replace('_', " "))
    }
}

const LIMIT: Duration = Duration::from_secs(20);
