//! What is tracked decides who is master.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    lab,
    netns::Host,
    pair::{Pair, Setup},
    vrrp::Adverts,
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, front, on_pair, router};

#[test]
fn a_tracked_process_with_a_weight_changes_the_priority_and_status_says_why() {
    let setup = Setup::new(BALLAST, |index| {
        front(index).priority(101 - u8::from(index == 1)).track(2)
    });
    on_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let before = router(pair, 0)?;
        ensure!(before.effective_priority == 103, "{before:?}");
        pair.kill_tracked(0)?;
        pair.wait_for_master(1, SOON)?;
        let after = router(pair, 0)?;
        ensure!(after.effective_priority == 101, "{after:?}");
        ensure!(before.reasons != after.reasons, "{after:?}");
        // Dead on both: the first has the address again.
        pair.kill_tracked(1)?;
        pair.wait_for_master(0, SOON)
    });
}

#[test]
fn a_script_that_fails_or_hangs_moves_the_address_and_is_cut_at_its_timeout() {
    let scripts = format!(
        "scripts:\n  - {{ name: check, command: [{CHECK}], interval: 200ms, timeout: 300ms, rise: 2, fall: 2 }}\n"
    );
    let setup = Setup::new(BALLAST, |index| {
        front(index).yaml("track: { scripts: [check] }")
    });
    in_pair(setup.yaml(&scripts), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let lb1 = pair.net.lbs[0].host.clone();
        for trouble in ["/run/lab-fail", "/run/lab-hang"] {
            lb1.sh(&format!("touch {trouble}"))?;
            pair.wait_for_master(1, SOON)?;
            pair.wait_for_state(0, "fault", SOON)?;
            lb1.sh(&format!("rm {trouble}"))?;
            pair.wait_for_master(0, SOON)?;
        }
        // Nothing of those that hung is left.
        wait_for("the scripts to be gone", SOON, || {
            let left = lb1.output(["pgrep", "-x", "sleep"])?;
            ensure!(left.stdout.is_empty(), "{:?}", left.stdout);
            Ok(())
        })?;
        Ok(())
    });
}

#[test]
fn a_file_with_a_number_changes_the_priority() {
    let setup = Setup::new(BALLAST, |index| {
        front(index).yaml("track: { files: [{ path: /run/maintenance, weight: -50 }] }")
    });
    in_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let lb1 = pair.net.lbs[0].host.clone();
        let set = |number: &str| lb1.run(|| Ok(fs::write("/run/maintenance", number)?));
        set("2")?;
        pair.wait_for_master(1, SOON)?;
        ensure!(router(pair, 0)?.effective_priority == 50);
        set("0")?;
        pair.wait_for_master(0, SOON)
    });
}

#[test]
fn a_second_interface_without_a_link_is_a_fault_at_once() {
    with_uplink(0, |pair| {
        let lb1 = pair.net.lbs[0].host.clone();
        let mut took = Vec::new();
        for _ in 0..FLAPS {
            pair.wait_for_master(0, SOON)?;
            pair.wait_for_state(0, "master", SOON)?;
            pair.wait_for_state(1, "backup", SOON)?;
            let adverts = Adverts::of(&pair.net.lbs[0])?;
            let cut = SystemTime::now();
            lb1.sh("ip link set cable down")?;
            pair.wait_for_master(1, SOON)?;
            pair.wait_for_state(0, "fault", SOON)?;
            let sent = adverts.sent();
            let release = sent.iter().find(|advert| advert.priority == 0);
            let release = release.context("it did not give up its role")?;
            took.push(release.at.duration_since(cut)?);
            let why = router(pair, 0)?.reasons.to_string();
            ensure!(why.contains("eth1"), "{why}");
            lb1.sh("ip link set cable up")?;
        }
        pair.wait_for_master(0, SOON)?;
        took.sort_unstable();
        // Who asks once a second would need half a second for most of them.
        let median = took[FLAPS / 2];
        eprintln!("a fault after {took:.1?}");
        ensure!(median < AT_ONCE, "{took:?}");
        Ok(())
    });
}

#[test]
fn a_second_interface_with_a_weight_changes_the_priority() {
    with_uplink(-60, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let lb1 = pair.net.lbs[0].host.clone();
        lb1.sh("ip link set cable down")?;
        pair.wait_for_master(1, SOON)?;
        pair.wait_for_state(0, "backup", SOON)?;
        let lower = router(pair, 0)?;
        ensure!(lower.effective_priority == 90, "{lower:?}");
        ensure!(lower.reasons.to_string().contains("eth1"), "{lower:?}");
        lb1.sh("ip link set cable up")?;
        pair.wait_for_master(0, SOON)?;
        let higher = router(pair, 0)?;
        ensure!(higher.effective_priority == 150, "{higher:?}");
        Ok(())
    });
}

/// A pair whose first balancer tracks `eth1`, on which no virtual router speaks; `cable` is its other end.
fn with_uplink(weight: i16, body: impl FnOnce(&mut Pair<'_>) -> Result<()>) {
    let track = format!("track: {{ interfaces: [{{ name: eth1, weight: {weight} }}] }}");
    let setup = Setup::new(BALLAST, |index| match index {
        0 => front(0).yaml(&track),
        _ => front(1),
    });
    lab::test(&[], |lab| {
        let mut pair = Pair::prepare(lab, setup)?;
        let lb1 = pair.net.lbs[0].host.clone();
        lb1.sh("ip link add eth1 type veth peer name cable")?;
        lb1.sh("ip link set eth1 up")?;
        lb1.sh("ip link set cable up")?;
        pair.run(0)?;
        pair.run(1)?;
        body(&mut pair)
    });
}

/// A pair with the program [`CHECK`] on both balancers.
fn in_pair(setup: Setup, body: impl FnOnce(&mut Pair<'_>) -> Result<()>) {
    lab::test(&[], |lab| {
        let mut pair = Pair::prepare(lab, setup)?;
        for index in [0, 1] {
            install(&pair.net.lbs[index].host)?;
            pair.run(index)?;
        }
        body(&mut pair)
    });
}

fn install(host: &Host) -> Result<()> {
    let script = "#!/bin/sh\n[ ! -e /run/lab-hang ] || sleep 60\n[ ! -e /run/lab-fail ]\n";
    host.run(|| {
        fs::write(CHECK, script)?;
        fs::write("/run/maintenance", "0")?;
        Ok(fs::set_permissions(
            CHECK,
            fs::Permissions::from_mode(0o700),
        )?)
    })
}

const CHECK: &str = "/run/lab-check";
const FLAPS: usize = 5;
/// Many times what an event takes.
const AT_ONCE: Duration = Duration::from_millis(200);
