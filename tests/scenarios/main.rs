//! Real agents, real web servers, real clients, on hosts in namespaces. Each test is a promise of the
//! product, shown from outside: by requests, captures, exit codes and what is left behind.

mod badinput;
mod counters;
mod forwarding;
mod neighbour;
mod reload;
mod restart;
mod support;
