//! A new file: either it replaces the whole configuration, or nothing changes.

use std::time::SystemTime;

use super::{
    backend_addresses,
    desired::{Desired, LastReload},
    hops,
};
use crate::config::{
    self, ConfigErrors, Diagnostic, Diagnostics, Loaded, Severity, diff::ConfigChange,
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

/// Refuses, by name, what has no engine yet; warns of what it does without.
pub(super) fn accept(loaded: &Loaded) -> Result<(), ConfigErrors> {
    let unsupported = loaded.unsupported();
    for warning in loaded
        .warnings
        .iter()
        .chain(unsupported.iter().filter(|d| !is_error(d)))
    {
        tracing::warn!(message = %warning);
    }
    if unsupported.only_warnings() {
        return Ok(());
    }
    let refused: Vec<Diagnostic> = unsupported.into_iter().filter(is_error).collect();
    Err(ConfigErrors::Invalid(Diagnostics::new(refused)))
}

fn is_error(diagnostic: &Diagnostic) -> bool {
    diagnostic.severity == Severity::Error
}

impl Desired {
    /// Reads the file again. On failure nothing has changed.
    pub(super) async fn reload(&mut self) -> Result<ConfigChange, ReloadError> {
        let result = self.try_reload().await;
        self.last_reload = LastReload {
            at: SystemTime::now(),
            error: result.as_ref().err().map(ToString::to_string),
        };
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

    async fn try_reload(&mut self) -> Result<ConfigChange, ReloadError> {
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
        self.targets.send_replace(backend_addresses(&loaded.config));
        let previous = std::mem::replace(&mut self.config, loaded.config);
        let opens = self.datapath.is_none() && !self.config.services.is_empty();
        let result = if opens {
            self.open().await
        } else {
            self.try_reconcile()
        };
        if let Err(error) = result {
            // What was applied of it goes back with the old configuration.
            self.targets.send_replace(backend_addresses(&previous));
            self.config = previous;
            self.reconcile();
            return Err(ReloadError::Refused(vec![format!("{error:#}")]));
        }
        Ok(change)
    }
}
