//! Other programs' configurations to ours: `keepalived.conf`, and what `ipvsadm -S` prints.
//!
//! A straight line of rooms: `read` (the only one that touches files) makes lines that know their place, `expand` carries out
//! conditions and definitions, `lexer` and `parse` make statements and blocks, `convert` makes our document, and `settle` has
//! [`config`](crate::config) check it and leaves out what it refuses, with a word about each. So what comes out is valid, and what
//! does not come out was named.

mod finding;
mod read;

mod expand;
mod lexer;
mod parse;

mod convert;
mod ipvsadm;

mod settle;
mod yaml;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use self::convert::{Cx, Everything};
pub use self::{
    finding::{Finding, Place},
    read::{Line, ReadError, Source},
};

/// What is not in the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What lines that begin with `@id` are for; keepalived's default is the host's name up to the first dot.
    pub config_id: String,
    /// `datapath.interfaces`; where none are given, those of the VRRP instances.
    pub interfaces: Vec<String>,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// A valid configuration; `None` if nothing usable came out.
    pub yaml: Option<String>,
    /// What could not be taken over as it was, in the order of the files.
    pub findings: Vec<Finding>,
}

/// Translates a `keepalived.conf`.
#[must_use]
pub fn keepalived(source: Source, options: &Options) -> Imported {
    let (files, name) = (source.files.clone(), source.name());
    let mut findings = source.findings;
    let statements = expand::expand(source.lines, &options.config_id, &mut findings)
        .map(|lines| lexer::tokens(&lines, &mut findings))
        .and_then(|tokens| parse::statements(&tokens, &mut findings));
    let Some(statements) = statements else {
        // Where a block ends is a guess now, and a guess is no configuration.
        return finish(None, findings, &files);
    };
    let mut cx = Cx::new(options, findings);
    let everything = convert::collect(&statements, &mut cx);
    write(&everything, cx, &name, &files)
}

/// Translates what `ipvsadm -S -n` printed.
#[must_use]
pub fn ipvsadm(source: Source, options: &Options) -> Imported {
    let (files, name) = (source.files.clone(), source.name());
    let mut cx = Cx::new(options, source.findings);
    let everything = Everything::of(ipvsadm::services(&source.lines, &mut cx));
    write(&everything, cx, &name, &files)
}

fn write(everything: &Everything, mut cx: Cx<'_>, name: &str, files: &[Arc<str>]) -> Imported {
    let document = convert::document(everything, &mut cx);
    let yaml = settle::settle(document, name, &mut cx.findings);
    finish(yaml, cx.findings, files)
}

fn finish(yaml: Option<String>, mut findings: Vec<Finding>, files: &[Arc<str>]) -> Imported {
    let order: HashMap<&str, usize> = files.iter().enumerate().map(|(n, f)| (&**f, n)).collect();
    // What a group of addresses shares is found once for each of them.
    let mut told = HashSet::new();
    findings.retain(|f| told.insert((f.at.clone(), f.message.clone())));
    findings.sort_by_cached_key(|f| (order.get(&*f.at.file).copied(), f.at.line));
    Imported { yaml, findings }
}
