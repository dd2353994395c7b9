//! The programs of a configuration, against the host.

use crate::config::{
    Loaded,
    model::{Command, HealthCheck, Notify, Probe, Service},
};

use super::{NoSuchUser, Refused, User, permit};

/// Why a program of a configuration will not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It may not be run.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is nobody to run it as.
    #[error(transparent)]
    User(#[from] NoSuchUser),
}

/// Every program of a configuration that may not be run, and every user who is not there, with its place in the file as
/// [`Loaded::diagnostic`] takes it. Blocks while the file system or the user database does.
#[must_use]
pub fn check_config(loaded: &Loaded) -> Vec<(String, Unfit)> {
    let config = &loaded.config;
    let mut found = Found::default();
    for (n, instance) in config.vrrp_instances.iter().enumerate() {
        found.notify(&format!("vrrp_instances[{n}].notify"), &instance.notify);
    }
    for (n, group) in config.vrrp_sync_groups.iter().enumerate() {
        found.notify(&format!("vrrp_sync_groups[{n}].notify"), &group.notify);
    }
    for (n, script) in config.scripts.iter().enumerate() {
        found.command(format!("scripts[{n}].command"), &script.command);
        found.user(format!("scripts[{n}].user"), &script.user);
    }
    for (n, service) in config.services.iter().enumerate() {
        let place = format!("services[{n}]");
        for (key, command) in [
            ("on_up", &service.quorum.on_up),
            ("on_down", &service.quorum.on_down),
        ] {
            found.maybe(|| format!("{place}.quorum.{key}"), command.as_ref());
        }
        found.checks(loaded, &place, service);
    }
    found.maybe(
        || "alerts.command".to_owned(),
        config.alerts.command.as_ref(),
    );
    found.0
}

#[derive(Default)]
struct Found(Vec<(String, Unfit)>);

impl Found {
    fn command(&mut self, place: String, command: &Command) {
        if let Err(refused) = permit(command) {
            self.0.push((place, refused.into()));
        }
    }

    fn maybe(&mut self, place: impl FnOnce() -> String, command: Option<&Command>) {
        if let Some(command) = command {
            self.command(place(), command);
        }
    }

    fn user(&mut self, place: String, name: &str) {
        if let Err(missing) = User::named(name).check() {
            self.0.push((place, missing.into()));
        }
    }

    fn notify(&mut self, place: &str, notify: &Notify) {
        for (key, command) in [
            ("master", &notify.master),
            ("backup", &notify.backup),
            ("fault", &notify.fault),
            ("stop", &notify.stop),
            ("any", &notify.any),
        ] {
            self.maybe(|| format!("{place}.{key}"), command.as_ref());
        }
    }

    /// A service's own check is every backend's, and told of once.
    fn checks(&mut self, loaded: &Loaded, service_place: &str, service: &Service) {
        let mut told: Vec<String> = Vec::new();
        for (n, backend) in service.backends.iter().enumerate() {
            let (HealthCheck::Default(check) | HealthCheck::Explicit(check)) =
                &backend.health_check
            else {
                continue;
            };
            let Probe::Script(script) = &check.probe else {
                continue;
            };
            let own = format!("{service_place}.backends[{n}].health_check.script");
            let place = if loaded.says(&own) {
                own
            } else {
                format!("{service_place}.health_check.script")
            };
            if !told.contains(&place) {
                self.command(format!("{place}.command"), &script.command);
                self.user(format!("{place}.user"), &script.user);
                told.push(place);
            }
        }
    }
}

#[cfg(test)]
mod tests;
