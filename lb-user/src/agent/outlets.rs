//! What the agent tells by itself: the listener for metrics, and alerts.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio_util::sync::CancellationToken;

use super::supervise::Tasks;
use crate::{
    alert::{self, Alerts},
    config::{
        Config,
        model::{BackendKey, ServiceKey},
    },
    health::{self, service::Event},
    observe::{http, snapshot},
    vrrp::{
        machine::Role,
        view::{Notice, Who},
    },
};

/// See the head of this file.
pub(super) struct Outlets {
    listener: http::Listener,
    alarms: Alarms,
}

impl Outlets {
    /// Starts both tasks.
    pub(super) fn start(tasks: &mut Tasks, cancel: &CancellationToken, config: &Config) -> Self {
        let (server, listener) = http::listener();
        let token = cancel.clone();
        tasks.start("metrics listener", async move {
            server.run(token).await;
            Ok(())
        });
        let (alerts, tellers) = alert::alerts();
        let token = cancel.clone();
        tasks.start("alerts", async move {
            tellers.run(token).await;
            Ok(())
        });
        let this = Self {
            listener,
            alarms: Alarms {
                alerts,
                known: Arc::default(),
            },
        };
        this.apply(config);
        this
    }

    /// Makes both what the configuration says.
    pub(super) fn apply(&self, config: &Config) {
        let wanted = config.observability.as_ref();
        self.listener.listen(wanted.map(|wanted| wanted.listen));
        self.alarms.alerts.configure(&node(config), &config.alerts);
        self.alarms.known().learn(config);
    }

    /// Where changes are told.
    pub(super) fn alarms(&self) -> Alarms {
        self.alarms.clone()
    }

    /// Waits until somebody wants to see a snapshot. Cancel safe.
    pub(super) async fn asked(&mut self) -> http::Asked {
        self.listener.asked().await
    }

    /// The listener in the words of `status`.
    pub(super) fn listener(&self) -> Option<snapshot::Listener> {
        let http::State { listen, problem } = self.listener.state();
        Some(snapshot::Listener {
            listen: listen?,
            problem,
        })
    }

    /// The alerts in the words of `status`.
    pub(super) fn alerts(&self) -> Vec<snapshot::AlertWay> {
        let reports = self.alarms.alerts.report().into_iter();
        let ways = reports.map(|report| snapshot::AlertWay {
            by: report.by.to_owned(),
            sent: report.counts.sent,
            failed: report.counts.failed,
            left_out: report.counts.left_out,
            waiting: report.waiting,
            problem: report.problem,
        });
        ways.collect()
    }
}

/// This node's name.
pub(super) fn node(config: &Config) -> String {
    let host_name = || {
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
    };
    config.router_id.clone().unwrap_or_else(host_name)
}

/// Where rooms report what people may want to know. Clones are the same; nothing here waits.
#[derive(Clone, Debug)]
pub(super) struct Alarms {
    alerts: Alerts,
    known: Arc<Mutex<Known>>,
}

/// What has to be known to tell of changes.
#[derive(Debug, Default)]
struct Known {
    services: BTreeMap<ServiceKey, Names>,
    /// What was last heard.
    quorums: BTreeMap<ServiceKey, bool>,
}

#[derive(Debug)]
struct Names {
    service: String,
    backends: BTreeMap<BackendKey, String>,
}

impl Alarms {
    /// Something happened to a service.
    pub(super) fn service(&self, key: ServiceKey, event: &Event) {
        let what = self.known().what(key, event);
        self.tell(what);
    }

    /// A virtual router or a group has another role.
    pub(super) fn role(&self, notice: &Notice) {
        let (kind, name) = match &notice.who {
            Who::Instance(name) => (alert::Kind::Instance, name.to_string()),
            Who::Group(name) => (alert::Kind::Group, name.to_string()),
        };
        // The words that notify scripts get.
        let state = match notice.role {
            Role::Master => "MASTER",
            Role::Backup => "BACKUP",
            Role::Fault => "FAULT",
            Role::Initialize => "STOP",
        };
        self.tell(Some(alert::What::Role {
            kind,
            name,
            state: state.to_owned(),
            priority: notice.priority.get(),
            reason: notice.reason.to_string(),
        }));
    }

    fn tell(&self, what: Option<alert::What>) {
        if let Some(what) = what {
            let at = SystemTime::now();
            self.alerts.tell(&alert::Event { at, what });
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn(&mut self, config: &Config) {
        let services = config.services.iter().map(|service| {
            let backends = service.backends.iter();
            let names = Names {
                service: service.name.to_string(),
                backends: backends
                    .map(|backend| (backend.key(), backend.name.to_string()))
                    .collect(),
            };
            (service.key(), names)
        });
        self.services = services.collect();
        self.quorums
            .retain(|key, _| self.services.contains_key(key));
    }

    /// What to tell of an event, if anything.
    fn what(&mut self, key: ServiceKey, event: &Event) -> Option<alert::What> {
        let names = self.services.get(&key);
        let service = names.map_or_else(|| key.to_string(), |names| names.service.clone());
        Some(match event {
            Event::Health {
                backend,
                to,
                reason,
                ..
            } => alert::What::Backend {
                service,
                backend: names
                    .and_then(|names| names.backends.get(backend).cloned())
                    .unwrap_or_else(|| backend.address.to_string()),
                address: SocketAddr::new(backend.address, backend.port.get()).to_string(),
                health: match to {
                    health::Health::Up => alert::Health::Up,
                    health::Health::Down => alert::Health::Down,
                    health::Health::Held => alert::Health::Held,
                },
                reason: reason.to_string(),
            },
            Event::Quorum { up, weight } => {
                let before = self.quorums.insert(key, *up);
                // That a new service has one is no news.
                if before == Some(*up) || (before.is_none() && *up) {
                    return None;
                }
                alert::What::Quorum {
                    service,
                    up: *up,
                    weight: *weight,
                }
            }
            Event::Fallback { serves } => alert::What::Fallback {
                service,
                serves: *serves,
            },
            Event::Kept { backends } => alert::What::Kept {
                service,
                backends: *backends,
            },
            // Whatever else moves a backend, the operator did.
            Event::Standing { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests;
