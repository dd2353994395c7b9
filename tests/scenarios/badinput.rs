//! What cannot work is refused with a message that names it and the documented exit code, and
//! nothing stays half attached.

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::{Agent, Backend, Config, Forwarding::DirectRouting, Service, ballast},
    netns::Host,
    site::Site,
    topology::{OneLb, VIP, one_lb},
};

use crate::support::{SOON, all_answer, in_lab};

#[test]
fn a_missing_interface_is_named() {
    in_lab(|lab| {
        let net = one_lb(lab, 1)?;
        let mut config = config(&net);
        config.interfaces = vec!["eth7".to_owned()];
        fails_to_start(&net.lb.host, &config, 1, &["eth7"])
    });
}

#[test]
fn an_interface_missing_among_others_leaves_none_attached() {
    in_lab(|lab| {
        let net = one_lb(lab, 1)?;
        let mut config = config(&net);
        config.interfaces = vec!["eth0".to_owned(), "eth7".to_owned()];
        fails_to_start(&net.lb.host, &config, 1, &["eth7"])
    });
}

#[test]
fn a_foreign_xdp_program_is_named_and_not_replaced() {
    in_lab(|lab| {
        let mut site = Site::prepare(lab, &[DirectRouting])?;
        let foreign = site
            .net
            .lb
            .host
            .run(|| lb_tests::topology::attach_xdp_pass("eth0"))?;
        let status = site.agent.run_unready()?.wait(SOON)?;
        let log = site.agent.process()?.log();
        assert_eq!(status.code(), Some(1), "{log}");
        ensure!(
            log.contains("eth0") && log.contains("lab_pass"),
            "not named: {log}"
        );
        let link = site.net.lb.host.sh("ip -details link show eth0")?;
        ensure!(
            link.contains("lab_pass"),
            "the foreign program is gone: {link}"
        );
        nothing_pinned(&site.net.lb.host)?;

        drop(foreign);
        site.agent.run()?;
        all_answer(&site, &site.get(), &["web1"])
    });
}

#[test]
fn a_host_without_bpffs_is_told_how_to_mount_it() {
    in_lab(|lab| {
        let net = one_lb(lab, 1)?;
        net.lb.host.sh("umount /sys/fs/bpf")?;
        let expected = ["/sys/fs/bpf", "mount -t bpf"];
        fails_to_start(&net.lb.host, &config(&net), 1, &expected)
    });
}

#[test]
fn an_unreachable_backend_is_shown_and_does_not_stop_the_others() {
    in_lab(|lab| {
        let mut site = Site::prepare(lab, &[DirectRouting])?;
        let mut config = site.config.clone();
        let absent = Backend::new("absent", [10, 0, 0, 77], DirectRouting);
        config.services[0].backends.push(absent);
        site.agent.write_config(&config.to_string())?;
        site.agent.run()?;
        all_answer(&site, &site.get(), &["web1"])?;
        let status = site.agent.status()?.to_string();
        ensure!(status.contains("absent"), "{status}");
        Ok(())
    });
}

#[test]
fn without_root_the_exit_code_says_not_permitted() {
    in_lab(|lab| {
        let net = one_lb(lab, 1)?;
        let agent = Agent::prepare(&net.lb.host, &config(&net).to_string())?;
        net.lb
            .host
            .exec(["chmod", "-R", "a+rX", &lab.dir().display().to_string()])?;
        let binary = lb_tests::ballast::binary()?.display().to_string();
        // The build directory may be below one that only root enters: run a copy.
        let copy = net.lb.host.dir().join("ballast").display().to_string();
        std::fs::copy(&binary, &copy)?;
        let config = agent.config().display().to_string();
        let nobody = ["setpriv", "--reuid=65534", "--clear-groups", "--"];
        let line: Vec<&str> = nobody
            .into_iter()
            .chain([copy.as_str(), "run", "-c", config.as_str()])
            .collect();
        let output = net.lb.host.output(line)?;
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{message}");
        Ok(())
    });
}

#[test]
fn commands_without_an_agent_say_so() {
    in_lab(|lab| {
        let host = lab.host("lb1")?;
        let config = host.dir().join("none.yaml");
        for command in [&["status"][..], &["reload"]] {
            let output = ballast(&host, &config, command)?;
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(5), "{command:?}: {message}");
        }
        Ok(())
    });
}

#[test]
fn a_config_that_cannot_be_read_or_is_wrong_has_its_own_code() {
    in_lab(|lab| {
        let host = lab.host("lb1")?;
        let missing = host.dir().join("missing.yaml");
        assert_eq!(ballast(&host, &missing, &["run"])?.status.code(), Some(3));
        let wrong = host.dir().join("wrong.yaml");
        std::fs::write(&wrong, "services: 7\n")?;
        let output = ballast(&host, &wrong, &["run"])?;
        assert_eq!(output.status.code(), Some(1));
        ensure!(
            String::from_utf8_lossy(&output.stderr).contains("wrong.yaml:1:11"),
            "{output:?}"
        );
        assert_eq!(
            ballast(&host, &wrong, &["frobnicate"])?.status.code(),
            Some(2)
        );
        Ok(())
    });
}

fn config(net: &OneLb) -> Config {
    let web = Backend::new("web1", net.webs[0].v4, DirectRouting);
    Config::on(&["eth0"]).service(Service::new("web", VIP, 80).backend(web))
}

/// Starts an agent that must end with `code`, naming `words`, with nothing attached or pinned.
fn fails_to_start(host: &Host, config: &Config, code: i32, words: &[&str]) -> Result<()> {
    let mut agent = Agent::prepare(host, &config.to_string())?;
    let status = agent.run_unready()?.wait(SOON)?;
    let log = agent.process()?.log();
    assert_eq!(status.code(), Some(code), "{log}");
    for word in words {
        ensure!(log.contains(word), "no `{word}` in: {log}");
    }
    ensure!(
        !host.sh("ip -details link show eth0")?.contains("xdp"),
        "XDP stays attached"
    );
    nothing_pinned(host)
}

fn nothing_pinned(host: &Host) -> Result<()> {
    let pins = host.exec(["find", "/sys/fs/bpf", "-mindepth", "1"])?;
    ensure!(pins.is_empty(), "pins are left:\n{pins}");
    Ok(())
}
