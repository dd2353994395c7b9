//! VRRP: which of several routers answers for the virtual addresses.
//!
//! RFC 3768 (version 2) and RFC 9568 (version 3). Pure, with `now` as an argument and actions as the
//! result: [`wire`], [`timers`], [`machine`], [`sync_group`], [`track`], [`accept`]. The rest touches
//! the kernel, on a thread of its own ([`task`]): sockets, addresses, announcements, records.

pub mod wire;

pub mod timers;

pub mod machine;

pub mod sync_group;

pub mod track;

pub mod accept;

pub mod view;

pub mod socket;

pub mod hold;

pub mod realtime;

pub mod record;

pub mod engine;

pub mod last_word;

pub mod task;
