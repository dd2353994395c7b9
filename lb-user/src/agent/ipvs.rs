//! Keeps IPVS, and what it needs of the kernel, as the configuration and the checks say.
//!
//! Level triggered like the XDP side: [`Ipvs::reconcile`] takes what is wanted now, and what failed is
//! tried again every second. What is about to be changed is written to `runtime_dir/ipvs/owned` first,
//! so that a crash leaves nothing that the next agent does not know as ours.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    config::model::{IpvsSync, Service},
    dataplane::compose::Changes,
    ipvs::{
        client::{CallError, Client, OpenError},
        compose, masquerade,
        owned::Owned,
        plan,
        sysctl::{self, Wanted as WantedSysctl},
        table::{self, Seen, ServiceKey, SyncDaemon, SyncRole, Table},
        wire::Request,
    },
    net::chain,
    runtime_file,
};

mod rules;
pub(super) mod status;

use rules::{Follower, Progress};

/// What is wanted of IPVS.
pub(super) struct Wanted<'a> {
    /// The services that it serves.
    pub(super) services: Vec<&'a Service>,
    /// Backends that are not as configured.
    pub(super) changes: &'a Changes,
    /// Where connections are copied to.
    pub(super) sync: Option<&'a IpvsSync>,
    /// Whether sysctls may be set.
    pub(super) manage_sysctls: bool,
}

/// See the head of this file.
pub(super) struct Ipvs {
    dir: PathBuf,
    owned: Owned,
    /// Opened when there is something to do.
    client: Option<Client>,
    /// What the kernel was last known to have of ours; `None`: it is asked.
    applied: Option<Table>,
    /// Rules of nftables.
    rules: Follower,
    ticks: u32,
    /// What keeps IPVS from following.
    trouble: Option<String>,
    /// What works less well than it could.
    notices: Vec<String>,
}

/// What is ours cannot be written down, so nothing is changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", .path.display())]
struct RecordError {
    path: PathBuf,
    #[source]
    error: io::Error,
}

impl Ipvs {
    /// Takes up what the run before left.
    pub(super) fn new(runtime_dir: &Path) -> Self {
        let dir = runtime_dir.join("ipvs");
        let text = fs::read_to_string(dir.join(OWNED)).unwrap_or_default();
        Self {
            rules: Follower::new(dir.join("masquerade.nft")),
            dir,
            owned: Owned::read(&text, &runtime_file::boot()),
            client: None,
            applied: None,
            ticks: 0,
            trouble: None,
            notices: Vec::new(),
        }
    }

    /// Whether this kernel has IPVS; its module is loaded for that.
    pub(super) fn available(&mut self) -> Result<(), OpenError> {
        self.client().map(|_| ())
    }

    /// Makes IPVS follow. Trouble is logged once.
    pub(super) fn reconcile(&mut self, wanted: &Wanted<'_>) {
        let troubles = self.try_reconcile(wanted);
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        if trouble != self.trouble {
            match &trouble {
                Some(error) => tracing::error!(%error, "IPVS is behind; trying again"),
                None => tracing::info!("IPVS is up to date again"),
            }
            self.trouble = trouble;
        }
    }

    /// Once a second: whether [`reconcile`](Self::reconcile) is due, because something failed, or
    /// somebody else removed the rules or may have changed the table.
    pub(super) fn is_due(&mut self) -> bool {
        self.ticks = self.ticks.wrapping_add(1);
        let look = self.ticks.is_multiple_of(LOOK_AGAIN);
        if look {
            self.applied = None;
        }
        self.rules.retry();
        let lost = self.rules.notice_loss();
        lost || self.trouble.is_some() || (look && self.owned != Owned::default())
    }

    /// Waits until [`reconcile`](Self::reconcile) has more to do, because a program has ended. Cancel safe.
    pub(super) async fn changed(&mut self) {
        self.rules.changed().await;
    }

    /// The end. `clean`: nothing of ours stays in the kernel.
    pub(super) async fn stop(&mut self, clean: bool) {
        if !clean || self.owned == Owned::default() {
            return;
        }
        let nothing = Wanted {
            services: Vec::new(),
            changes: &Changes::new(),
            sync: None,
            manage_sysctls: false,
        };
        let mut troubles = self.try_reconcile(&nothing);
        while self.rules.is_busy() {
            self.rules.changed().await;
            troubles = self.try_reconcile(&nothing);
        }
        for trouble in &troubles {
            tracing::error!(error = trouble, "something of IPVS stays in the kernel");
        }
        if troubles.is_empty() {
            tracing::info!("stopped: IPVS has none of our services");
        }
    }

    /// The table with its counters; `None` where there is none to be had.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.client.as_ref()?.table().ok()
    }

    /// Every step, also after one that failed: they do not depend on each other. What went wrong.
    fn try_reconcile(&mut self, wanted: &Wanted<'_>) -> Vec<String> {
        let table = compose::compose(wanted.services.iter().copied(), wanted.changes);
        let daemons = daemons(wanted.sync);
        if table.is_empty() && daemons.is_empty() && self.owned == Owned::default() {
            self.notices.clear();
            return Vec::new();
        }
        if let Err(error) = self.client() {
            return vec![chain(&error)];
        }
        let mut troubles = Vec::new();
        let mut note = |result: Result<(), String>| troubles.extend(result.err());
        note(self.set_sysctls(wanted));
        note(self.set_masquerade(&wanted.services));
        note(self.set_table(&table));
        note(self.set_daemons(&daemons));
        troubles
    }

    /// The connection, made if there is none.
    fn client(&mut self) -> Result<&Client, OpenError> {
        if self.client.is_none() {
            // The kernel loads its module when it is asked for the family.
            self.client = Some(Client::open()?);
        }
        Ok(self.client.as_ref().expect("it was opened above"))
    }

    fn set_table(&mut self, wanted: &Table) -> Result<(), String> {
        if self.applied.as_ref() == Some(wanted) {
            return Ok(());
        }
        // Not known again before everything has succeeded.
        self.applied = None;
        let Some(client) = &self.client else {
            return Ok(());
        };
        let present = client.table().map_err(|error| chain(&error))?;
        let present = table::without_counters(&present);
        let plan = plan::diff(&present, wanted, &self.owned.services);
        let mut troubles: Vec<String> = plan.conflicts.iter().map(ToString::to_string).collect();
        let conflicts: BTreeSet<_> = plan.conflicts.iter().map(|conflict| conflict.0).collect();

        let before = self.owned.services.clone();
        let ours = wanted.keys().filter(|key| !conflicts.contains(key));
        self.owned.services.extend(ours);
        self.record(self.owned.services != before)
            .map_err(|error| chain(&error))?;

        let client = self.client.as_ref().expect("nothing closes it");
        troubles.extend(apply(client, &plan.requests));
        if troubles.is_empty() {
            self.owned.services = wanted.keys().copied().collect();
            self.record(self.owned.services != before)
                .map_err(|error| chain(&error))?;
            self.applied = Some(wanted.clone());
            return Ok(());
        }
        Err(troubles.join("; "))
    }

    /// Both threads run on every balancer: who is master sends what it has, whoever is not receives.
    fn set_daemons(&mut self, wanted: &BTreeSet<SyncDaemon>) -> Result<(), String> {
        if wanted.is_empty() && self.owned.daemons.is_empty() {
            return Ok(());
        }
        let Some(client) = &self.client else {
            return Ok(());
        };
        let running = client.daemons().map_err(|error| chain(&error))?;
        let stop: Vec<_> = running
            .iter()
            .filter(|daemon| self.owned.daemons.contains(daemon) && !wanted.contains(daemon))
            .map(|daemon| Request::StopDaemon(daemon.clone()))
            .collect();
        let start = wanted.difference(&running).cloned();
        let requests: Vec<_> = stop
            .into_iter()
            .chain(start.map(Request::StartDaemon))
            .collect();
        let before = self.owned.daemons.clone();
        self.owned
            .daemons
            .extend(wanted.difference(&running).cloned());
        self.record(self.owned.daemons != before)
            .map_err(|error| chain(&error))?;
        let client = self.client.as_ref().expect("nothing closes it");
        let troubles = apply(client, &requests);
        if !troubles.is_empty() {
            return Err(troubles.join("; "));
        }
        let before = self.owned.daemons.len();
        self.owned.daemons.retain(|daemon| wanted.contains(daemon));
        self.record(self.owned.daemons.len() != before)
            .map_err(|error| chain(&error))
    }

    fn set_masquerade(&mut self, services: &[&Service]) -> Result<(), String> {
        let rules = masquerade::rules(services.iter().copied());
        if rules.is_none() && !self.owned.masquerade {
            return Ok(());
        }
        if rules.is_some() && !self.owned.masquerade {
            self.owned.masquerade = true;
            self.record(true).map_err(|error| chain(&error))?;
        }
        match self.rules.follow(&rules) {
            Progress::Done => {
                self.owned.masquerade = rules.is_some();
                self.record(rules.is_none()).map_err(|error| chain(&error))
            }
            Progress::UnderWay(None) => Ok(()),
            Progress::UnderWay(Some(error)) | Progress::Failed(error) => Err(error),
        }
    }

    fn set_sysctls(&mut self, wanted: &Wanted<'_>) -> Result<(), String> {
        let list = sysctl::wanted(wanted.services.iter().copied());
        let keep = |path: &str| wanted.manage_sysctls && list.iter().any(|one| one.path == path);
        let gone: Vec<_> = self
            .owned
            .sysctls
            .keys()
            .filter(|path| !keep(path))
            .cloned()
            .collect();
        if !gone.is_empty() {
            let mut before = self.owned.sysctls.clone();
            before.retain(|path, _| gone.contains(path));
            for (path, error) in sysctl::restore(&before) {
                tracing::warn!(sysctl = path, %error, "a setting could not be put back");
            }
            self.owned.sysctls.retain(|path, _| !gone.contains(path));
            self.record(true).map_err(|error| chain(&error))?;
        }
        let missing = sysctl::missing(&list);
        if !wanted.manage_sysctls {
            self.notice(&missing);
            return Ok(());
        }
        let mut failed = Vec::new();
        for (one, present) in &missing {
            let path = one.path.to_owned();
            self.owned
                .sysctls
                .entry(path)
                .or_insert_with(|| present.clone());
            self.record(true).map_err(|error| chain(&error))?;
            match sysctl::write(one.path, one.value) {
                Ok(()) => {
                    tracing::info!(sysctl = one.name(), from = present, to = one.value, "set");
                }
                Err(error) => failed.push((*one, error.to_string())),
            }
        }
        self.notice(&failed);
        Ok(())
    }

    /// Says, once, what settings cost.
    fn notice(&mut self, missing: &[(WantedSysctl, String)]) {
        let notices: Vec<String> = missing
            .iter()
            .map(|(one, present)| {
                format!(
                    "{} is {present}, so {}; set it to {}, or `datapath.manage_sysctls: true`",
                    one.name(),
                    one.why,
                    one.value
                )
            })
            .collect();
        if notices != self.notices {
            for notice in &notices {
                tracing::warn!(notice, "a setting of the kernel");
            }
            self.notices = notices;
        }
    }

    /// Writes down what is ours, if that `changed`.
    fn record(&self, changed: bool) -> Result<(), RecordError> {
        if !changed {
            return Ok(());
        }
        let path = self.dir.join(OWNED);
        let text = self.owned.write(&runtime_file::boot());
        fs::create_dir_all(&self.dir)
            .and_then(|()| runtime_file::replace(&path, text.as_bytes()))
            .map_err(|error| RecordError { path, error })
    }
}

/// Does all that can be done; what went wrong. A service that could not be added gets no real servers.
fn apply(client: &Client, requests: &[Request]) -> Vec<String> {
    let mut troubles = Vec::new();
    let mut lost: BTreeSet<ServiceKey> = BTreeSet::new();
    for request in requests {
        if request.service().is_some_and(|key| lost.contains(&key)) {
            continue;
        }
        if let Err(error) = client.apply(request) {
            if let (Request::AddService(key, _), CallError::Refused { .. }) = (request, &error) {
                lost.insert(*key);
            }
            troubles.push(chain(&error));
        }
    }
    troubles
}

fn daemons(sync: Option<&IpvsSync>) -> BTreeSet<SyncDaemon> {
    let daemon = |sync: &IpvsSync, role| SyncDaemon {
        role,
        interface: sync.interface.to_string(),
        id: sync.id.into(),
    };
    let both = [SyncRole::Send, SyncRole::Receive];
    sync.iter()
        .flat_map(|sync| both.map(|role| daemon(sync, role)))
        .collect()
}

/// In `runtime_dir/ipvs`.
const OWNED: &str = "owned";
/// Ticks between two looks at a table that others can change, too.
const LOOK_AGAIN: u32 = 10;
