//! Pure: where one backend stands, and why.

use crate::{config::model::OnFailure, health::fsm::Health, types::Weight};

/// Whether a backend gets flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// New ones and those it has.
    Serving,
    /// Those it has.
    Lingering(Why),
    /// None: those it has move.
    Out(Why),
}

impl Standing {
    /// Why it gets no new flows; `None` if it does.
    #[must_use]
    pub fn why(self) -> Option<Why> {
        match self {
            Self::Serving => None,
            Self::Lingering(why) | Self::Out(why) => Some(why),
        }
    }
}

/// Why a backend gets no new flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Its weight is 0.
    Weight,
    /// The operator drains it.
    Drained,
    /// The operator took it out.
    Disabled,
    /// Its checks fail.
    Down,
    /// Its checks are good, but have failed too often lately.
    Held,
    /// The service is below quorum, and its fallback serves.
    Standby,
}

impl Why {
    /// The word for logs and `status`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Weight => "weight 0",
            Self::Drained => "drained",
            Self::Disabled => "disabled",
            Self::Down => "down",
            Self::Held => "held back, it flaps",
            Self::Standby => "below quorum",
        }
    }
}

/// What the operator said about a backend at run time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Whether it may serve.
    pub mode: Mode,
    /// In place of the configured weight.
    pub weight: Option<Weight>,
}

/// Whether the operator lets a backend serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// As its health says.
    #[default]
    Enabled,
    /// No new flows.
    Drain,
    /// No flows at all.
    Disabled,
}

/// All that decides it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) health: Health,
    /// Our link is to blame for its failure.
    pub(super) kept: bool,
    /// It is held back, but needed.
    pub(super) released: bool,
    pub(super) mode: Mode,
    pub(super) weight: Weight,
    pub(super) on_failure: OnFailure,
}

/// The strongest reason wins: who is dead or taken out has no flows, whatever else is said.
pub(super) fn of(input: &Input) -> Standing {
    if input.mode == Mode::Disabled {
        return Standing::Out(Why::Disabled);
    }
    let failed = match input.health {
        Health::Up => None,
        Health::Held => (!input.released).then_some(Why::Held),
        Health::Down => (!input.kept).then_some(Why::Down),
    };
    match (failed, input.on_failure) {
        (Some(why), OnFailure::Remove) => Standing::Out(why),
        (_, _) if input.mode == Mode::Drain => Standing::Lingering(Why::Drained),
        (Some(why), OnFailure::WeightZero) => Standing::Lingering(why),
        (None, _) if input.weight == Weight::ZERO => Standing::Lingering(Why::Weight),
        (None, _) => Standing::Serving,
    }
}
