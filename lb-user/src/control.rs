//! The control socket: how `ballast status`, `reload`, `explain` and `backend` reach a running agent.
//!
//! One connection carries one request and one reply, each a line of JSON. [`proto`] says what is in
//! them, [`server`] is the agent's end, [`client`] the command line's.

pub mod proto;

pub mod client;
pub mod server;

#[cfg(test)]
mod tests;

/// The socket's name in `runtime_dir`.
pub const SOCKET: &str = "ballast.sock";
