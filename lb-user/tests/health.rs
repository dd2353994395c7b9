//! Health checks against real sockets, in network namespaces of the tests' own.

#[path = "net/namespace.rs"]
mod namespace;

#[path = "health/support.rs"]
mod support;

#[path = "health/evil.rs"]
mod evil;

#[path = "health/network.rs"]
mod network;

#[path = "health/limits.rs"]
mod limits;

#[path = "health/driver.rs"]
mod driver;

#[path = "health/scale.rs"]
mod scale;
