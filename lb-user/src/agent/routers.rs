//! The virtual routers' side of the agent: their thread, what they track, whom they tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use tokio::task::JoinSet;

mod leave;

#[cfg(test)]
mod tests;

use super::{outlets::Alarms, trackers::Trackers, withdraw::withdraw};
use crate::{
    config::{Config, model},
    notify::{self, Kind, Notifier},
    vrrp::{
        engine::Setup,
        machine::Role,
        record,
        task::{HandOver, Vrrp},
        track::{Input, State},
        view::{Notice, View, Who},
    },
};

/// See the head of this file. There is no thread while no router is configured.
pub(super) struct Routers {
    runtime_dir: PathBuf,
    alarms: Alarms,
    running: Option<Running>,
}

struct Running {
    vrrp: Vrrp,
    trackers: Trackers,
    notifiers: BTreeMap<Who, Notifier>,
    /// Those of routers and groups that are no more, until their scripts have run.
    leaving: JoinSet<()>,
    longest_interval: Duration,
}

/// What the agent's loop has to do something about.
pub(super) enum Event {
    /// Roles or peers are others.
    Roles,
    /// Scripts are to be told.
    Notice(Notice),
    /// The thread ended.
    Ended(anyhow::Error),
}

impl Routers {
    pub(super) fn new(config: &Config, alarms: Alarms) -> Self {
        Self {
            runtime_dir: config.runtime_dir.clone(),
            alarms,
            running: None,
        }
    }

    /// Whether a predecessor was master so shortly ago that no peer can know that it is gone.
    pub(super) fn can_resume(config: &Config) -> bool {
        record::can_resume(&config.runtime_dir, &config.vrrp_instances)
    }

    /// Makes the routers what the configuration says.
    pub(super) async fn apply(&mut self, config: &Config) -> anyhow::Result<()> {
        if self.running.is_none() && !config.vrrp_instances.is_empty() {
            let vrrp = Vrrp::start(&self.runtime_dir)
                .await
                .context("VRRP cannot start")?;
            self.running = Some(Running {
                trackers: Trackers::new(vrrp.observer()),
                vrrp,
                notifiers: BTreeMap::new(),
                leaving: JoinSet::new(),
                longest_interval: Duration::ZERO,
            });
        }
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        running.trackers.apply(config);
        running.add_notifiers(config);
        let intervals = config.vrrp_instances.iter();
        let intervals = intervals.map(|instance| instance.advertisement_interval);
        running.longest_interval = intervals.max().unwrap_or_default();
        running
            .vrrp
            .configure(Setup {
                instances: config.vrrp_instances.clone(),
                groups: config.vrrp_sync_groups.clone(),
            })
            .await;
        running.tell_all(&self.alarms);
        // Only now: routers that went have said so.
        running.remove_notifiers(config);
        Ok(())
    }

    /// Before a configuration that has routers or addresses no more: gives these up. Returns the
    /// addresses that this host had of them, which the kernel is about to lose.
    pub(super) async fn leave(&mut self, old: &Config, new: &Config) -> BTreeSet<IpAddr> {
        let (Some(running), Some((stays, goes))) = (&mut self.running, leave::split(old, new))
        else {
            return BTreeSet::new();
        };
        let masters: BTreeSet<_> = {
            let roles = running.vrrp.roles.borrow();
            let masters = roles.routers.iter();
            let masters = masters.filter(|(_, role)| **role == Role::Master);
            masters.map(|(name, _)| name.clone()).collect()
        };
        running.vrrp.configure(stays).await;
        let goes = goes.into_iter();
        goes.filter(|(name, _)| masters.contains(name))
            .map(|(_, address)| address)
            .collect()
    }

    /// Waits for the next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Event {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let vrrp = &mut running.vrrp;
        tokio::select! {
            biased;
            Some(notice) = vrrp.notices.recv() => Event::Notice(notice),
            Ok(()) = vrrp.roles.changed() => Event::Roles,
            error = &mut vrrp.ended => Event::Ended(match error {
                Ok(text) => anyhow::anyhow!(text),
                Err(_) => anyhow::anyhow!("the thread of VRRP ended by itself"),
            }),
        }
    }

    /// Tells the operator and the operator's scripts.
    pub(super) fn tell(&self, notice: &Notice) {
        self.alarms.role(notice);
        if let Some(running) = &self.running {
            running.tell(notice);
        }
    }

    /// Hands over what was seen of tracked things that have no tracker.
    pub(super) fn observe(&self, states: Vec<(Input, State)>) {
        if let Some(running) = &self.running {
            running.trackers.observe(states);
        }
    }

    /// The other routers.
    pub(super) fn peers(&self) -> BTreeSet<IpAddr> {
        let running = self.running.as_ref();
        running.map_or_else(BTreeSet::new, |running| {
            running.vrrp.roles.borrow().peers.clone()
        })
    }

    /// What the routers are doing.
    pub(super) async fn view(&self) -> View {
        match &self.running {
            Some(running) => running.vrrp.view().await,
            None => View::default(),
        }
    }

    /// What trackers last saw, in words.
    pub(super) fn tracked(&self) -> Vec<super::trackers::Seen> {
        self.running
            .as_ref()
            .map_or_else(Vec::new, |running| running.trackers.seen())
    }

    /// How long a stop may take.
    pub(super) fn stop_limit(&self) -> Duration {
        let running = self.running.as_ref();
        let interval = running.map_or(Duration::ZERO, |running| running.longest_interval);
        4 * interval + STOP_MARGIN
    }

    /// Gives up every role, lets scripts run, and waits until peers have taken over. What the thread of
    /// VRRP cannot remove is removed here.
    pub(super) async fn hand_over(&mut self) -> HandOver {
        let Some(mut running) = self.running.take() else {
            return HandOver::NoMaster;
        };
        let result = running.vrrp.hand_over().await;
        if result == HandOver::Failed {
            match withdraw(&self.runtime_dir).await {
                Ok(gone) => tracing::warn!(
                    addresses = gone.addresses,
                    routes = gone.routes,
                    "removed what VRRP held"
                ),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(error, "what VRRP held is not all removed");
                }
            }
        }
        running.tell_all(&self.alarms);
        let scripts = running
            .notifiers
            .into_values()
            .map(|notifier| notifier.finish(SCRIPTS_LIMIT));
        let left = async { while running.leaving.join_next().await.is_some() {} };
        // Scripts of routers that went before have had their time, or get the same as others.
        let left = tokio::time::timeout(SCRIPTS_LIMIT, left);
        drop(tokio::join!(futures_util::future::join_all(scripts), left));
        running.trackers.stop().await;
        result
    }
}

impl Running {
    /// Everything that the thread has said so far.
    fn tell_all(&mut self, alarms: &Alarms) {
        while let Ok(notice) = self.vrrp.notices.try_recv() {
            alarms.role(&notice);
            self.tell(&notice);
        }
    }

    fn tell(&self, notice: &Notice) {
        let state = match notice.role {
            Role::Master => notify::State::Master,
            Role::Backup => notify::State::Backup,
            Role::Fault => notify::State::Fault,
            Role::Initialize => notify::State::Stop,
        };
        if let Some(notifier) = self.notifiers.get(&notice.who) {
            notifier.transition(state, told_priority(notice));
        }
    }

    /// One notifier for each router and group that has scripts. What one has not told yet is told
    /// also when the configuration changes.
    fn add_notifiers(&mut self, config: &Config) {
        for (who, notify) in with_scripts(config) {
            match self.notifiers.get(&who) {
                Some(notifier) => notifier.replace(notify),
                None => {
                    let (kind, name) = match &who {
                        Who::Instance(name) => (Kind::Instance, name.as_str()),
                        Who::Group(name) => (Kind::Group, name.as_str()),
                    };
                    let runtime = tokio::runtime::Handle::current();
                    let notifier = Notifier::new(kind, name, notify, &runtime);
                    self.notifiers.insert(who, notifier);
                }
            }
        }
    }

    /// Those of others end when their scripts have run.
    fn remove_notifiers(&mut self, config: &Config) {
        let wanted = with_scripts(config);
        let gone = self
            .notifiers
            .extract_if(.., |who, _| !wanted.contains_key(who));
        for (_, notifier) in gone {
            self.leaving.spawn(async move {
                notifier.finish(notify::SCRIPT_LIMIT).await;
            });
        }
        // Only to forget those that have ended.
        while self.leaving.try_join_next().is_some() {}
    }
}

/// What `any` gets as the priority: a group has none, and keepalived says 0.
fn told_priority(notice: &Notice) -> u8 {
    match notice.who {
        Who::Instance(_) => notice.priority.get(),
        Who::Group(_) => 0,
    }
}

fn with_scripts(config: &Config) -> BTreeMap<Who, &model::Notify> {
    let instances = config
        .vrrp_instances
        .iter()
        .map(|one| (Who::Instance(one.name.clone()), &one.notify));
    let groups = config
        .vrrp_sync_groups
        .iter()
        .map(|one| (Who::Group(one.name.clone()), &one.notify));
    instances
        .chain(groups)
        .filter(|(_, notify)| **notify != model::Notify::default())
        .collect()
}

/// How long scripts may take at the end.
const SCRIPTS_LIMIT: Duration = Duration::from_secs(5);
/// What a stop may take beside the time that peers need to take over: limits of the parts, together.
const STOP_MARGIN: Duration = Duration::from_secs(30);
