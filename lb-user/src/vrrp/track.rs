//! What an instance tracks, and what that makes of its priority. Pure: somebody else looks.
//!
//! As keepalived has it:
//!
//! | weight | good | bad | not known yet |
//! |---|---|---|---|
//! | 0 | – | FAULT | the instance does not start |
//! | above 0 | priority + weight | – | – |
//! | below 0 | – | priority + weight | – |
//!
//! A file holds a number instead: number × weight is added, FAULT at [`FILE_FAULT`] and below; at weight
//! 0, any number but 0 is FAULT. A file that is missing, unreadable or not yet read counts as 0.
//!
//! The result is held within 1–254. [`Priority::OWNER`] is changed by no weight, but FAULT applies.
//!
//! **Not known yet** (a script that has not ended once): keepalived keeps an instance in its initial
//! state until every script of weight 0 was run, takes the script's first result as it is, without
//! `rise` and `fall`, and lets a running instance run on when a reload gives it a new script. Hence [`Effective::waiting`] is apart from [`Effective::fault`]: it keeps an instance from
//! starting, and never stops one. An unknown input with a weight adds nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use crate::{
    config::model::{Track, TrackWeight},
    types::{IfName, Priority, ScriptName, ServiceName},
};

#[cfg(test)]
mod tests;

/// Something that is tracked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// A network interface: good while it is up and has a carrier.
    Interface(IfName),
    /// A script: good after `rise` good runs, until `fall` bad ones.
    Script(ScriptName),
    /// A process of this name: good while there is one.
    Process(String),
    /// A file with a number in it.
    File(PathBuf),
    /// A service: good while it has its quorum.
    Service(ServiceName),
}

/// What is known of an [`Input`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It works.
    Good,
    /// It does not.
    Bad,
    /// A file's number, as [`file_number`] reads it.
    Number(i64),
    /// A file that is not there or cannot be read; counts as the number 0.
    Missing,
}

/// What an instance tracks, with what weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// What.
    pub input: Input,
    /// With what weight.
    pub weight: TrackWeight,
}

/// Everything an instance on `interface` tracks: first that interface, with weight 0; then what `track`
/// says, in its order. What is listed twice counts once, as it was listed first.
#[must_use]
pub fn tracked(interface: &IfName, track: &Track) -> Vec<Tracked> {
    let own = (Input::Interface(interface.clone()), TrackWeight::FAULT);
    let interfaces = track.interfaces.iter();
    let interfaces = interfaces.map(|t| (Input::Interface(t.name.clone()), t.weight));
    let scripts = track.scripts.iter();
    let scripts = scripts.map(|t| (Input::Script(t.name.clone()), t.weight));
    let processes = track.processes.iter();
    let processes = processes.map(|t| (Input::Process(t.name.clone()), t.weight));
    let files = track.files.iter();
    let files = files.map(|t| (Input::File(t.path.clone()), t.weight));
    let services = track.services.iter();
    let services = services.map(|t| (Input::Service(t.name.clone()), t.weight));

    let mut seen = BTreeSet::new();
    [own]
        .into_iter()
        .chain(interfaces)
        .chain(scripts)
        .chain(processes)
        .chain(files)
        .chain(services)
        .filter(|(input, _)| seen.insert(input.clone()))
        .map(|(input, weight)| Tracked { input, weight })
        .collect()
}

/// What is known of all inputs; [`State::Unknown`] of those that were never set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed(BTreeMap<Input, State>);

impl Observed {
    /// What is known of `input`.
    #[must_use]
    pub fn get(&self, input: &Input) -> State {
        self.0.get(input).copied().unwrap_or_default()
    }

    /// Takes note of `state`; true if that is news.
    pub fn set(&mut self, input: Input, state: State) -> bool {
        self.0.insert(input, state).unwrap_or_default() != state
    }

    /// Forgets inputs that nobody tracks any more, so that they are unknown if they come back.
    pub fn retain(&mut self, mut keep: impl FnMut(&Input) -> bool) {
        self.0.retain(|input, _| keep(input));
    }
}

/// What the inputs make of an instance's priority, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// What is advertised.
    pub priority: Priority,
    /// Why the instance is in FAULT; empty: it is not.
    pub fault: Vec<Cause>,
    /// What must be known before the instance starts. One that runs already runs on.
    pub waiting: Vec<Cause>,
    /// Every input with a weight and what it adds, also where that is 0; their sum may go beyond what
    /// `priority` is held to. Empty for [`Priority::OWNER`].
    pub contributions: Vec<Contribution>,
}

impl Effective {
    /// Whether an instance may leave its initial state.
    #[must_use]
    pub fn may_start(&self) -> bool {
        self.fault.is_empty() && self.waiting.is_empty()
    }

    /// Whether everything that has a weight is known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let mut causes = self.contributions.iter().map(|one| &one.cause);
        causes.all(|cause| cause.state != State::Unknown)
    }
}

/// An input in a state: `interface eth1 down`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What.
    pub input: Input,
    /// In which state.
    pub state: State,
}

/// What an input adds to the priority: `script chk_haproxy failed: -20`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// What, in which state.
    pub cause: Cause,
    /// What it adds, within ±[`TrackWeight::MAX`].
    pub change: i16,
}

/// The priority of an instance whose own is `base`, with all that is known of what it tracks.
#[must_use]
pub fn effective(base: Priority, tracked: &[Tracked], observed: &Observed) -> Effective {
    let mut effective = Effective {
        priority: base,
        fault: Vec::new(),
        waiting: Vec::new(),
        contributions: Vec::new(),
    };
    for Tracked { input, weight } in tracked {
        let state = observed.get(input);
        let cause = Cause {
            input: input.clone(),
            state,
        };
        match effect(input, state, *weight) {
            Effect::None => {}
            Effect::Wait => effective.waiting.push(cause),
            Effect::Fault => effective.fault.push(cause),
            Effect::Add(_) if base == Priority::OWNER => {}
            Effect::Add(change) => effective.contributions.push(Contribution { cause, change }),
        }
    }
    if base != Priority::OWNER {
        effective.priority = sum(base, &effective.contributions);
    }
    effective
}

/// The number in a file: decimal, with an optional sign, after white space, up to what is no digit;
/// without one, 0. A number that is too large is the largest.
#[must_use]
pub fn file_number(contents: &[u8]) -> i64 {
    let text = contents.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let digits = digits.iter().map_while(|byte| match byte {
        b'0'..=b'9' => Some(i64::from(byte - b'0')),
        _ => None,
    });
    digits.fold(0, |number: i64, digit| {
        let digit = if negative { -digit } else { digit };
        number.saturating_mul(10).saturating_add(digit)
    })
}

/// What one input does.
enum Effect {
    None,
    Wait,
    Fault,
    Add(i16),
}

fn effect(input: &Input, state: State, weight: TrackWeight) -> Effect {
    let number = match (input, state) {
        (_, State::Number(number)) => Some(number),
        (_, State::Missing) | (Input::File(_), State::Unknown) => Some(0),
        _ => None,
    };
    match (number, state, weight.get()) {
        (Some(0), _, 0) => Effect::None,
        (Some(_), _, 0) => Effect::Fault,
        (Some(number), _, weight) => scaled(number, weight),
        (None, State::Unknown, 0) => Effect::Wait,
        (None, State::Bad, 0) => Effect::Fault,
        (None, _, 0) => Effect::None,
        (None, State::Good, weight) => Effect::Add(weight.max(0)),
        (None, State::Bad, weight) => Effect::Add(weight.min(0)),
        (None, _, _) => Effect::Add(0),
    }
}

fn scaled(number: i64, weight: i16) -> Effect {
    let product = number.saturating_mul(weight.into());
    if product <= FILE_FAULT {
        return Effect::Fault;
    }
    let most = TrackWeight::MAX;
    Effect::Add(i16::try_from(product).map_or(most, |change| change.min(most)))
}

fn sum(base: Priority, contributions: &[Contribution]) -> Priority {
    let changes = contributions.iter().map(|c| i64::from(c.change));
    let sum = (i64::from(base.get()) + changes.sum::<i64>()).clamp(1, 254);
    u8::try_from(sum)
        .ok()
        .and_then(Priority::new)
        .expect("1 to 254 is an ordinary priority")
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Script(name) => write!(f, "script {name}"),
            Self::Process(name) => write!(f, "process {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Service(name) => write!(f, "service {name}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, state } = self;
        let state = match (state, input) {
            (State::Number(number), _) => return write!(f, "{input} is {number}"),
            (State::Missing, _) => "missing",
            (State::Unknown, Input::Script(_)) => "has not run yet",
            (State::Unknown, _) => "not known yet",
            (State::Good, Input::Interface(_)) => "up",
            (State::Good, Input::Process(_)) => "running",
            (State::Good, Input::Service(_)) => "has its quorum",
            (State::Good, Input::Script(_) | Input::File(_)) => "good",
            (State::Bad, Input::Interface(_)) => "down",
            (State::Bad, Input::Process(_)) => "not running",
            (State::Bad, Input::Service(_)) => "below quorum",
            (State::Bad, Input::Script(_) | Input::File(_)) => "failed",
        };
        write!(f, "{input} {state}")
    }
}

impl fmt::Display for Contribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.change {
            0 => write!(f, "{}: 0", self.cause),
            change => write!(f, "{}: {change:+}", self.cause),
        }
    }
}

/// From this product of a file's number and its weight on, the instance is in FAULT: it is more than
/// any priority has to lose.
pub const FILE_FAULT: i64 = -(TrackWeight::MAX as i64) - 1;
