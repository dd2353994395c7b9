//! A new file: either it replaces the whole configuration, or nothing changes.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use super::{
    checks::HealthChecks,
    desired::{Desired, LastReload},
    hops,
    routers::Routers,
};
use crate::{
    config::{self, ConfigErrors, Diagnostics, Loaded, Severity, diff::ConfigChange},
    exec,
};

/// Why a file was not taken over. Every line names what is wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// The file is invalid or cannot be read.
    #[error(transparent)]
    Config(#[from] config::ConfigErrors),
    /// It is valid, but asks for what this version or this run cannot do.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
}

impl ReloadError {
    /// One line a mistake.
    pub(super) fn lines(&self) -> Vec<String> {
        self.to_string().lines().map(str::to_owned).collect()
    }
}

/// Refuses programs that others than root could change; tells the warnings.
pub(super) fn accept(loaded: &Loaded) -> Result<(), ConfigErrors> {
    let programs = exec::check_config(loaded);
    if !programs.is_empty() {
        let refused = programs
            .into_iter()
            .map(|(path, unfit)| loaded.diagnostic(&path, Severity::Error, &unfit.to_string()));
        return Err(ConfigErrors::Invalid(Diagnostics::new(refused.collect())));
    }
    for warning in &loaded.warnings {
        tracing::warn!(message = %warning);
    }
    Ok(())
}

impl Desired {
    /// Reads the file again. On failure nothing has changed.
    pub(super) async fn reload(
        &mut self,
        routers: &mut Routers,
        checks: &mut HealthChecks,
    ) -> Result<ConfigChange, ReloadError> {
        let result = self.try_reload(routers, checks).await;
        self.last_reload = LastReload {
            at: SystemTime::now(),
            error: result.as_ref().err().map(ToString::to_string),
        };
        match &result {
            Ok(_) => self.reloads.ok += 1,
            Err(_) => self.reloads.failed += 1,
        }
        match &result {
            Ok(change) => tracing::info!(
                added = change.services.added.len(),
                removed = change.services.removed.len(),
                changed = change.services.changed.len(),
                unchanged = change.services.unchanged.len(),
                "reloaded"
            ),
            Err(error) => {
                for line in error.lines() {
                    tracing::error!(error = line, "the file was not taken over");
                }
            }
        }
        result
    }

    async fn try_reload(
        &mut self,
        routers: &mut Routers,
        checks: &mut HealthChecks,
    ) -> Result<ConfigChange, ReloadError> {
        let loaded = config::load_and_validate(&self.config_path)?;
        accept(&loaded)?;
        let change = config::diff::diff(&self.config, &loaded.config);
        let mut refused: Vec<String> = change
            .needs_restart
            .iter()
            .map(|key| format!("`{key}` cannot change while ballast runs; restart it (forwarding goes on meanwhile)"))
            .collect();
        if let Err(error) = hops::interfaces(&loaded.config, &self.view.borrow()) {
            refused.push(error.to_string());
        }
        if !refused.is_empty() {
            return Err(ReloadError::Refused(refused));
        }
        let previous = std::mem::replace(&mut self.config, loaded.config);
        // What disappears is withdrawn before its services are erased: else the host itself would
        // answer who still comes.
        let leaving = routers.leave(&previous, &self.config).await;
        self.wait_until_gone(&leaving).await;
        self.want_targets();
        self.outlets.apply(&self.config);
        let opens = self.datapath.is_none() && self.needs_xdp();
        let mut result = if opens {
            self.open().await
        } else {
            self.try_reconcile()
        };
        // After the data plane: what is announced is forwarded.
        if result.is_ok() {
            result = checks.reconfigure(&self.config).await;
            self.change(checks.standings(&self.config));
            self.balance();
        }
        if result.is_ok() {
            result = routers.apply(&self.config).await;
            routers.observe(checks.quorums(&self.config));
        }
        if let Err(error) = result {
            // What was applied of it goes back with the old configuration.
            self.config = previous;
            self.want_targets();
            self.outlets.apply(&self.config);
            if let Err(error) = checks.reconfigure(&self.config).await {
                tracing::error!(%error, "the checks of the configuration before do not go on");
            }
            self.changes = checks.standings(&self.config);
            self.reconcile();
            if let Err(error) = routers.apply(&self.config).await {
                tracing::error!(%error, "the virtual routers of the configuration before do not go on");
            }
            return Err(ReloadError::Refused(vec![format!("{error:#}")]));
        }
        checks.forget_gone();
        checks.run_commands(&self.config);
        Ok(change)
    }

    /// Waits until the kernel has lost these addresses; not for ever: somebody else may have added one.
    async fn wait_until_gone(&mut self, addresses: &BTreeSet<IpAddr>) {
        let gone = self
            .view
            .wait_for(|view| view.own_addresses.is_disjoint(addresses));
        if tokio::time::timeout(GONE_LIMIT, gone).await.is_err() {
            tracing::warn!(?addresses, "virtual addresses that went are still there");
        }
    }
}

/// How long the kernel may take to lose addresses.
const GONE_LIMIT: Duration = Duration::from_secs(1);
