//! From what is wanted to what is in the kernel: compose, diff, apply. Level triggered: it looks at
//! the newest state only, and whatever failed is taken up by the next call.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Instant,
};

use anyhow::Context as _;

use super::{
    desired::{Datapath, Desired, LastChange},
    flows, foreign,
    hops::{self, Interface},
    ipvs::Wanted,
};
use crate::{
    config::model::{Config, XdpMode},
    dataplane::{
        attach::WantedMode,
        compose::{self, Changes, Inputs},
        plan,
    },
    net::NetView,
    types::IfIndex,
};

/// What else there is to know, beside the configuration and the network.
pub(super) struct Around<'a> {
    /// The other balancers.
    pub(super) peers: &'a BTreeSet<IpAddr>,
    /// Backends that are not as configured.
    pub(super) changes: &'a Changes,
    /// Path MTUs to the ends of tunnels.
    pub(super) paths: &'a BTreeMap<IpAddr, u32>,
}

impl Desired {
    /// Makes the data plane follow. Trouble is logged once and tried again every second.
    pub(super) fn reconcile(&mut self) {
        let result = self.try_reconcile();
        let trouble = result.err().map(|error| format!("{error:#}"));
        if trouble != self.trouble {
            match &trouble {
                Some(error) => tracing::error!(%error, "the data plane is behind; trying again"),
                None => tracing::info!("the data plane is up to date again"),
            }
            self.trouble = trouble;
        }
        self.balance();
    }

    /// Makes IPVS follow; what keeps it from that is its own trouble.
    pub(super) fn balance(&mut self) {
        self.ipvs.reconcile(&Wanted {
            services: self.engines.for_ipvs(&self.config),
            changes: &self.changes,
            sync: self.config.ipvs_sync.as_ref(),
            manage_sysctls: self.config.datapath.manage_sysctls,
        });
    }

    /// One attempt.
    pub(super) fn try_reconcile(&mut self) -> anyhow::Result<()> {
        let view = self.view.borrow_and_update().clone();
        let interfaces = hops::interfaces(&self.config, &view);
        let Some(datapath) = &mut self.datapath else {
            return Ok(());
        };
        // An interface that went away must not hold back what concerns the others.
        let present = match &interfaces {
            Ok(all) => all.clone(),
            Err(_) => present(&self.config, &view),
        };
        let around = Around {
            peers: &self.peers,
            changes: &self.changes,
            paths: self.paths.mtus(),
        };
        let config = self.engines.for_xdp(&self.config);
        datapath.bring_up_to_date(&config, &view, &present, &around)?;
        self.want_targets();
        interfaces.context("an interface is missing").map(|_| ())
    }
}

/// Those configured interfaces that are there.
fn present(config: &Config, view: &NetView) -> Vec<Interface> {
    let one = |name: &crate::types::IfName| {
        let link = view.links.values().find(|link| link.name == *name)?;
        Some(Interface {
            index: link.index,
            name: name.clone(),
            mac: link.mac?,
        })
    };
    config.datapath.interfaces.iter().filter_map(one).collect()
}

impl Datapath {
    /// Writes what differs, then attaches what is not attached, then takes away what is not wanted.
    pub(super) fn bring_up_to_date(
        &mut self,
        config: &Config,
        view: &NetView,
        interfaces: &[Interface],
        around: &Around<'_>,
    ) -> anyhow::Result<()> {
        let hops = hops::hops(view);
        let front = hops::front(view, interfaces, around.peers);
        let turns = if self.cache.counts_flows() {
            self.bpf.turns()
        } else {
            BTreeMap::new()
        };
        let inputs = Inputs {
            config,
            changes: around.changes,
            front: &front,
            hops: &hops,
            paths: around.paths,
            applied: self.bpf.applied(),
            usage: self.usage.as_ref(),
            turns: &turns,
            now: flows::clock().boot,
        };
        let began = Instant::now();
        let wanted = compose::compose(&inputs, &mut self.ids, &mut self.cache)?;
        let plan = plan::diff(self.bpf.applied(), &wanted);
        for op in &plan {
            self.bpf.apply(op, began)?;
        }
        self.ids.retain(self.bpf.applied());
        if !plan.is_empty() {
            self.last_change = Some(LastChange {
                operations: plan.len(),
                took: began.elapsed(),
            });
        }

        let pairs: Vec<_> = interfaces
            .iter()
            .map(|i| (i.index, i.name.clone()))
            .collect();
        let mode = match config.datapath.xdp_mode {
            XdpMode::Auto => WantedMode::Auto,
            XdpMode::Native => WantedMode::Native,
            XdpMode::Generic => WantedMode::Generic,
        };
        let how = self
            .links
            .attach(&mut self.bpf, &pairs, mode)
            .map_err(|error| foreign::named(error, interfaces))?;
        self.attached.extend(how);
        let indices: Vec<IfIndex> = interfaces.iter().map(|i| i.index).collect();
        self.links.detach_others(&self.bpf, &indices);
        self.attached.retain(|index, _| indices.contains(index));
        self.bpf.commit()?;
        Ok(())
    }
}
