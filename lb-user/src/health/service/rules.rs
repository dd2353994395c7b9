//! What of a service's configuration counts for its health.

use std::time::Duration;

use super::quorum::Thresholds;
use crate::{
    config::model::{BackendKey, OnFailure, Service},
    health::fsm::Timing,
    types::Weight,
};

/// What of the configuration counts here.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) quorum: Thresholds,
    pub(super) has_fallback: bool,
    pub(super) on_failure: OnFailure,
    /// Configured weights, in the order of the file.
    pub(super) weights: Vec<(BackendKey, Weight)>,
    /// The longest a backend takes from its death to the verdict.
    pub(super) window: Duration,
}

impl Rules {
    pub(super) fn of(service: &Service) -> Self {
        let checks = service
            .backends
            .iter()
            .filter_map(|backend| backend.health_check.check());
        Self {
            quorum: Thresholds {
                up: u64::from(service.quorum.up),
                hysteresis: u64::from(service.quorum.hysteresis),
            },
            has_fallback: service.fallback.is_some(),
            on_failure: service.on_failure,
            weights: service
                .backends
                .iter()
                .map(|backend| (backend.key(), backend.weight))
                .collect(),
            window: checks
                .map(|check| Timing::from(check).detection())
                .max()
                .unwrap_or_default(),
        }
    }
}
