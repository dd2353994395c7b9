//! The agent behind `ballast`: one YAML file in, a programmed data plane out.
//!
//! Rooms, lowest first; a room imports only rooms above it in this list.

pub mod types;

mod input_file;

mod runtime_file;

pub mod config;

pub mod import;

pub mod ring;

pub mod net;

pub mod exec;

pub mod track;

pub mod notify;

pub mod alert;

pub mod vrrp;

pub mod health;

pub mod dataplane;

pub mod ipvs;

pub mod observe;

pub mod control;

pub mod realserver;

pub mod agent;

pub mod doctor;

pub mod logging;

pub mod cli;
