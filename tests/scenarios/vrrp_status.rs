//! What `status` says about roles: how old the master's word is, and why roles changed.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    pair::{Pair, Setup},
    vrrp::{Adverts, Transition},
    wait::{pause, wait_for},
};
use nix::sys::signal::Signal;

use crate::support::{BALLAST, SOON, front, on_pair, router};

#[test]
fn the_age_of_the_masters_last_advert_is_what_the_wire_says() {
    let setup = Setup::new(BALLAST, |index| {
        front(index).interval(Duration::from_millis(500))
    });
    on_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let adverts = Adverts::of(&pair.net.lbs[1])?;
        wait_for("an advert", SOON, || !adverts.received().is_empty())?;
        let router_of_backup = &pair.setup.routers[1][0];
        let (interval, down) = (router_of_backup.interval, router_of_backup.master_down());
        let mut least = Duration::MAX;
        for _ in 0..10 {
            // All the time from one advert to the next is seen.
            pause(interval / 9);
            let age = age(pair)?;
            ensure!(age < down, "{age:?}, and no take-over");
            least = least.min(age);
        }
        ensure!(least < interval / 2, "never below {least:?}");
        // No more adverts: it grows.
        let lb1 = pair.balancer_mut(0)?.agent.process()?;
        lb1.signal(Signal::SIGSTOP)?;
        let mut oldest = Duration::ZERO;
        wait_for("an old advert", SOON, || {
            let before = SystemTime::now();
            let age = age(pair)?;
            let after = SystemTime::now();
            let received = adverts.received();
            let last = received.last().context("no advert")?.at;
            // While the last one was on its way nothing can be said.
            if let Ok(shortest) = before.duration_since(last)
                && adverts.sent().is_empty()
            {
                let longest = after.duration_since(last)?;
                if age + LATE < shortest || age > longest + LATE {
                    return Err(anyhow::anyhow!("{age:?}, not {shortest:?} to {longest:?}"));
                }
                oldest = oldest.max(age);
            }
            ensure!(oldest > 2 * interval, "{oldest:?}");
            Ok(())
        })?;
        let lb1 = pair.balancer_mut(0)?.agent.process()?;
        lb1.signal(Signal::SIGCONT)?;
        ensure!(pair.wait_until_at_rest()? == 0);
        Ok(())
    });
}

#[test]
fn each_change_of_role_is_counted_and_has_its_reason() {
    on_pair(Setup::new(BALLAST, |index| front(index).track(0)), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let silent = ("backup", "master", "no advert of a master");
        let start = [router(pair, 0)?.transitions, router(pair, 1)?.transitions];
        expect(pair, 0, start[0], silent)?;

        pair.kill_tracked(0)?;
        let fault = ("master", "fault", "something it needs is missing");
        expect(pair, 0, start[0] + 1, fault)?;
        let released = ("backup", "master", "the master gave up its role");
        expect(pair, 1, start[1] + 1, released)?;

        pair.run_tracked(0)?;
        // By way of backup.
        let preempted = ("backup", "master", "the master's priority is lower");
        expect(pair, 0, start[0] + 3, preempted)?;
        let higher = "10.0.0.2 has the higher priority 150";
        expect(pair, 1, start[1] + 2, ("master", "backup", higher))?;

        pair.power_off(0)?;
        expect(pair, 1, start[1] + 3, silent)
    });
}

fn expect(
    pair: &Pair<'_>,
    index: usize,
    transitions: u64,
    (from, to, reason): (&str, &str, &str),
) -> Result<()> {
    let expected = Transition {
        from: from.to_owned(),
        to: to.to_owned(),
        reason: reason.to_owned(),
    };
    wait_for(&format!("lb{}: {expected:?}", index + 1), SOON, || {
        let router = router(pair, index)?;
        ensure!(router.transitions == transitions, "{router:?}");
        ensure!(
            router.last_transition.as_ref() == Some(&expected),
            "{router:?}"
        );
        Ok(())
    })?;
    Ok(())
}

/// Of the master's last advert, as the backup has it.
fn age(pair: &Pair<'_>) -> Result<Duration> {
    let router = router(pair, 1)?;
    let age = router.last_advert_age_ms;
    let age = age.with_context(|| format!("no age: {router:?}"))?;
    Ok(Duration::from_millis(age))
}

/// Between the wire and the agent on a busy machine.
const LATE: Duration = Duration::from_millis(150);
