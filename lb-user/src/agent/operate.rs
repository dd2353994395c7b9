//! `ballast backend …`: what the operator says about a backend at run time.

use super::{checks::HealthChecks, desired::Desired, routers::Routers};
use crate::{
    config::{
        Config, did_you_mean,
        model::{Backend, Service},
    },
    control::proto::{BackendChange, Changed, Reply},
    health::{
        Subject,
        service::{Mode, Override, Standing},
    },
    types::Weight,
};

#[cfg(test)]
mod tests;

/// Why nothing was changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum OperateError {
    #[error("no service is called `{name}`{hint}")]
    NoService { name: String, hint: String },
    #[error("service `{service}` has no backend `{name}`{hint}")]
    NoBackend {
        service: String,
        name: String,
        hint: String,
    },
}

impl Desired {
    /// Does it, and keeps it for the agents to come.
    pub(super) fn operate(
        &mut self,
        (service, backend): (&str, &str),
        change: BackendChange,
        checks: &mut HealthChecks,
        routers: &Routers,
    ) -> Reply {
        let (service, backend) = match find(&self.config, service, backend) {
            Ok(found) => found,
            Err(error) => return Reply::refused(error.to_string()),
        };
        let subject = Subject {
            service: service.key(),
            backend: backend.key(),
        };
        let before = checks.said(subject).map(|kept| kept.asked);
        let asked = after(before.unwrap_or_default(), change);
        let changed = match checks.operate(subject, asked) {
            Ok(changed) => changed,
            Err(error) => {
                return Reply::refused(format!(
                    "cannot keep it in `{}`: {error}; nothing has changed",
                    self.config.runtime_dir.display()
                ));
            }
        };
        let serves = checks.service(subject.service).is_none_or(|health| {
            let mut members = health.members().iter();
            health.fallback_serves() || members.any(|m| m.standing == Standing::Serving)
        });
        let reply = Changed {
            service: service.name.to_string(),
            backend: backend.name.to_string(),
            mode: mode(asked.mode).to_owned(),
            weight: asked.weight.unwrap_or(backend.weight).get(),
            changed,
            since_unix: checks.said(subject).map(|kept| kept.since_unix),
            warning: (!serves)
                .then(|| format!("no backend of `{}` takes new connections now", service.name)),
        };
        if changed {
            tracing::info!(
                service = reply.service,
                backend = reply.backend,
                mode = reply.mode,
                weight = reply.weight,
                "changed by the operator"
            );
        }
        let changes = checks.standings(&self.config);
        self.change(changes);
        routers.observe(checks.quorums(&self.config));
        Reply::Changed(reply)
    }
}

/// The word of a mode, as on the command line and in `status`.
pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enabled => "enabled",
        Mode::Drain => "drained",
        Mode::Disabled => "disabled",
    }
}

/// What is said, taken all together.
fn after(before: Override, change: BackendChange) -> Override {
    match change {
        BackendChange::Enable => Override::default(),
        BackendChange::Drain => Override {
            mode: Mode::Drain,
            ..before
        },
        BackendChange::Disable => Override {
            mode: Mode::Disabled,
            ..before
        },
        BackendChange::Weight(weight) => Override {
            weight: Some(Weight::new(weight)),
            ..before
        },
    }
}

fn find<'a>(
    config: &'a Config,
    service_name: &str,
    backend_name: &str,
) -> Result<(&'a Service, &'a Backend), OperateError> {
    let mut services = config.services.iter();
    let service = services.find(|one| one.name.as_str() == service_name);
    let service = service.ok_or_else(|| {
        let names = config.services.iter().map(|one| one.name.as_str());
        OperateError::NoService {
            name: service_name.to_owned(),
            hint: did_you_mean(service_name, names),
        }
    })?;
    let mut backends = service.backends.iter();
    let backend = backends.find(|one| one.name.as_str() == backend_name);
    let backend = backend.ok_or_else(|| {
        let names = service.backends.iter().map(|one| one.name.as_str());
        OperateError::NoBackend {
            service: service.name.to_string(),
            name: backend_name.to_owned(),
            hint: did_you_mean(backend_name, names),
        }
    })?;
    Ok((service, backend))
}
