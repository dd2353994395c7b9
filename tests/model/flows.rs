//! The reference: what is promised of a flow, from its own packets and the configuration alone.

use std::{fmt, net::IpAddr, time::Duration};

use lb_common::{
    connections::{State, Value},
    flow::{FlowKey, TCP},
    ring::Previous,
    verdict::FlowEvent,
    wire::tcp,
};
use lb_user::{
    config::model::{Protocol, Service},
    dataplane::schedule,
};

use crate::balancer::Answer;

/// How far a flow has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A SYN and nothing since.
    Opening,
    Open,
    /// A FIN went by.
    Closing,
}

/// A flow and where it has to stay.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) key: FlowKey,
    pub(crate) phase: Phase,
    /// The backend that knows it.
    pub(crate) home: IpAddr,
    /// When its last packet went by, milliseconds.
    pub(crate) last: u64,
    /// It is not remembered, though it should be: its slot has moved, and there was no room.
    pub(crate) refused: bool,
    /// It was pushed out while it was weak.
    pub(crate) evicted: bool,
    /// It was in the table at its last packet.
    pub(crate) kept: bool,
    /// How many changes there had been when it was opened.
    pub(crate) opened: u64,
    /// How many changes there had been when its last packet went by.
    pub(crate) heard: u64,
    /// Its slot had not moved lately then.
    pub(crate) plain: bool,
    /// Into how many parts it divides the time that it may be idle; `None`: it is idle for longer.
    pub(crate) share: Option<u64>,
    /// Its packets: when, what became of them, and what was done in the table.
    pub(crate) past: Vec<(u64, Step, Answer, Vec<FlowEvent>)>,
}

/// Why a flow may change its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Excuse {
    /// It was idle for longer than the grace time or its timeout.
    Idle,
    /// There was no room for it in the grace time, or a SYN or datagram was sent again meanwhile.
    Refused,
    /// It was pushed out before it was established.
    Evicted,
    /// Its SYN was sent again after a change.
    Reopened,
}

/// What a packet does to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Syn,
    Data,
    Fin,
    /// An ICMP error about it.
    About,
}

impl Step {
    /// TCP flags.
    pub(crate) fn flags(self, protocol: u8) -> u8 {
        match self {
            _ if protocol != TCP => 0,
            Self::Syn => tcp::SYN,
            Self::Data => tcp::ACK,
            Self::Fin => tcp::FIN | tcp::ACK,
            Self::About => 0,
        }
    }
}

impl Flow {
    pub(crate) fn new(key: FlowKey, home: IpAddr) -> Self {
        Self {
            key,
            phase: if key.protocol == TCP {
                Phase::Opening
            } else {
                Phase::Open
            },
            home,
            last: 0,
            refused: false,
            evicted: false,
            kept: false,
            opened: 0,
            heard: 0,
            plain: false,
            share: Some(1),
            past: Vec::new(),
        }
    }

    /// How long it may be idle.
    pub(crate) fn limit(&self, service: &Service) -> u64 {
        let timeouts = &service.timeouts;
        let (timeout, grace) = match (service.protocol, self.phase) {
            (Protocol::Udp, _) => (timeouts.udp, service.udp_grace),
            (Protocol::Tcp, Phase::Opening) => (timeouts.syn, service.grace),
            (Protocol::Tcp, Phase::Open) => (timeouts.established, service.grace),
            // One that is remembered only after its FIN is established as far as the table knows.
            (Protocol::Tcp, Phase::Closing) => {
                (timeouts.closing.min(timeouts.established), service.grace)
            }
        };
        millis(timeout.min(grace))
    }

    /// Whether it may be elsewhere now. `changes` is how many there have been.
    pub(crate) fn excuse(
        &self,
        step: Step,
        service: &Service,
        answer: &Answer,
        now: u64,
        changes: u64,
    ) -> Option<Excuse> {
        // Nothing has happened: then neither time nor memory matters.
        if self.plain && self.heard == changes {
            return None;
        }
        let moving = matches!(answer.previous, Some(Previous::Local(_) | Previous::Older));
        let by_turn = schedule::is_stateful(service.scheduler) || service.persistence.is_some();
        if now - self.last > self.limit(service) {
            return Some(Excuse::Idle);
        }
        if step == Step::Syn && (changes != self.opened || self.refused) {
            return Some(Excuse::Reopened);
        }
        // A refused flow agrees with itself while its slot has the same previous owner.
        if self.refused && (!moving || self.heard != changes || by_turn && self.key.protocol != TCP)
        {
            return Some(Excuse::Refused);
        }
        self.evicted.then_some(Excuse::Evicted)
    }

    /// Takes note of a packet that went to `backend`.
    pub(crate) fn sent(
        &mut self,
        step: Step,
        backend: IpAddr,
        answer: &Answer,
        events: &[FlowEvent],
        now: u64,
        changes: u64,
    ) {
        self.past.push((now, step, *answer, events.to_vec()));
        if step == Step::About {
            return;
        }
        self.last = now;
        self.home = backend;
        self.phase = match (step, self.phase) {
            _ if self.key.protocol != TCP => Phase::Open,
            (Step::Syn, _) => Phase::Opening,
            (Step::Fin, _) | (_, Phase::Closing) => Phase::Closing,
            _ => Phase::Open,
        };
        // Where something has to be remembered, every packet tries.
        let refusal = |e: &FlowEvent| matches!(e, FlowEvent::OverBudget | FlowEvent::Full);
        self.refused = events.iter().any(refusal);
        self.evicted = false;
        self.kept = is_kept(events);
        self.heard = changes;
        self.plain = answer.previous == Some(Previous::Plain);
    }

    /// Its last packets, for people.
    pub(crate) fn story(&self) -> String {
        let tell = |(now, step, answer, events): &(u64, Step, Answer, Vec<FlowEvent>)| {
            let Answer {
                backend,
                owner,
                previous,
                ..
            } = answer;
            format!(
                "{now:9} {step:?} to {backend:?}, owner {owner:?}, slot {previous:?}: {events:?}"
            )
        };
        let last = &self.past[self.past.len().saturating_sub(STORY)..];
        last.iter().map(tell).collect::<Vec<_>>().join("\n")
    }

    /// Its entry in the table was given to another flow.
    pub(crate) fn pushed_out(&mut self, value: Value) -> Result<(), String> {
        if value.state_byte() == State::Established as u8 {
            return Err(format!("{self} was established, and was pushed out"));
        }
        self.evicted = true;
        Ok(())
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, port) = (self.key.source.to_ip(), self.key.source_port);
        write!(f, "{source}:{port} ({:?} on {})", self.phase, self.home)
    }
}

/// Whether a flow is in the table after a packet.
pub(crate) fn is_kept(events: &[FlowEvent]) -> bool {
    let kept =
        |e: &FlowEvent| matches!(e, FlowEvent::Hit | FlowEvent::Insert | FlowEvent::Eviction);
    events.iter().any(kept)
}

/// Packets of a flow that are told when it breaks.
const STORY: usize = 12;

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("not for ever")
}
