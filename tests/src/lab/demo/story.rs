//! What the demo tells while it plays.

use std::io::{self, Write};

use super::{ByBackend, summary};
use crate::{client::Report, pair::Pair, topology::VIP};

/// The narrator: stdout, or stderr where stdout is for the document.
#[derive(Debug)]
pub(super) struct Story {
    to_stderr: bool,
}

impl Story {
    pub(super) fn new(to_stderr: bool) -> Self {
        Self { to_stderr }
    }

    pub(super) fn title(&self, text: &str) {
        self.line(&format!("\n== {text}"));
    }

    pub(super) fn say(&self, text: &str) {
        self.line(&format!("   {text}"));
    }

    pub(super) fn block(&self, text: &str) {
        for line in text.lines() {
            self.say(&format!("| {line}"));
        }
    }

    pub(super) fn hosts(&self, pair: &Pair<'_>) {
        self.say(&format!("client   {}", pair.net.client.v4));
        for (lb, routers) in pair.net.lbs.iter().zip(&pair.setup.routers) {
            let priority = routers.first().map_or(0, |router| router.priority);
            self.say(&format!(
                "{:8} {}, priority {priority} for the virtual address {VIP}",
                lb.host.name(),
                lb.v4
            ));
        }
        let config = pair.config(0);
        let web = config.services.iter().find(|service| service.name == "web");
        for backend in web.into_iter().flat_map(|service| &service.backends) {
            self.say(&format!(
                "{:8} {}, {}, a real nginx",
                backend.name, backend.address, backend.forwarding
            ));
        }
    }

    pub(super) fn answers(&self, report: &Report) {
        self.say(&format!(
            "{} requests, {} without an answer",
            report.sent(),
            report.failed()
        ));
        self.say(&format!("answered by {}", summary(report)));
        self.say(&format!(
            "slowest {:.0?}, longest time without an answer {:.0?}",
            report.slowest(),
            report.longest_gap()
        ));
        if report.failed() > 0 {
            self.say(&format!("failures: {report}"));
        }
    }

    pub(super) fn counters(&self, status: &ByBackend, pinned: &ByBackend) {
        self.say(&format!(
            "{:8} {:>12} {:>12} {:>12}   bpftool: packets",
            "", "connections", "packets", "bytes"
        ));
        for (name, counters) in status {
            let pinned = pinned.get(name).map_or(0, |c| c.packets);
            self.say(&format!(
                "{name:8} {:>12} {:>12} {:>12}            {pinned:>12}",
                counters.new_flows, counters.packets, counters.bytes,
            ));
        }
    }

    pub(super) fn commands(&self, pair: &Pair<'_>) {
        let [lb, lb2] = pair.net.lbs.each_ref().map(|lb| lb.host.enter_command());
        let client = pair.net.client.host.enter_command();
        let ballast = crate::ballast::binary()
            .map_or_else(|_| "ballast".to_owned(), |path| path.display().to_string());
        let config = pair.net.lbs[0].host.dir().join("ballast.yaml");
        let config2 = pair.net.lbs[1].host.dir().join("ballast.yaml");
        let (config, config2) = (config.display(), config2.display());
        self.title("The lab stays up. In another terminal, as root:");
        self.say(&format!("{client} curl http://{VIP}/"));
        self.say(&format!("{lb} {ballast} -c {config} status"));
        self.say(&format!("{lb2} {ballast} -c {config2} status"));
        self.say(&format!(
            "{lb} ip link set eth0 down        # lb2 takes over; `up`, and lb1 does"
        ));
        self.say(&format!(
            "{lb} {ballast} -c {config} explain --proto tcp --src {}:40000 --dst {VIP}:80",
            pair.net.client.v4
        ));
        self.say(&format!(
            "{lb} bpftool map dump pinned /sys/fs/bpf/ballast/backend_stats"
        ));
        self.say(&format!(
            "edit {config}, then {lb} {ballast} -c {config} reload"
        ));
        self.say(&format!("{lb} bash        # a shell on the balancer"));
        self.say("Ctrl-C here tears it down");
    }

    /// A reader that has gone away does not stop the demo.
    fn line(&self, text: &str) {
        if self.to_stderr {
            writeln!(io::stderr(), "{text}").ok();
        } else {
            writeln!(io::stdout(), "{text}").ok();
        }
    }
}
