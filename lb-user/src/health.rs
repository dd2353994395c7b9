//! Health checks: which backends answer, and what follows for their services.
//!
//! Reading order is the way of a check: what is checked ([`target`]), one attempt ([`probe`]), its outcome's effect on one backend
//! ([`fsm`]), thousands of them on one task ([`pool`], [`task`]), and what a backend's health means to its service ([`service`], with
//! [`guard`] against blaming backends for our own link).
//!
//! Only [`probe`] and [`task`] know clock and network; everything else is told the time and returns what is to be done.

pub mod text;

pub mod target;

pub mod probe;

pub mod fsm;

pub mod pool;

pub mod task;

pub mod guard;

pub mod service;

pub mod services;

pub use self::{
    fsm::Health,
    pool::{Load, Report, Verdict},
    probe::{Network, Outcome},
    services::Services,
    target::{Subject, targets},
    task::{Changes, Checks, Driver, driver},
    text::Text,
};
