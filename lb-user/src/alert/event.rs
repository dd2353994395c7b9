//! Pure: what there is to tell.

use std::time::SystemTime;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The checks of a backend changed their mind.
    Backend {
        /// Its service's name.
        service: String,
        /// Its name.
        backend: String,
        /// Its address and port.
        address: String,
        /// What they say now.
        health: Health,
        /// Why.
        reason: String,
    },
    /// A service gained or lost its quorum.
    Quorum {
        /// Its name.
        service: String,
        /// Whether it has it now.
        up: bool,
        /// The weight that is up.
        weight: u64,
    },
    /// A service's fallback took over, or handed back.
    Fallback {
        /// The service's name.
        service: String,
        /// Whether it serves now.
        serves: bool,
    },
    /// So many backends failed while our own network changed that they are kept; 0: they are believed again.
    Kept {
        /// The service's name.
        service: String,
        /// How many.
        backends: usize,
    },
    /// A virtual router or a group changed its role.
    Role {
        /// Which of both.
        kind: Kind,
        /// Its name.
        name: String,
        /// As notify scripts are told: `MASTER`, `BACKUP`, `FAULT` or `STOP`.
        state: String,
        /// Its effective priority.
        priority: u8,
        /// Why.
        reason: String,
    },
}

/// What the checks of a backend say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Up,
    /// It does not.
    Down,
    /// It answers again, but fell too often to be trusted yet.
    Held,
}

/// What has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A virtual router.
    Instance,
    /// A group of them.
    Group,
}
