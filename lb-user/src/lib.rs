//! The agent behind `ballast`: one YAML file in, a programmed data plane out.
//!
//! Rooms, lowest first; a room imports only rooms above it in this list.

pub mod types;

pub mod config;

pub mod import;

pub mod ring;

pub mod net;

pub mod exec;

pub mod track;

pub mod notify;

pub mod vrrp;

pub mod health;

pub mod ipvs;

pub mod dataplane;

pub mod observe;

pub mod control;

pub mod agent;

pub mod logging;

pub mod cli;
