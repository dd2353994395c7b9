//! The health checks' side of the agent: what they found decides who of a ring is available.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use nix::sys::resource::{Resource, getrlimit};
use tokio_util::sync::CancellationToken;

use super::supervise::Tasks;
use crate::{
    config::{
        Config,
        model::{BackendKey, Service, ServiceKey},
    },
    dataplane::compose::Excluded,
    health::{
        self, Changes, Network, Report, Services, Subject,
        guard::Link,
        service::{Event, Member, Standing},
    },
    ipvs::compose::{Part, Parts},
    net::NetView,
    vrrp::track::{Input, State},
};

/// See the head of this file.
pub(super) struct HealthChecks {
    checks: health::Checks,
    changes: Changes,
    network: Network,
    services: Services,
    /// Our own links and addresses, as last seen.
    seen: Option<(BTreeSet<String>, BTreeSet<std::net::IpAddr>)>,
    link: Link,
}

impl HealthChecks {
    /// Starts the checks' task.
    pub(super) async fn start(
        tasks: &mut Tasks,
        cancel: CancellationToken,
        config: &Config,
    ) -> anyhow::Result<Self> {
        // Reads the host's certificates.
        let network = tokio::task::spawn_blocking(Network::new).await?;
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        let limit = health::pool::attempts_for(descriptors);
        let (driver, checks, changes) = health::driver(network.clone(), limit);
        tasks.start("health checks", async move {
            driver.run(cancel).await;
            Ok(())
        });
        let mut this = Self {
            checks,
            changes,
            network,
            services: Services::default(),
            seen: None,
            link: Link::default(),
        };
        this.reconfigure(config).await?;
        Ok(this)
    }

    /// Checks what the configuration says; what is not different goes on undisturbed.
    pub(super) async fn reconfigure(&mut self, config: &Config) -> anyhow::Result<()> {
        self.services.reconfigure(Instant::now(), config);
        self.tell();
        let network = self.network.clone();
        tokio::task::spawn_blocking(move || network.refresh()).await?;
        self.checks.set_targets(health::targets(config)).await?;
        Ok(())
    }

    /// Waits until something about the backends may have changed. Cancel safe.
    pub(super) async fn changed(&mut self) {
        let deadline = self.services.next_deadline();
        let due = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            verdicts = self.changes.next() => {
                self.services.handle_verdicts(Instant::now(), verdicts);
            }
            () = due => self.services.handle_timeout(Instant::now()),
        }
        self.tell();
    }

    /// Our own network changed: failures of many at once may be ours.
    pub(super) fn network_changed(&mut self, view: &NetView) {
        let links = view.links.values();
        let up = links
            .filter(|link| link.up)
            .map(|link| link.name.to_string());
        let now = (up.collect(), view.own_addresses.clone());
        if self.seen.as_ref() == Some(&now) {
            return;
        }
        // The first view is no change.
        if self.seen.replace(now).is_some() {
            self.link.changed = Some(Instant::now());
        }
        self.services.handle_link(Instant::now(), self.link);
        self.tell();
    }

    /// Who must get no packets.
    pub(super) fn excluded(&self) -> Excluded {
        self.services
            .iter()
            .flat_map(|(service, health)| {
                let out = health.members().iter().filter(|member| is_out(member));
                out.map(move |member| (service, member.key))
            })
            .collect()
    }

    /// What each backend has to do, for IPVS.
    pub(super) fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        for (service, health) in self.services.iter() {
            if health.fallback_serves() {
                parts.fallbacks.insert(service);
            }
            for member in health.members() {
                let part = match member.standing {
                    Standing::Serving => Part::Serves(member.weight.get()),
                    Standing::Lingering(_) => Part::Keeps,
                    Standing::Out(_) => Part::Out,
                };
                parts.backends.insert((service, member.key), part);
            }
        }
        parts
    }

    /// What is thought of one backend.
    pub(super) fn member(&self, service: ServiceKey, backend: BackendKey) -> Option<&Member> {
        let members = self.services.get(service)?.members();
        members.iter().find(|member| member.key == backend)
    }

    /// Everything about the checks.
    pub(super) async fn report(&self) -> BTreeMap<Subject, Report> {
        self.checks
            .report()
            .await
            .map_or_else(|_| BTreeMap::new(), |(reports, _)| reports)
    }

    /// Which services have their quorum, for those that virtual routers track.
    pub(super) fn quorums<'a>(&'a self, config: &'a Config) -> Vec<(Input, State)> {
        let state = |service: &Service| {
            let health = self.services.get(service.key())?;
            let state = if health.quorum().up {
                State::Good
            } else {
                State::Bad
            };
            Some((Input::Service(service.name.clone()), state))
        };
        config.services.iter().filter_map(state).collect()
    }

    /// Logs what happened.
    fn tell(&mut self) {
        while let Some((service, event)) = self.services.poll_event() {
            let service = format!("{}:{}/{}", service.address, service.port, service.protocol);
            match event {
                Event::Health {
                    backend,
                    from,
                    to,
                    reason,
                } => tracing::info!(
                    service, backend = %backend.address, from = from.word(), to = to.word(), %reason, "health"
                ),
                Event::Standing { backend, from, to } => tracing::debug!(
                    service, backend = %backend.address, ?from, ?to, "standing"
                ),
                Event::Quorum { up: true, weight } => {
                    tracing::info!(service, weight, "the service has its quorum");
                }
                Event::Quorum { up: false, weight } => {
                    tracing::warn!(service, weight, "the service is below its quorum");
                }
                Event::Fallback { serves } => tracing::warn!(service, serves, "fallback"),
                Event::Kept { backends: 0 } => {
                    tracing::warn!(service, "failures are believed again");
                }
                Event::Kept { backends } => tracing::error!(
                    service,
                    backends,
                    "many backends failed at once while our own network changed: they are kept"
                ),
            }
        }
    }
}

fn is_out(member: &Member) -> bool {
    matches!(member.standing, Standing::Out(_))
}
