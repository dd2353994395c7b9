//! The health checks' side of the agent: what they found, and what the operator said, decides who of a
//! ring is available.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Instant, SystemTime},
};

use nix::sys::resource::{Resource, getrlimit};
use tokio_util::sync::CancellationToken;

use super::{
    outlets::Alarms,
    overrides::{Kept, Overrides},
    quorums::QuorumCommands,
    supervise::Tasks,
};
use crate::{
    config::{
        Config,
        model::{BackendKey, Service, ServiceKey},
    },
    dataplane::compose::{Admission, Change, Changes as Standings},
    health::{
        self, Changes, Load, Network, Report, Services, Subject,
        guard::Link,
        service::{Event, Member, Override, ServiceHealth, Standing, Why},
    },
    net::NetView,
    types::Weight,
    vrrp::track::{Input, State},
};

/// See the head of this file.
pub(super) struct HealthChecks {
    checks: health::Checks,
    changes: Changes,
    network: Network,
    services: Services,
    overrides: Overrides,
    commands: QuorumCommands,
    /// Our own links and addresses, as last seen.
    seen: Option<(BTreeSet<String>, BTreeSet<std::net::IpAddr>)>,
    link: Link,
    alarms: Alarms,
}

impl HealthChecks {
    /// Starts the checks' task, with what the operator said to a predecessor.
    pub(super) async fn start(
        tasks: &mut Tasks,
        cancel: CancellationToken,
        config: &Config,
        alarms: Alarms,
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
        let overrides = Overrides::load(&config.runtime_dir);
        let mut this = Self {
            checks,
            changes,
            network,
            services: Services::new(overrides.all()),
            overrides,
            commands: QuorumCommands::default(),
            seen: None,
            link: Link::default(),
            alarms,
        };
        this.reconfigure(config).await?;
        this.forget_gone();
        Ok(this)
    }

    /// The commands of quorums are those of the configuration from now on, and run.
    pub(super) fn run_commands(&mut self, config: &Config) {
        let services = &self.services;
        let is_up = |key| services.get(key).map(|health| health.quorum().up);
        self.commands.apply(config, is_up);
    }

    /// Forgets what was said about backends that are gone: the configuration without them is in force.
    pub(super) fn forget_gone(&mut self) {
        self.services.forget_gone();
        let said = self.services.overrides();
        self.overrides.retain(|subject| said.contains_key(&subject));
    }

    /// Lets commands run that are left.
    pub(super) async fn finish(self) {
        self.commands.finish().await;
    }

    /// The operator says something about a backend that is there. Whether it is something new.
    ///
    /// # Errors
    /// It cannot be kept; nothing has changed.
    pub(super) fn operate(&mut self, subject: Subject, asked: Override) -> std::io::Result<bool> {
        let changed = self.overrides.put(subject, asked, now_unix())?;
        self.services.set_override(Instant::now(), subject, asked);
        self.tell();
        Ok(changed)
    }

    /// What the operator said about a backend, if anything.
    pub(super) fn said(&self, subject: Subject) -> Option<Kept> {
        self.overrides.get(subject)
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

    /// Who is not as configured.
    pub(super) fn standings(&self, config: &Config) -> Standings {
        let mut all = Standings::new();
        for (service, health) in self.services.iter() {
            let changes = health.members().iter().map(|one| (one.key, change(one)));
            let changes = changes.filter(|(_, change)| *change != Change::default());
            all.extend(changes.map(|(backend, change)| ((service, backend), change)));
        }
        for service in &config.services {
            let serves = self
                .service(service.key())
                .is_some_and(ServiceHealth::fallback_serves);
            if let Some(fallback) = service.fallback.as_ref().filter(|_| serves) {
                let key = (service.key(), fallback.key());
                all.entry(key).or_default().admission = Admission::Alone;
            }
        }
        all
    }

    /// What is known of one service.
    pub(super) fn service(&self, service: ServiceKey) -> Option<&ServiceHealth> {
        self.services.get(service)
    }

    /// What `explain` has to say of a service.
    pub(super) fn notes(&self, service: &Service) -> Vec<String> {
        let Some(health) = self.service(service.key()) else {
            return Vec::new();
        };
        let quorum = health.quorum();
        let fallback = service.fallback.as_ref();
        let who = match fallback.filter(|_| health.fallback_serves()) {
            Some(fallback) => format!("its fallback {} serves", fallback.key()),
            None => "those that are left serve".to_owned(),
        };
        let below = (!quorum.up).then(|| {
            format!(
                "the service is below quorum: weight {} of {} serves; {who}",
                quorum.weight, service.quorum.up
            )
        });
        let members = self.members(service.key());
        let backends = service.backends.iter().filter_map(|backend| {
            let member = members.get(&backend.key())?;
            let why = member.why_not()?;
            Some(format!("`{}` gets no new flows: {why}", backend.name))
        });
        let mut notes: Vec<String> = below.into_iter().chain(backends).collect();
        let more = notes.len().saturating_sub(NOTES);
        if more > 0 {
            notes.truncate(NOTES);
            notes.push(format!("and {more} more, see `ballast status`"));
        }
        notes
    }

    /// What is thought of the backends of a service.
    pub(super) fn members(&self, service: ServiceKey) -> BTreeMap<BackendKey, &Member> {
        let members = self.services.get(service).map(|health| health.members());
        let members = members.into_iter().flatten();
        members.map(|member| (member.key, member)).collect()
    }

    /// Everything about the checks.
    pub(super) async fn report(&self) -> (BTreeMap<Subject, Report>, Load) {
        self.checks.report().await.unwrap_or_default()
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
        while let Some((key, event)) = self.services.poll_event() {
            self.alarms.service(key, &event);
            let service = key.to_string();
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
                    self.commands.tell(key, true);
                    tracing::info!(service, weight, "the service has its quorum");
                }
                Event::Quorum { up: false, weight } => {
                    self.commands.tell(key, false);
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

/// What the data plane is to make of a backend.
fn change(member: &Member) -> Change {
    Change {
        admission: match member.standing {
            Standing::Serving => Admission::Open,
            Standing::Lingering(Why::Weight | Why::Drained) => Admission::Drained,
            // Persistence must not send clients back to who fails.
            Standing::Lingering(_) => Admission::Closed,
            Standing::Out(_) => Admission::Out,
        },
        weight: member.asked.weight.map(Weight::get),
    }
}

/// Seconds.
fn now_unix() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// Lines that `explain` has for backends.
const NOTES: usize = 10;
