//! `ballast check`: the file alone; neither the host nor a running agent is looked at.

use serde::Serialize;

use super::{
    args::{Args, Check},
    exit::Refused,
    print_json,
};
use crate::config::{self, ConfigErrors, Diagnostic, Diagnostics, Severity};

/// Prints everything that is wrong with the file.
pub(super) fn check(args: &Args, options: &Check) -> anyhow::Result<()> {
    let (found, valid) = match config::load_and_validate(&args.config) {
        Ok(loaded) => (loaded.warnings, true),
        Err(ConfigErrors::Invalid(found)) => (found, false),
        Err(unreadable) => return Err(unreadable.into()),
    };
    let passes = valid && (found.is_empty() || !options.strict);
    if args.json {
        let diagnostics = found.iter().map(Line::from).collect();
        print_json(&Document {
            valid: passes,
            diagnostics,
        })?;
        return if passes {
            Ok(())
        } else {
            Err(summary(args, &found).into())
        };
    }
    if passes {
        found.iter().for_each(|warning| eprintln!("{warning}"));
        Ok(())
    } else {
        Err(Refused(found.iter().map(ToString::to_string).collect()).into())
    }
}

fn summary(args: &Args, found: &Diagnostics) -> Refused {
    let (errors, warnings) = (found.errors(), found.warnings());
    Refused(vec![format!(
        "{}: {errors} errors, {warnings} warnings",
        args.config.display()
    )])
}

#[derive(Serialize)]
struct Document<'a> {
    valid: bool,
    diagnostics: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    path: &'a str,
    message: &'a str,
    severity: &'static str,
}

impl<'a> From<&'a Diagnostic> for Line<'a> {
    fn from(d: &'a Diagnostic) -> Self {
        Self {
            file: &d.file,
            line: d.line,
            column: d.column,
            path: &d.path,
            message: &d.message,
            severity: match d.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
        }
    }
}
