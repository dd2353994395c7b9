//! What `ballast status --json` says about virtual routers. The only reader of that part of the document.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::ballast::Agent;

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Instance {
    /// As in the file.
    pub name: String,
    /// As in the file.
    pub interface: String,
    /// As in the file.
    pub virtual_router_id: u8,
    /// `master`, `backup`, `fault` or `init`.
    pub state: String,
    /// As in the file.
    pub priority: u8,
    /// With what trackers add and take.
    pub effective_priority: u8,
    /// Each tracker's contribution, in words or numbers.
    #[serde(default)]
    pub reasons: Value,
    /// Who is master, as far as this node knows.
    #[serde(default)]
    pub master: Option<String>,
    /// What the peer says to hold, where that is something else.
    #[serde(default)]
    pub peer_virtual_addresses: Option<Vec<IpAddr>>,
    /// Milliseconds since the master's last advert.
    #[serde(default)]
    pub last_advert_age_ms: Option<u64>,
    /// Changes of role since the agent's first start.
    pub transitions: u64,
    /// The latest of them.
    #[serde(default)]
    pub last_transition: Option<Transition>,
    /// What was sent, received and dropped.
    #[serde(default)]
    pub counters: Counters,
}

/// A change of role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Transition {
    /// The role before.
    pub from: String,
    /// The role after.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// Adverts, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Counters {
    /// Sent.
    #[serde(default)]
    pub sent: u64,
    /// Accepted.
    #[serde(default)]
    pub received: u64,
    /// Accepted in version 3 over IPv4, by how they were summed.
    #[serde(default)]
    pub checksum_forms: BTreeMap<String, u64>,
    /// Ignored, by reason.
    #[serde(default)]
    pub dropped: BTreeMap<String, u64>,
}

impl Counters {
    /// Ignored, whatever the reason.
    #[must_use]
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.values().sum()
    }
}

/// The virtual routers of a running agent, in the order of the file.
///
/// # Errors
/// When it does not run, or the document is not what this reader expects.
pub fn instances(agent: &Agent) -> Result<Vec<Instance>> {
    read(&agent.status()?)
}

/// Adverts for no virtual router of the node, by reason.
///
/// # Errors
/// As [`instances`].
pub fn unclaimed(agent: &Agent) -> Result<BTreeMap<String, u64>> {
    let status = agent.status()?;
    let counts = status
        .get("vrrp_unclaimed")
        .context("`ballast status --json` has no `vrrp_unclaimed`")?;
    Ok(serde_json::from_value(counts.clone())?)
}

fn read(status: &Value) -> Result<Vec<Instance>> {
    let vrrp = status
        .get("vrrp")
        .context("`ballast status --json` has no `vrrp`")?;
    serde_json::from_value(vrrp.clone()).with_context(|| format!("`vrrp` of the status: {vrrp}"))
}

#[cfg(test)]
mod tests;
