//! `vrrp_script`, `vrrp_track_process` and `track_file`: what is tracked by name.

use std::time::Duration;

use super::{
    Cx, Statement,
    command::{Command, command},
    name,
    value::{ms, secs},
    walk::{ANY, Grammar, line},
};
use crate::import::finding::{Place, quote};

/// A weight, with keepalived's way to turn it round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) value: i64,
    pub(super) reverse: bool,
}

/// A script.
pub(super) struct Script {
    pub(super) at: Place,
    pub(super) name: String,
    /// The name in the file.
    pub(super) known_as: String,
    pub(super) command: Option<Command>,
    pub(super) interval: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) rise: u32,
    pub(super) fall: u32,
    pub(super) weight: Weight,
    pub(super) user: Option<String>,
    pub(super) broken: bool,
}

impl Script {
    /// Whether there is something to run.
    pub(super) fn usable(&self) -> bool {
        self.command.is_some() && !self.broken
    }
}

/// A process.
pub(super) struct Process {
    pub(super) at: Place,
    pub(super) known_as: String,
    pub(super) process: Option<String>,
    pub(super) weight: Weight,
}

/// A file with a number in it.
pub(super) struct File {
    pub(super) at: Place,
    pub(super) known_as: String,
    pub(super) path: Option<String>,
    pub(super) weight: Weight,
}

/// Reads `vrrp_script`.
pub(super) fn script(scripts: &mut Vec<Script>, s: &Statement, cx: &mut Cx<'_>) {
    if scripts.iter().any(|other| other.known_as == s.arg(0)) {
        return twice(s, cx);
    }
    let mut script = Script {
        at: s.at.clone(),
        name: name(s.arg(0), "script", &s.at, cx),
        known_as: s.arg(0).to_owned(),
        command: None,
        interval: secs(1),
        timeout: None,
        rise: 1,
        fall: 1,
        weight: Weight::default(),
        user: None,
        broken: false,
    };
    script.broken = SCRIPT.walk(s.body(), &mut script, cx).broken;
    scripts.push(script);
}

fn twice(s: &Statement, cx: &mut Cx<'_>) {
    cx.error(
        &s.at,
        format!(
            "{} is there already: the second one is left out",
            s.quoted()
        ),
    );
}

const SCRIPT: Grammar<Script> = Grammar {
    takes: &[
        line("script", 1, ANY, |script, s, cx| {
            let mut text = s.arg(0).to_owned();
            if s.args().len() > 1 {
                let rest = quote(&s.args()[1..].join(" "));
                cx.warn(&s.at, format!("`script`: {rest} is taken as its arguments; keepalived wants them in the same quotes"));
                // Words that had quotes of their own stay words.
                for word in &s.args()[1..] {
                    text.push_str(&format!(" '{word}'"));
                }
            }
            script.command = command(&text, s, cx);
        }),
        line("interval", 1, 1, |script, s, cx| {
            let time = cx.seconds(s, ms(10)..=secs(86_400), "the default, 1s, is taken");
            script.interval = time.unwrap_or(script.interval);
        }),
        line("timeout", 1, 1, |script, s, cx| {
            script.timeout = cx.seconds(s, ms(10)..=secs(86_400), "the interval is taken");
        }),
        line("weight", 1, 2, |script, s, cx| {
            script.weight = weight(s, script.weight, cx);
        }),
        line("rise", 1, 1, |script, s, cx| {
            script.rise = cx.number(s, 0, 1..=1000, "1 is written").unwrap_or(1);
        }),
        line("fall", 1, 1, |script, s, cx| {
            script.fall = cx.number(s, 0, 1..=1000, "1 is written").unwrap_or(1);
        }),
        line("user", 1, 2, |script, s, cx| {
            script.user = Some(s.arg(0).to_owned());
            group_is_the_user_s(s, 1, cx);
        }),
    ],
    old: &[],
    without: &[("init_fail", "the script's first result decides")],
    same: &[],
};

/// Says that a group other than the user's is not taken.
pub(super) fn group_is_the_user_s(s: &Statement, n: usize, cx: &mut Cx<'_>) {
    // With a colon before it the user's other groups are meant, too.
    let (user, group) = (s.arg(n - 1), s.arg(n).trim_start_matches(':'));
    if !group.is_empty() && group != user {
        cx.warn(
            &s.at,
            format!(
                "the group {} has no equal: the groups of {} are taken",
                quote(group),
                quote(user)
            ),
        );
    }
}

/// `weight N [reverse]`.
fn weight(s: &Statement, before: Weight, cx: &mut Cx<'_>) -> Weight {
    let limit = i64::from(crate::config::model::TrackWeight::MAX);
    // keepalived lets files and processes have one more.
    let value = cx
        .number(s, 0, -limit - 1..=limit + 1, "left out")
        .unwrap_or(before.value);
    Weight {
        value: value.clamp(-limit, limit),
        reverse: s.arg(1) == "reverse",
    }
}

/// Reads `vrrp_track_process`.
pub(super) fn process(processes: &mut Vec<Process>, s: &Statement, cx: &mut Cx<'_>) {
    if processes.iter().any(|other| other.known_as == s.arg(0)) {
        return twice(s, cx);
    }
    let mut process = Process {
        at: s.at.clone(),
        known_as: s.arg(0).to_owned(),
        process: None,
        weight: Weight {
            value: 1,
            reverse: false,
        },
    };
    if PROCESS.walk(s.body(), &mut process, cx).broken {
        process.process = None;
    }
    if process.process.is_none() {
        cx.error(
            &s.at,
            format!("{} names no process: it is not tracked", s.quoted()),
        );
    }
    processes.push(process);
}

const PROCESS: Grammar<Process> = Grammar {
    takes: &[
        line("process", 1, ANY, |process, s, cx| {
            let given = s.arg(0);
            let name = given.rsplit('/').next().unwrap_or(given);
            if name != given {
                cx.warn(
                    &s.at,
                    format!(
                        "processes are found by the name that `ps` shows: {} is written",
                        quote(name)
                    ),
                );
            }
            if s.args().len() > 1 {
                cx.warn(
                    &s.at,
                    "the process's parameters have no equal: any process of that name counts",
                );
            }
            process.process = (!name.is_empty()).then(|| name.to_owned());
        }),
        line("weight", 1, 2, |process, s, cx| {
            process.weight = weight(s, process.weight, cx);
        }),
        line("quorum", 1, 1, |_, s, cx| {
            if s.arg(0) != "1" {
                cx.warn(
                    &s.at,
                    "`quorum` has no equal: one process of that name is enough",
                );
            }
        }),
    ],
    old: &[],
    without: &[
        ("delay", "a process counts as gone, or as there, at once"),
        ("fork_delay", "a process counts as there at once"),
        (
            "full_command",
            "processes are found by the name that `ps` shows",
        ),
        (
            "param_match",
            "processes are found by the name that `ps` shows",
        ),
        ("quorum_max", "any number of processes is good"),
        ("terminate_delay", "a process counts as gone at once"),
    ],
    same: &[],
};

/// Reads `track_file`.
pub(super) fn file(files: &mut Vec<File>, s: &Statement, cx: &mut Cx<'_>) {
    if files.iter().any(|other| other.known_as == s.arg(0)) {
        return twice(s, cx);
    }
    let mut file = File {
        at: s.at.clone(),
        known_as: s.arg(0).to_owned(),
        path: None,
        weight: Weight {
            value: 1,
            reverse: false,
        },
    };
    if FILE.walk(s.body(), &mut file, cx).broken {
        file.path = None;
    }
    if file.path.is_none() {
        cx.error(
            &s.at,
            format!("{} names no file: it is not tracked", s.quoted()),
        );
    }
    files.push(file);
}

const FILE: Grammar<File> = Grammar {
    takes: &[
        line("file", 1, 1, |file, s, cx| {
            if s.arg(0).starts_with('/') {
                file.path = Some(s.arg(0).to_owned());
            } else {
                cx.error(
                    &s.at,
                    format!(
                        "{} is a relative path, give an absolute one: left out",
                        quote(s.arg(0))
                    ),
                );
            }
        }),
        line("weight", 1, 2, |file, s, cx| {
            file.weight = weight(s, file.weight, cx);
        }),
    ],
    old: &[],
    without: &[(
        "init_file",
        "the file is not made: a missing one counts as 0",
    )],
    same: &[],
};
