//! A file, or its text, to a [`Node`] tree. The only room that names the YAML reader.
//!
//! The reader stops at its first error, and so does this room: a document that is no YAML has no tree to look for more in. What can be
//! found beside a tree (doubled keys, keys that are no words) is collected.

mod raw;
#[cfg(test)]
mod tests;

use std::{io::Read as _, path::Path};

use serde_saphyr::{
    DuplicateKeyPolicy, Error, MergeKeyPolicy, NonFiniteFloatPolicy, Options, Spanned,
};

use self::raw::Raw;
use super::{ConfigErrors, Diagnostics, Pos, limits, tree::Node, walk::Cx};
use crate::input_file;

/// The text of a file of at most [`limits::FILE_BYTES`].
///
/// # Errors
/// Unreadable, or not text, or too large.
pub(super) fn read(path: &Path) -> Result<String, ConfigErrors> {
    let unreadable = |source| ConfigErrors::Unreadable {
        file: path.to_owned(),
        source,
    };
    let file = input_file::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if meta.len() > limits::FILE_BYTES {
        return Err(invalid(path, Pos::START, too_large()));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells a pipe, or a file that grows, from one that just fits.
    file.take(limits::FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > limits::FILE_BYTES {
        return Err(invalid(path, Pos::START, too_large()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()])
            .into_owned();
        invalid(
            path,
            end_of(&good),
            "not UTF-8 text, save the file as UTF-8".to_owned(),
        )
    })
}

/// The tree of a document; doubled keys and the like go to `cx`. `None`: it is no YAML, and `cx` knows why.
pub(super) fn parse(cx: &mut Cx, text: &str) -> Option<Node> {
    if text.len() as u64 > limits::FILE_BYTES {
        cx.error(Pos::START, "", too_large());
        return None;
    }
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options()) {
        Ok(raw) => Some(raw::convert(cx, text, raw)),
        Err(error) => {
            let (at, message) = explain(&error);
            cx.error(at.unwrap_or(Pos::START), "", message);
            None
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: limits::YAML_EVENTS,
            max_nodes: limits::YAML_EVENTS,
            max_depth: limits::YAML_DEPTH,
            flow_nesting_limit: limits::YAML_DEPTH,
            max_documents: 2,
            // One anchor for the checks of a thousand backends is what anchors are for; replays are bounded below.
            enforce_alias_anchor_ratio: false,
            // A commented file may have long comments between entries.
            max_buffered_comment_events: 4096,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits::YAML_REPLAYED_EVENTS,
        },
        // Later pairs are passed on as well, so that `raw` sees every doubled key, not just the first.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: true,
        // `12e3456` is a password, or a name: what is meant is the spelling, which `raw` fetches.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        with_snippet: false,
        emit_comments: false,
    }
}

/// The reader's error in our words: those of its messages that name its own types and functions are replaced.
fn explain(error: &Error) -> (Option<Pos>, String) {
    let at = error.location().map(raw::pos);
    let message = match error.without_snippet() {
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => budget(error),
        Error::AliasError { error, .. } => explain(error).1,
        Error::MultipleDocuments { .. } => {
            "a second document, only one is allowed: remove this and what follows".to_owned()
        }
        Error::Eof { .. } => "the file is empty".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias inside of what it stands for".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "an alias of an anchor that is not defined before it".to_owned()
        }
        Error::UnsupportedTag { tag, .. } => {
            format!("the tag `{tag}` has no meaning here, remove it")
        }
        // The scanner's own limit, for brackets and braces.
        Error::ExternalMessage { msg, .. } if msg.starts_with("recursion limit") => too_deep(),
        Error::ExternalMessage { msg, .. } | Error::Message { msg, .. } => not_yaml(msg),
        other => not_yaml(strip_position(&other.to_string())),
    };
    (at, message)
}

fn budget(error: &Error) -> String {
    let depth = matches!(
        error.without_snippet(),
        Error::Budget {
            breach: serde_saphyr::budget::BudgetBreach::Depth { .. },
            ..
        }
    );
    if depth {
        too_deep()
    } else {
        "too much: the document, with its aliases expanded, is beyond any real configuration"
            .to_owned()
    }
}

fn too_deep() -> String {
    format!("nested deeper than {} levels", limits::YAML_DEPTH)
}

fn too_large() -> String {
    format!("the file is larger than {} MiB", limits::FILE_BYTES >> 20)
}

fn not_yaml(reason: &str) -> String {
    let reason = reason
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let remedy = if reason.contains("tab") {
        ": indent with spaces"
    } else {
        ""
    };
    format!("not YAML: {reason}{remedy}")
}

/// The reader puts `… at line 3, column 5` into some messages; the diagnostic says that already.
fn strip_position(text: &str) -> &str {
    text.find(" at line ").map_or(text, |cut| &text[..cut])
}

fn invalid(path: &Path, at: Pos, message: String) -> ConfigErrors {
    let mut cx = Cx::new(&path.to_string_lossy());
    cx.error(at, "", message);
    ConfigErrors::Invalid(Diagnostics::new(cx.into_diagnostics()))
}

/// The place just after `text`.
fn end_of(text: &str) -> Pos {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let last = text.rsplit('\n').next().unwrap_or_default();
    Pos {
        line: count(text.matches('\n').count() + 1),
        column: count(last.chars().count() + 1),
    }
}
