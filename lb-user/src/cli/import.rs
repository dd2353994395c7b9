//! `ballast import`: a foreign file in, our YAML on standard output, and on standard error what could not be taken over as it was.

use serde::Serialize;

use super::{
    args::{Args, Format, Import},
    exit::Refused,
    print, print_json,
};
use crate::{
    config::Severity,
    import::{self, Finding, Options, Source},
};

/// Translates a file. Nothing is printed to standard output unless the translation counts as done.
pub(super) fn import(args: &Args, flags: &Import) -> anyhow::Result<()> {
    let source = Source::read(&flags.file)?;
    let options = Options {
        config_id: flags.config_id.clone().unwrap_or_else(host_name),
        interfaces: flags.interfaces.clone(),
    };
    let imported = match flags.from {
        Format::Keepalived => import::keepalived(source, &options),
        Format::Ipvsadm => import::ipvsadm(source, &options),
    };
    let findings = &imported.findings;
    let yaml = imported
        .yaml
        .as_ref()
        .filter(|_| !flags.strict || findings.is_empty());
    if args.json {
        print_json(&Document {
            translated: yaml.is_some(),
            yaml: yaml.map(String::as_str),
            diagnostics: findings.iter().map(Line::from).collect(),
        })?;
    } else {
        findings.iter().for_each(|finding| eprintln!("{finding}"));
    }
    match yaml {
        Some(yaml) if !args.json => print(yaml),
        Some(_) => Ok(()),
        None => Err(Refused(vec![verdict(flags, imported.yaml.is_some())]).into()),
    }
}

fn verdict(flags: &Import, translated: bool) -> String {
    let file = flags.file.display();
    if translated {
        format!("{file}: not written, because of the above and --strict")
    } else {
        format!("{file}: nothing usable came out")
    }
}

/// The host's name up to the first dot.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().split('.').next().unwrap_or_default().to_owned()
}

#[derive(Serialize)]
struct Document<'a> {
    translated: bool,
    yaml: Option<&'a str>,
    diagnostics: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    line: u32,
    message: &'a str,
    severity: &'static str,
}

impl<'a> From<&'a Finding> for Line<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            file: &finding.at.file,
            line: finding.at.line,
            message: &finding.message,
            severity: match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
        }
    }
}
