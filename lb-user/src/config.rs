//! One YAML file in, a [`Config`] out, or everything that is wrong with it, each with its place.
//!
//! Three steps: `load` makes a tree of values that know their place, `validate` walks it once and builds the [`model`], and what
//! concerns several parts is checked on the model. Only `load` knows the YAML reader, and only it touches a file.

mod diagnostic;
mod error;
pub mod limits;
pub mod model;

mod load;
mod suggest;
mod tree;
mod units;
mod validate;
mod walk;

pub mod diff;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use self::{
    diagnostic::{Diagnostic, Diagnostics, Pos, Severity},
    error::ConfigErrors,
    model::Config,
    suggest::hint as did_you_mean,
};
use self::{tree::Node, walk::Cx};

/// A valid configuration, and what its file still knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What the file means.
    pub config: Config,
    /// What somebody should look at.
    pub warnings: Diagnostics,
    file: String,
    tree: Node,
}

impl Loaded {
    /// The file as the user named it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// A diagnostic about the value at `path` (like `services[0].port`), for checks that need more than the file. Where the file
    /// does not have it, the place is that of the innermost part of the path that it does have.
    #[must_use]
    pub fn diagnostic(&self, path: &str, severity: Severity, message: &str) -> Diagnostic {
        let Pos { line, column } = self.tree.find(path).0;
        Diagnostic {
            file: self.file.as_str().into(),
            line,
            column,
            path: path.to_owned(),
            message: message.to_owned(),
            severity,
        }
    }

    /// Whether the file itself, and not a default, says something at `path`.
    #[must_use]
    pub fn says(&self, path: &str) -> bool {
        self.tree.find(path).1
    }
}

/// Reads and checks a file.
///
/// # Errors
/// The file cannot be read, or is wrong: then everything that is wrong with it, in the order of the file.
pub fn load_and_validate(path: &Path) -> Result<Loaded, ConfigErrors> {
    let text = load::read(path)?;
    validate_str(&path.to_string_lossy(), &text)
}

/// Checks the text of a file; `file_name` is what diagnostics call it.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn validate_str(file_name: &str, text: &str) -> Result<Loaded, ConfigErrors> {
    let mut cx = Cx::new(file_name);
    let checked = load::parse(&mut cx, text)
        .and_then(|tree| validate::config(&mut cx, &tree).map(|config| (config, tree)));
    let failed = cx.has_errors();
    let diagnostics = Diagnostics::new(cx.into_diagnostics());
    match checked {
        Some((config, tree)) if !failed => Ok(Loaded {
            config,
            warnings: diagnostics,
            file: file_name.to_owned(),
            tree,
        }),
        _ => Err(ConfigErrors::Invalid(diagnostics)),
    }
}
