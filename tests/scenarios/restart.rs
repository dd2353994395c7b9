//! The data plane does not need its agent, and the agent leaves nothing it was not told to.

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::Forwarding::{DirectRouting, Tunnel},
    client::{Load, Report},
    site::Site,
    wait::wait_for,
};

use crate::support::{PACE, SOON, all_answer, has_xdp, on_site};

#[test]
fn kill_9_and_restart_under_load_lose_nothing() {
    on_site(&[DirectRouting, DirectRouting, Tunnel], |site| {
        let report = interrupted(site, |site| site.agent.kill())?;
        report.all_answered()?;
        // Nothing waited for a retransmission either: the shortest takes 200 ms, a SYN's 1 s.
        ensure!(
            report.longest_gap() < Duration::from_millis(900),
            "{report}"
        );
        Ok(())
    });
}

#[test]
fn a_stop_that_keeps_the_data_path_and_a_start_lose_nothing() {
    on_site(&[DirectRouting, Tunnel], |site| {
        site.agent.kill()?;
        site.agent.flags = vec!["--keep-datapath".to_owned()];
        site.agent.run()?;
        interrupted(site, |site| site.agent.stop())?.all_answered()?;
        ensure!(has_xdp(site)?, "the XDP program is gone");
        Ok(())
    });
}

#[test]
fn a_restart_keeps_the_counters_and_the_program() {
    on_site(&[DirectRouting], |site| {
        all_answer(site, &site.get(), &["web1"])?;
        let before = packets(site)?;
        ensure!(before > 0);
        site.agent.kill()?;
        site.agent.run()?;
        ensure!(packets(site)? >= before, "the counters began anew");
        Ok(())
    });
}

#[test]
fn a_restart_with_another_file_applies_it() {
    on_site(&[DirectRouting, DirectRouting], |site| {
        site.agent.kill()?;
        let mut config = site.config.clone();
        for service in &mut config.services {
            service.backends.remove(0);
        }
        site.agent.write_config(&config.to_string())?;
        site.agent.run()?;
        all_answer(site, &site.get(), &["web2"])?;
        all_answer(site, &site.get6(), &["web2"])
    });
}

#[test]
fn a_stop_leaves_neither_program_nor_pins_nor_socket() {
    on_site(&[DirectRouting], |site| {
        let lb = site.net.lb.host.clone();
        ensure!(has_xdp(site)? && lb.has_path("/sys/fs/bpf/ballast/backend_stats"));
        ensure!(lb.has_path("/run/ballast/ballast.sock"));
        site.agent.stop()?;
        wait_for("the XDP program to go", SOON, || {
            has_xdp(site).map(|has| !has).unwrap_or(false)
        })?;
        let pins = lb.exec(["find", "/sys/fs/bpf", "-mindepth", "1"])?;
        ensure!(pins.is_empty(), "pins are left:\n{pins}");
        ensure!(
            !lb.has_path("/run/ballast/ballast.sock"),
            "the socket is left"
        );
        Ok(())
    });
}

#[test]
fn a_stop_with_keep_datapath_leaves_it_forwarding_and_a_later_stop_removes_it() {
    on_site(&[DirectRouting], |site| {
        site.agent.stop()?;
        site.agent.flags = vec!["--keep-datapath".to_owned()];
        site.agent.run()?;
        site.agent.stop()?;
        all_answer(site, &site.get(), &["web1"])?;
        site.agent.flags.clear();
        site.agent.run()?;
        site.agent.stop()?;
        wait_for("the XDP program to go", SOON, || {
            has_xdp(site).map(|has| !has).unwrap_or(false)
        })?;
        Ok(())
    });
}

#[test]
fn a_second_agent_on_the_same_host_is_refused_and_the_first_goes_on() {
    on_site(&[DirectRouting], |site| {
        let output = site.agent.ballast(&["run"])?;
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        all_answer(site, &site.get(), &["web1"])?;
        site.agent.status()?;
        Ok(())
    });
}

/// Load before, during and after an agent's absence.
fn interrupted(site: &mut Site, take_away: impl FnOnce(&mut Site) -> Result<()>) -> Result<Report> {
    let load = Load::start(&site.net.client.host, &site.get(), PACE);
    load.wait_for_more(100, SOON)?;
    take_away(site)?;
    load.wait_for_more(100, SOON)?;
    site.agent.run()?;
    load.wait_for_more(100, SOON)?;
    load.stop()
}

fn packets(site: &Site) -> Result<u64> {
    let counters = lb_tests::ballast::from_status(&site.agent.status()?)?;
    Ok(counters.values().map(|backend| backend.packets).sum())
}
