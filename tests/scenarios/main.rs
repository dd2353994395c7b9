//! Real agents, real web servers, real clients, on hosts in namespaces. Each test is a promise of the
//! product, shown from outside: by requests, captures, exit codes and what is left behind.

mod badinput;
mod counters;
mod doctor;
mod explain;
mod failover;
mod flows;
mod forwarding;
mod health;
mod import;
mod interop_keepalived;
mod metrics;
mod mtu;
mod nat;
mod neighbour;
mod operations;
mod realserver;
mod reload;
mod restart;
mod scale;
mod schedulers;
mod setups;
mod support;
mod vrrp_adverts;
mod vrrp_announce;
mod vrrp_calm;
mod vrrp_forged;
mod vrrp_handover;
mod vrrp_many;
mod vrrp_notify;
mod vrrp_peer;
mod vrrp_restart;
mod vrrp_roles;
mod vrrp_status;
mod vrrp_track;
