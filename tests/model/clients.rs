//! The reference of persistence: which client has to come back to which backend, from the packets of its
//! flows and the configuration alone.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use lb_common::{
    connections::{State, Value},
    flow::{FlowKey, TCP},
    verdict::FlowEvent,
};
use lb_user::{
    config::model::{Service, ServiceKey},
    dataplane::compose::Admission,
};

use crate::{
    balancer::Wanted,
    flows::{Step, millis},
    world::{is_reachable, service_with},
};

/// Clients that have to come back.
#[derive(Default)]
pub(crate) struct Clients(BTreeMap<(ServiceKey, IpAddr), Known>);

/// One of them.
struct Known {
    /// The backend it is with.
    home: IpAddr,
    /// When a packet of one of its flows with that backend went by last, milliseconds.
    last: u64,
    /// What the table knows it by.
    tag: u64,
}

/// A packet, and what became of it.
pub(crate) struct News<'a> {
    /// What it may be judged by.
    pub(crate) in_force: &'a [&'a Wanted],
    pub(crate) service: &'a Service,
    pub(crate) key: &'a FlowKey,
    /// What the table knows the client by, where clients are kept.
    pub(crate) tag: Option<u64>,
    pub(crate) step: Step,
    pub(crate) backend: Option<IpAddr>,
    pub(crate) events: &'a [FlowEvent],
    pub(crate) now: u64,
}

impl Clients {
    /// Hears of a packet: whether it is a new flow that had to go where its client is. It went there.
    pub(crate) fn hear(&mut self, news: &News<'_>) -> Result<bool, String> {
        let (Some(client), Some(tag)) = (client(news.service, news.key), news.tag) else {
            return Ok(false);
        };
        let Some(persistence) = news.service.persistence else {
            return Ok(false);
        };
        let has = |event: &FlowEvent| news.events.contains(event);
        let refused = has(&FlowEvent::OverBudget) || has(&FlowEvent::Full);
        let inserted = has(&FlowEvent::Insert) || has(&FlowEvent::Eviction);
        let may_be_new = match news.step {
            Step::About => false,
            step => news.key.protocol != TCP || step == Step::Syn,
        };
        let timeout = millis(persistence.timeout);
        // Only a new flow makes a client known that has been forgotten.
        let known = self.0.get_mut(&client);
        let known = known.filter(|known| news.now - known.last <= timeout);
        if has(&FlowEvent::Hit) {
            if news.step != Step::About
                && let Some(known) = known
                && Some(known.home) == news.backend
            {
                known.last = news.now;
            }
            return Ok(false);
        }
        // A flow that is not remembered goes by the ring.
        if !may_be_new || !inserted {
            return Ok(false);
        }
        let expected = known.filter(|known| is_promised(news.in_force, client.0, known.home));
        if let Some(known) = &expected
            && Some(known.home) != news.backend
        {
            return Err(format!(
                "client {} of {}, last heard of at {} with {}, opens a flow and gets {:?}: {:?}",
                client.1, news.service.name, known.last, known.home, news.backend, news.events
            ));
        }
        let returned = expected.is_some();
        match news.backend {
            // That the flow was remembered says nothing of the client.
            Some(home) if (!refused || returned) && is_promised(news.in_force, client.0, home) => {
                let last = news.now;
                self.0.insert(client, Known { home, last, tag });
            }
            _ => drop(self.0.remove(&client)),
        }
        Ok(returned)
    }

    /// An entry of the table was given to another flow or client.
    pub(crate) fn pushed_out(&mut self, tag: u64, value: Value) -> Result<(), String> {
        let before = self.0.len();
        self.0.retain(|_, known| known.tag != tag);
        if self.0.len() < before && value.state_byte() == State::Client as u8 {
            return Err("a client that was answered to was pushed out".to_owned());
        }
        Ok(())
    }

    /// Keeps those to whom it is promised.
    pub(crate) fn keep_promised(&mut self, in_force: &[&Wanted]) {
        self.0
            .retain(|(service, _), known| is_promised(in_force, *service, known.home));
    }
}

/// Who is one client with a flow's, where clients are kept.
fn client(service: &Service, key: &FlowKey) -> Option<(ServiceKey, IpAddr)> {
    let length = service.persistence?.prefix_length;
    let client = IpNet::new(key.source.to_ip(), length).expect("a prefix of an address");
    Some((service.key(), client.network()))
}

/// Whether clients come back to a backend: all that is in force keeps them, in the same way, and lets it
/// have them.
fn is_promised(in_force: &[&Wanted], key: ServiceKey, home: IpAddr) -> bool {
    let mut persistence = in_force
        .iter()
        .map(|wanted| service_with(wanted, key).and_then(|service| service.persistence));
    let first = persistence.next().flatten();
    let same = first.is_some() && persistence.all(|other| other == first);
    same && in_force.iter().all(|wanted| {
        service_with(wanted, key).is_some_and(|service| may_host(wanted, service, home))
    })
}

/// Whether clients that are with a backend may go on to open flows there.
pub(crate) fn may_host(wanted: &Wanted, service: &Service, home: IpAddr) -> bool {
    if service.persistence.is_none() || !is_reachable(wanted, home) {
        return false;
    }
    let fallback = service.fallback.as_ref();
    let is_fallback = fallback.is_some_and(|fallback| fallback.address == home);
    let mut backends = service.backends.iter();
    let (key, weight) = match (
        backends.find(|backend| backend.address == home),
        fallback.filter(|_| is_fallback),
    ) {
        (Some(backend), _) => (backend.key(), backend.weight.get()),
        (None, Some(fallback)) => (fallback.key(), 0),
        (None, None) => return false,
    };
    let change = wanted.changes.get(&(service.key(), key)).copied();
    let change = change.unwrap_or_default();
    match change.admission {
        Admission::Alone => true,
        // A fallback with a weight is a backend like the others.
        Admission::Open | Admission::Drained => !is_fallback || change.weight.unwrap_or(weight) > 0,
        Admission::Closed | Admission::Out => false,
    }
}
