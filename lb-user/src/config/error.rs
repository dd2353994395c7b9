//! Why there is no configuration.

use std::{io, path::PathBuf};

use super::Diagnostics;

/// Why there is no configuration. The two have exit codes of their own.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    /// The file cannot be read (exit code 3).
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// The file as the user named it.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file can be read, and is wrong (exit code 1). Holds everything that is wrong, warnings too.
    #[error("{0}")]
    Invalid(Diagnostics),
}

impl ConfigErrors {
    /// The exit code of a command that fails for this reason.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreadable { .. } => 3,
            Self::Invalid(_) => 1,
        }
    }

    /// What is wrong with the file, if it could be read.
    #[must_use]
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        match self {
            Self::Unreadable { .. } => None,
            Self::Invalid(diagnostics) => Some(diagnostics),
        }
    }
}
