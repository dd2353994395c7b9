//! Pure: changes in the words of a message.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    event::{Event, Health, Kind, What},
    outbox::Batch,
};

#[cfg(test)]
mod tests;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// A line for each change, with line feeds.
    pub body: String,
}

/// The message for a batch, in the name of `node`.
#[must_use]
pub fn message(node: &str, batch: &Batch) -> Message {
    let mut body = String::new();
    for event in &batch.events {
        let at = humantime::format_rfc3339_seconds(event.at);
        let sentence = sentence(&event.what);
        writeln!(body, "{at}  {sentence}").expect("a String takes everything");
    }
    if batch.left_out > 0 {
        body.push_str(&format!(
            "\n{} earlier changes are not listed: they came too fast. `ballast status` and the log have them.\n",
            batch.left_out
        ));
    }
    Message {
        subject: format!("[{node}] {}", summary(batch)),
        body,
    }
}

/// The only change, or how many of each kind, the commonest first.
fn summary(batch: &Batch) -> String {
    if let ([only], 0) = (batch.events.as_slice(), batch.left_out) {
        let Event { what, .. } = only;
        return format!("{} {}", subject_of(what), state(what));
    }
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for Event { what, .. } in &batch.events {
        *kinds
            .entry(format!("{} {}", class(what), state(what)))
            .or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} x {kind}"))
        .collect();
    let listed = u64::try_from(batch.events.len()).unwrap_or(u64::MAX);
    let all = listed.saturating_add(batch.left_out);
    format!("{all} changes: {}", kinds.join(", "))
}

/// What changed, without its name.
fn class(what: &What) -> &'static str {
    match what {
        What::Backend { .. } => "backend",
        What::Quorum { .. } => "quorum",
        What::Fallback { .. } => "fallback",
        What::Kept { .. } => "failures",
        What::Role { kind, .. } => match kind {
            Kind::Instance => "virtual router",
            Kind::Group => "sync group",
        },
    }
}

fn subject_of(what: &What) -> String {
    let class = class(what);
    match what {
        What::Backend {
            service, backend, ..
        } => format!("{class} {backend} of {service}"),
        What::Quorum { service, .. }
        | What::Fallback { service, .. }
        | What::Kept { service, .. } => format!("{class} of {service}"),
        What::Role { name, .. } => format!("{class} {name}"),
    }
}

/// The word that the eye looks for.
fn state(what: &What) -> &str {
    match what {
        What::Backend { health, .. } => match health {
            Health::Up => "UP",
            Health::Down => "DOWN",
            Health::Held => "HELD",
        },
        What::Quorum { up: true, .. } => "GAINED",
        What::Quorum { up: false, .. } => "LOST",
        What::Fallback { serves: true, .. } => "ON",
        What::Fallback { serves: false, .. } => "OFF",
        What::Kept { backends: 0, .. } => "BELIEVED",
        What::Kept { .. } => "NOT BELIEVED",
        What::Role { state, .. } => state,
    }
}

fn sentence(what: &What) -> String {
    match what {
        What::Backend {
            service,
            backend,
            address,
            reason,
            ..
        } => {
            format!(
                "backend {backend} ({address}) of service {service} is {}: {reason}",
                state(what)
            )
        }
        What::Quorum {
            service,
            up: true,
            weight,
        } => format!("service {service} has GAINED its quorum: weight {weight} is up"),
        What::Quorum {
            service,
            up: false,
            weight,
        } => format!("service {service} has LOST its quorum: weight {weight} is up"),
        What::Fallback { service, .. } => {
            format!("the fallback of service {service} is {}", state(what))
        }
        What::Kept {
            service,
            backends: 0,
        } => {
            format!("failures of service {service}'s backends are BELIEVED again")
        }
        What::Kept { service, backends } => format!(
            "{backends} backends of service {service} failed at once while our own network changed: \
             that is NOT BELIEVED, they are kept"
        ),
        What::Role {
            state,
            priority,
            reason,
            ..
        } => {
            let subject = subject_of(what);
            format!("{subject} is {state}, priority {priority}: {reason}")
        }
    }
}
