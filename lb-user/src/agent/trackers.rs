//! What virtual routers track outside of the network: one task each, shared by all routers.

use std::{collections::BTreeMap, time::Instant};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{
        Config,
        model::{Script, VrrpInstance},
    },
    track::{self, Report, TrackerState},
    vrrp::{
        task::Observer,
        track::{Input, State},
    },
};

/// The running trackers.
pub(super) struct Trackers {
    observer: Observer,
    running: BTreeMap<Input, Tracker>,
    tasks: JoinSet<()>,
}

struct Tracker {
    /// Of a script, which may change under its name.
    script: Option<Script>,
    report: watch::Receiver<Report>,
    cancel: CancellationToken,
}

/// What a tracker last saw.
pub(super) struct Seen {
    pub(super) input: Input,
    pub(super) state: TrackerState,
    pub(super) text: String,
    pub(super) since: Instant,
}

impl Trackers {
    pub(super) fn new(observer: Observer) -> Self {
        Self {
            observer,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Starts what is tracked now, stops what is not any more; the others go on.
    pub(super) fn apply(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.running);
        for (input, script) in wanted(config) {
            let tracker = match before.remove(&input) {
                Some(tracker) if tracker.script == script => tracker,
                old => {
                    if let Some(old) = old {
                        old.cancel.cancel();
                    }
                    self.start(&input, script)
                }
            };
            self.running.insert(input, tracker);
        }
        for tracker in before.into_values() {
            tracker.cancel.cancel();
        }
        // Those that have ended.
        while self.tasks.try_join_next().is_some() {}
    }

    fn start(&mut self, input: &Input, script: Option<Script>) -> Tracker {
        let (out, report) = watch::channel(Report::unknown(Instant::now()));
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        match (input.clone(), script.clone()) {
            (Input::Script(_), Some(script)) => {
                self.tasks.spawn(track::script(script, out, stop));
            }
            (Input::Process(name), _) => {
                self.tasks.spawn(track::process(name, out, stop));
            }
            (Input::File(path), _) => {
                self.tasks.spawn(track::file(path, out, stop));
            }
            // Interfaces are seen by the routers' own thread.
            (Input::Script(_) | Input::Interface(_) | Input::Service(_), _) => {}
        }
        let (observer, input, mut news) = (self.observer.clone(), input.clone(), report.clone());
        self.tasks.spawn(async move {
            loop {
                let state = convert(news.borrow_and_update().state);
                if state != State::Unknown {
                    observer.observed(vec![(input.clone(), state)]);
                }
                if news.changed().await.is_err() {
                    return;
                }
            }
        });
        Tracker {
            script,
            report,
            cancel,
        }
    }

    /// What all of them last saw.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.running
            .iter()
            .map(|(input, tracker)| {
                let report = tracker.report.borrow();
                Seen {
                    input: input.clone(),
                    state: report.state,
                    text: report.text.clone(),
                    since: report.since,
                }
            })
            .collect()
    }

    /// Stops all, and waits for the end of what they started.
    pub(super) async fn stop(mut self) {
        for tracker in self.running.values() {
            tracker.cancel.cancel();
        }
        self.running.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Everything that is tracked by a task, with a script's definition.
fn wanted(config: &Config) -> BTreeMap<Input, Option<Script>> {
    config
        .vrrp_instances
        .iter()
        .flat_map(|instance| of(instance, config))
        .collect()
}

fn of<'a>(
    instance: &'a VrrpInstance,
    config: &'a Config,
) -> impl Iterator<Item = (Input, Option<Script>)> + 'a {
    let tracked = &instance.track;
    let scripts = tracked.scripts.iter().filter_map(|tracked| {
        let mut scripts = config.scripts.iter();
        let script = scripts.find(|script| script.name == tracked.name)?;
        Some((Input::Script(script.name.clone()), Some(script.clone())))
    });
    let processes = tracked.processes.iter();
    let processes = processes.map(|one| (Input::Process(one.name.clone()), None));
    let files = tracked.files.iter();
    let files = files.map(|one| (Input::File(one.path.clone()), None));
    scripts.chain(processes).chain(files)
}

fn convert(state: TrackerState) -> State {
    match state {
        TrackerState::Unknown => State::Unknown,
        TrackerState::Good => State::Good,
        TrackerState::Bad => State::Bad,
        TrackerState::Number(number) => State::Number(number),
        TrackerState::Missing => State::Missing,
    }
}
