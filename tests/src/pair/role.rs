//! Who is master, seen from outside: who has the addresses.

use std::{collections::HashSet, fs, net::IpAddr, os::unix::fs::PermissionsExt, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{Pair, Stack};
use crate::{
    netns::Host,
    topology::VIP,
    vrrp::{Adverts, instances},
    wait::wait_for,
};

impl Pair<'_> {
    /// Who has [`VIP`]; `None`: nobody, or both.
    #[must_use]
    pub fn master(&self) -> Option<usize> {
        match [0, 1].map(|index| has_address(&self.net.lbs[index].host, VIP.into())) {
            [true, false] => Some(0),
            [false, true] => Some(1),
            _ => None,
        }
    }

    /// Waits until [`VIP`] is on this balancer, and on no other.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub fn wait_for_master(&self, index: usize, limit: Duration) -> Result<()> {
        let host = &self.net.lbs[index].host;
        wait_for(&format!("{} to be master", host.name()), limit, || {
            (self.master() == Some(index))
                .then_some(())
                .ok_or_else(|| format!("{:?}", self.holders()))
        })?;
        Ok(())
    }

    /// Waits until somebody is the only master.
    ///
    /// # Errors
    /// When nobody is within `limit`.
    pub fn wait_for_any_master(&self, limit: Duration) -> Result<usize> {
        Ok(wait_for("one master", limit, || {
            self.master().ok_or_else(|| format!("{:?}", self.holders()))
        })?)
    }

    /// Waits until router n (of both balancers) has all its addresses on balancer `masters[n]`, and none
    /// on the other; one without power has none.
    ///
    /// # Errors
    /// With the routers of which that is not so.
    pub fn wait_for_masters(&self, masters: &[usize], limit: Duration) -> Result<()> {
        wait_for("every router's master", limit, || {
            let present = [0, 1].map(|index| addresses(&self.net.lbs[index].host));
            let routers = self.setup.routers[0].iter().zip(masters);
            let wrong: Vec<_> = routers
                .filter(|(router, master)| {
                    router.addresses.iter().any(|address| {
                        let there = |index: usize| present[index].contains(&address.addr());
                        !there(**master) || there(1 - **master)
                    })
                })
                .map(|(router, master)| format!("{} not on lb{}", router.name, master + 1))
                .collect();
            ensure!(wrong.is_empty(), "{}", wrong.join(", "));
            Ok(())
        })?;
        Ok(())
    }

    /// Expects that a balancer has none of its routers' addresses (any more).
    ///
    /// # Errors
    /// With those that it has.
    pub fn expect_no_addresses(&self, index: usize) -> Result<()> {
        let host = &self.net.lbs[index].host;
        let present = addresses(host);
        let left: Vec<_> = self.setup.routers[index]
            .iter()
            .flat_map(|router| &router.addresses)
            .filter(|address| present.contains(&address.addr()))
            .collect();
        ensure!(left.is_empty(), "{} still has {left:?}", host.name());
        Ok(())
    }

    /// The state of each router of `index`, by its own word: `master`, `backup`, `fault`, ….
    ///
    /// # Errors
    /// When nobody runs there, or has said nothing yet.
    pub fn states(&self, index: usize) -> Result<Vec<String>> {
        if self.setup.stacks[index] == Stack::Ballast {
            let routers = instances(&self.balancer(index)?.agent)?;
            return Ok(routers.into_iter().map(|router| router.state).collect());
        }
        let said = notified(&self.net.lbs[index].host);
        let latest = |name: &str| {
            let line = said.iter().rev().find(|line| line[1] == name);
            line.map(|line| line[2].to_lowercase())
                .with_context(|| format!("{name} has no state yet"))
        };
        let routers = self.setup.routers[index].iter();
        routers.map(|router| latest(&router.name)).collect()
    }

    /// Waits until all routers of `index` say that they are in `state`.
    ///
    /// # Errors
    /// When they do not within `limit`.
    pub fn wait_for_state(&self, index: usize, state: &str, limit: Duration) -> Result<()> {
        let what = format!("{} to be {state}", self.net.lbs[index].host.name());
        wait_for(&what, limit, || {
            let states = self.states(index)?;
            let met = !states.is_empty() && states.iter().all(|is| is == state);
            ensure!(met, "{states:?}");
            Ok(())
        })?;
        Ok(())
    }

    /// Waits until one balancer is master of everything, the other its backup, and the latter has
    /// heard several adverts. Returns who is master.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn wait_until_at_rest(&self) -> Result<usize> {
        let master = self.wait_for_any_master(LIMIT)?;
        self.wait_for_state(master, "master", LIMIT)?;
        self.wait_for_state(1 - master, "backup", LIMIT)?;
        let adverts = Adverts::of(&self.net.lbs[1 - master])?;
        wait_for("adverts", LIMIT, || {
            let count = adverts.received().len();
            ensure!(count >= 2, "{count} so far");
            Ok(())
        })?;
        Ok(master)
    }

    fn holders(&self) -> Vec<&str> {
        let lbs = self.net.lbs.iter();
        lbs.filter(|lb| has_address(&lb.host, VIP.into()))
            .map(|lb| lb.host.name())
            .collect()
    }
}

/// Whether an address is on an interface of `host`. A host without power has none.
#[must_use]
pub fn has_address(host: &Host, address: IpAddr) -> bool {
    addresses(host).contains(&address)
}

/// The addresses of a host's interfaces, read from procfs: some hundred microseconds.
fn addresses(host: &Host) -> HashSet<IpAddr> {
    let v4 = host.read("/proc/1/net/fib_trie").unwrap_or_default();
    let v6 = host.read("/proc/1/net/if_inet6").unwrap_or_default();
    let mut found = HashSet::new();
    let mut latest = None;
    for line in v4.lines() {
        // "|-- 10.0.0.2" and below it "/32 host LOCAL".
        match line.trim().strip_prefix("|-- ") {
            Some(address) => latest = address.parse().ok(),
            None if line.contains("/32 host LOCAL") => found.extend(latest.map(IpAddr::V4)),
            None => {}
        }
    }
    for line in v6.lines() {
        let address = line.split_whitespace().next().unwrap_or_default();
        let address = u128::from_str_radix(address, 16).ok();
        found.extend(address.map(|bits| IpAddr::V6(bits.into())));
    }
    found
}

/// Writes the program [`NOTIFY`], which writes down what it is called with, and forgets what it wrote
/// down before.
pub(super) fn install_notify(host: &Host) -> Result<()> {
    let log = notify_log(host);
    fs::write(&log, "")?;
    // In the host's own /run: whoever runs scripts as root wants nobody else to be able to write there.
    let script = format!("#!/bin/sh\necho \"$@\" >> {}\n", log.display());
    host.run(|| {
        fs::write(NOTIFY, &script)?;
        Ok(fs::set_permissions(
            NOTIFY,
            fs::Permissions::from_mode(0o700),
        )?)
    })
}

/// What [`NOTIFY`] was called with, in order: INSTANCE or GROUP, name, state, priority.
#[must_use]
pub fn notified(host: &Host) -> Vec<[String; 4]> {
    let text = fs::read_to_string(notify_log(host)).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            words.try_into().ok()
        })
        .collect()
}

fn notify_log(host: &Host) -> std::path::PathBuf {
    host.dir().join("notified.txt")
}

/// A notify script on each balancer.
pub const NOTIFY: &str = "/run/lab-notify";
const LIMIT: Duration = Duration::from_secs(30);
