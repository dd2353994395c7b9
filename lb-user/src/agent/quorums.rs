//! Runs the commands of services that gain or lose their quorum: each once, in order, and nobody waits.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    config::{
        Config,
        model::{Service, ServiceKey},
    },
    notify::{Kind, Notifier, State},
};

/// One queue for each service that has commands.
#[derive(Default)]
pub(super) struct QuorumCommands {
    notifiers: BTreeMap<ServiceKey, Notifier>,
}

impl QuorumCommands {
    /// Takes the commands of the configuration. A service that had none is told of its quorum as it is
    /// now, so that what its commands do is done also when the agent starts.
    pub(super) fn apply(&mut self, config: &Config, is_up: impl Fn(ServiceKey) -> Option<bool>) {
        let has_commands =
            |service: &&Service| service.quorum.on_up.is_some() || service.quorum.on_down.is_some();
        let wanted: BTreeMap<ServiceKey, &Service> = config
            .services
            .iter()
            .filter(has_commands)
            .map(|service| (service.key(), service))
            .collect();
        self.notifiers.retain(|key, _| wanted.contains_key(key));
        for (key, service) in wanted {
            if let Some(notifier) = self.notifiers.get(&key) {
                notifier.replace(&service.quorum);
                continue;
            }
            let runtime = tokio::runtime::Handle::current();
            let name = service.name.as_str();
            let notifier = Notifier::new(Kind::Service, name, &service.quorum, &runtime);
            self.notifiers.insert(key, notifier);
            if let Some(up) = is_up(key) {
                self.tell(key, up);
            }
        }
    }

    /// A service has its quorum, or not any more. What it was told already is not told again.
    pub(super) fn tell(&self, service: ServiceKey, up: bool) {
        if let Some(notifier) = self.notifiers.get(&service) {
            let state = if up { State::Up } else { State::Down };
            notifier.transition(state, NO_PRIORITY);
        }
    }

    /// Lets the commands run that are left.
    pub(super) async fn finish(self) {
        let all = self.notifiers.into_values();
        let all = all.map(|notifier| notifier.finish(COMMANDS_LIMIT));
        futures_util::future::join_all(all).await;
    }
}

/// Only virtual routers have one.
const NO_PRIORITY: u8 = 0;
/// How long commands may take at the end.
const COMMANDS_LIMIT: Duration = Duration::from_secs(5);
