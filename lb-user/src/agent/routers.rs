//! The virtual routers' side of the agent: their thread, what they track, whom they tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;

use super::{outlets::Alarms, trackers::Trackers};
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
            });
        }
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        running.trackers.apply(config);
        running.notifiers(config);
        running
            .vrrp
            .configure(Setup {
                instances: config.vrrp_instances.clone(),
                groups: config.vrrp_sync_groups.clone(),
            })
            .await;
        Ok(())
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

    /// Gives up every role, lets scripts run, and waits until peers have taken over.
    pub(super) async fn hand_over(&mut self) -> HandOver {
        let Some(mut running) = self.running.take() else {
            return HandOver::NoMaster;
        };
        let result = running.vrrp.hand_over().await;
        while let Ok(notice) = running.vrrp.notices.try_recv() {
            self.alarms.role(&notice);
            running.tell(&notice);
        }
        let scripts = running
            .notifiers
            .into_values()
            .map(|notifier| notifier.finish(SCRIPTS_LIMIT));
        futures_util::future::join_all(scripts).await;
        running.trackers.stop().await;
        result
    }
}

impl Running {
    fn tell(&self, notice: &Notice) {
        let state = match notice.role {
            Role::Master => notify::State::Master,
            Role::Backup => notify::State::Backup,
            Role::Fault => notify::State::Fault,
            Role::Initialize => notify::State::Stop,
        };
        if let Some(notifier) = self.notifiers.get(&notice.who) {
            notifier.transition(state, notice.priority.get());
        }
    }

    /// One notifier for each router and group that has scripts. What one has not told yet is told
    /// also when the configuration changes.
    fn notifiers(&mut self, config: &Config) {
        let instances = config
            .vrrp_instances
            .iter()
            .map(|one| (Who::Instance(one.name.clone()), &one.notify));
        let groups = config
            .vrrp_sync_groups
            .iter()
            .map(|one| (Who::Group(one.name.clone()), &one.notify));
        let wanted: BTreeMap<Who, &model::Notify> = instances
            .chain(groups)
            .filter(|(_, notify)| **notify != model::Notify::default())
            .collect();
        self.notifiers.retain(|who, _| wanted.contains_key(who));
        for (who, notify) in wanted {
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
}

/// How long scripts may take at the end.
const SCRIPTS_LIMIT: Duration = Duration::from_secs(5);
