//! What the operator says about backends, and what a service does below its quorum.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    ballast::{Config, Forwarding::DirectRouting, wait_for_backend},
    client::{Connection, Load},
    site::Site,
    topology::VIP,
    wait::{pause, wait_for},
    web::Web,
};
use serde_json::Value;

use crate::support::{PACE, SOON, all_answer, in_lab, on_site};

#[test]
fn a_backend_is_drained_under_load_and_no_request_fails() {
    on_site(&[DirectRouting; 3], |site| {
        let load = Load::start(&site.net.client.host, &site.get(), PACE);
        load.wait_for_more(200, SOON)?;
        let said = backend(site, &["drain", "web", "web2"])?;
        ensure!(said == "`web2` of `web` is drained, weight 1\n", "{said:?}");
        let drained = Instant::now();
        load.wait_for_more(400, SOON)?;
        let said = backend(site, &["drain", "web", "web2"])?;
        ensure!(said.contains("is already drained"), "{said:?}");
        let returned = Instant::now();
        backend(site, &["enable", "web", "web2"])?;
        load.wait_for_more(400, SOON)?;
        let report = load.stop()?;
        report.all_answered()?;
        let to_web2 = report
            .outcomes
            .iter()
            .filter(|o| o.result == Ok("web2".to_owned()));
        for outcome in to_web2.clone() {
            ensure!(
                outcome.start < drained || outcome.start + outcome.took > returned,
                "a new connection to a drained backend: {outcome:?}"
            );
        }
        ensure!(
            to_web2.filter(|o| o.start > returned).count() > 50,
            "{report}"
        );
        Ok(())
    });
}

#[test]
fn connections_of_a_drained_backend_stay_and_those_of_a_disabled_one_do_not() {
    on_site(&[DirectRouting; 3], |site| {
        let (mut open, web2) = connections(site, "web2")?;
        backend(site, &["drain", "web", "web2"])?;
        let last = open.pop().context("a connection")?;
        all_on(open, &web2)?;
        backend(site, &["disable", "web", "web2"])?;
        ensure!(all_on(vec![last], &web2).is_err(), "it went on");
        Ok(())
    });
}

#[test]
fn what_is_said_of_one_service_is_said_of_no_other() {
    on_site(&[DirectRouting; 2], |site| {
        backend(site, &["disable", "web", "web1"])?;
        all_answer(site, &site.get(), &["web2"])?;
        all_answer(site, &site.get6(), &["web1", "web2"])?;
        let web1 = &site.agent.status()?["services"][0]["backends"][0];
        ensure!(web1["state"] == "down" && web1["slots"] == 0, "{web1}");
        ensure!(web1["reason"] == "disabled by the operator", "{web1}");
        ensure!(web1["override"]["mode"] == "disabled", "{web1}");
        let said = backend(site, &["drain", "web", "web2"])?;
        ensure!(
            said.contains("warning: no backend of `web` takes"),
            "{said}"
        );
        Ok(())
    });
}

#[test]
fn a_weight_said_at_run_time_is_the_weight_of_the_ring() {
    on_site(&[DirectRouting; 2], |site| {
        backend(site, &["weight", "web", "web1", "3"])?;
        let status = site.agent.status()?;
        let slots = |n: usize| status["services"][0]["backends"][n]["slots"].as_f64();
        let (one, two) = (slots(0).context("slots")?, slots(1).context("slots")?);
        ensure!((2.98..3.02).contains(&(one / two)), "{one} and {two} slots");
        ensure!(
            status["services"][0]["backends"][0]["weight"] == 1,
            "as configured"
        );
        backend(site, &["weight", "web", "web1", "0"])?;
        all_answer(site, &site.get(), &["web2"])?;
        let notes = explain(site)?["notes"].to_string();
        ensure!(
            notes.contains("`web1` gets no new flows: its weight is 0"),
            "{notes}"
        );
        backend(site, &["enable", "web", "web1"])?;
        all_answer(site, &site.get(), &["web1", "web2"])
    });
}

#[test]
fn what_was_said_outlives_reload_crash_and_stop_until_the_backend_is_gone() {
    on_site(&[DirectRouting; 3], |site| {
        backend(site, &["drain", "web", "web2"])?;
        backend(site, &["weight", "web", "web3", "4"])?;
        let since = overridden(site, 1)?["since_unix"].clone();
        let still = |site: &Site, what: &str| -> Result<()> {
            let (web2, web3) = (overridden(site, 1)?, overridden(site, 2)?);
            ensure!(
                web2["mode"] == "drained" && web2["since_unix"] == since,
                "{what}: {web2}"
            );
            ensure!(web3["weight"] == 4, "{what}: {web3}");
            all_answer(site, &site.get(), &["web1", "web3"])
        };
        // Another name is still the same backend.
        let mut config = site.config.clone();
        config.services[0].backends[1].name = "renamed".to_owned();
        config.services[0].backends[0].weight = 2;
        site.reload(config)?;
        still(site, "a reload")?;
        site.agent.kill()?;
        site.agent.run()?;
        still(site, "a crash")?;
        site.agent.stop()?;
        site.agent.run()?;
        still(site, "a stop")?;
        // A file that is refused takes nothing away.
        let config = site.config.clone();
        site.agent.write_config("services: 7\n")?;
        ensure!(site.agent.reload().is_err());
        still(site, "a bad file")?;

        let mut without = config.clone();
        without.services[0].backends.remove(1);
        site.reload(without)?;
        site.reload(config)?;
        ensure!(
            overridden(site, 1)?.is_null(),
            "the new one is not the old one"
        );
        ensure!(overridden(site, 2)?["weight"] == 4);
        all_answer(site, &site.get(), &["web1", "web2", "web3"])
    });
}

#[test]
fn from_its_first_packet_a_restarted_balancer_leaves_out_whom_the_operator_took_out() {
    on_site(&[DirectRouting; 2], |site| {
        backend(site, &["disable", "web", "web1"])?;
        let load = Load::start(&site.net.client.host, &site.get(), PACE);
        for _ in 0..3 {
            load.wait_for_more(50, SOON)?;
            site.agent.kill()?;
            site.agent.run()?;
        }
        load.wait_for_more(50, SOON)?;
        let report = load.stop()?;
        report.all_answered()?;
        ensure!(report.by_server().keys().eq(&["web2"]), "{report}");
        Ok(())
    });
}

#[test]
fn a_broken_file_of_what_was_said_is_reported_and_keeps_nobody_from_starting() {
    on_site(&[DirectRouting; 2], |site| {
        backend(site, &["drain", "web", "web1"])?;
        site.agent.kill()?;
        let lb = site.net.lb.host.clone();
        lb.exec([
            "/bin/sh",
            "-c",
            "echo '{\"version\":1,' > /run/ballast/overrides.json",
        ])?;
        site.agent.run()?;
        let log = site.agent.process()?.log();
        ensure!(
            log.contains("what operators said about backends is lost"),
            "{log}"
        );
        all_answer(site, &site.get(), &["web1", "web2"])?;
        backend(site, &["drain", "web", "web1"])?;
        all_answer(site, &site.get(), &["web2"])
    });
}

#[test]
fn a_name_that_nobody_has_is_refused_with_the_one_that_was_meant() {
    on_site(&[DirectRouting], |site| {
        for (args, expected) in [
            (
                ["drain", "wbe", "web1"],
                "no service is called `wbe`, did you mean `web`?",
            ),
            (
                ["drain", "web", "wbe1"],
                "service `web` has no backend `wbe1`, did you mean `web1`?",
            ),
        ] {
            let output = site.agent.ballast(&[&["backend"], &args[..]].concat())?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.code() == Some(1), "{}", output.status);
            ensure!(said.contains(expected), "{said}");
        }
        all_answer(site, &site.get(), &["web1"])
    });
}

#[test]
fn below_quorum_the_fallback_serves_and_each_command_runs_once() {
    on_quorum_site("", |site| {
        all_answer(site, &site.get(), &["web1", "web2"])?;
        commands(site, &["up"])?;
        site.webs[0].process.kill()?;
        wait_for_backend(&site.agent, "web", "web1", "down", SOON)?;
        all_answer(site, &site.get(), &["web3"])?;
        commands(site, &["up", "down"])?;
        let service = &site.agent.status()?["services"][0];
        ensure!(service["quorum"]["up"] == false, "{service}");
        ensure!(service["fallback"]["serves"] == true, "{service}");
        ensure!(
            service["fallback"]["new_flows"].as_u64() > Some(0),
            "{service}"
        );
        let explained = explain(site)?;
        ensure!(explained["backend"] == "fallback", "{explained}");
        let notes = explained["notes"].to_string();
        ensure!(
            notes.contains("below quorum: weight 1 of 2 serves"),
            "{notes}"
        );
        ensure!(
            notes.contains("`web1` gets no new flows: down: "),
            "{notes}"
        );
        // What a reload does not change is not told again.
        site.agent.reload()?;
        all_answer(site, &site.get(), &["web3"])?;

        site.webs[0] = Web::start(&site.net.webs[0].host)?;
        wait_for_backend(&site.agent, "web", "web1", "up", SOON)?;
        all_answer(site, &site.get(), &["web1", "web2"])?;
        commands(site, &["up", "down", "up"])?;
        // The operator takes a quorum away as well as a failure does.
        backend(site, &["drain", "web", "web2"])?;
        all_answer(site, &site.get(), &["web3"])?;
        commands(site, &["up", "down", "up", "down"])
    });
}

#[test]
fn with_weight_zero_a_failed_backend_gets_no_new_connections_and_keeps_those_it_has() {
    on_quorum_site("on_failure: weight_zero", |site| {
        let (open, web1) = connections(site, "web1")?;
        // It serves on, but what its check asks for is gone.
        site.net.webs[0].host.exec(["rm", &alive(site, 0)])?;
        wait_for_backend(&site.agent, "web", "web1", "no_new_flows", SOON)?;
        all_answer(site, &site.get(), &["web3"])?;
        all_on(open, &web1)
    });
}

/// Open connections, some of them to this backend: only those, and its name.
fn connections(site: &Site, name: &str) -> Result<(Vec<Connection>, String)> {
    let get = site.get().path("/big").limit(SOON);
    let mut open = Vec::new();
    for port in 20_000..20_040 {
        let client = SocketAddr::from((site.net.client.v4, port));
        let flow = (client.ip(), client.port());
        let explained = site.agent.explain(flow, (VIP.into(), 80))?;
        if explained["backend"] == name && open.len() < 3 {
            let get = get.clone().from(client);
            open.push(site.net.client.host.run(|| Connection::open(&get))?);
        }
    }
    ensure!(open.len() == 3, "{} of 40 flows go to {name}", open.len());
    Ok((open, name.to_owned()))
}

/// Makes a request on each, and expects that one to answer.
fn all_on(connections: Vec<Connection>, name: &str) -> Result<()> {
    for mut connection in connections {
        connection.request()?;
        let reply = connection.finish()?;
        ensure!(
            reply.status == 200 && reply.server == name,
            "{}",
            reply.server
        );
    }
    Ok(())
}

/// `web1` and `web2` with a quorum of both; `web3` is the fallback.
fn on_quorum_site(more: &str, body: impl FnOnce(&mut Site) -> Result<()>) {
    in_lab(|lab| {
        let mut site = Site::prepare(lab, &[DirectRouting; 3])?;
        let mut service = site.config.services.remove(0).health_check(CHECK);
        let fallback = service.backends.remove(2);
        service = service
            .yaml(&format!(
                "quorum: {{ up: 2, on_up: {}, on_down: {} }}",
                note("up"),
                note("down")
            ))
            .yaml(&format!(
                "fallback: {{ address: {}, port: 80 }}",
                fallback.address
            ));
        if !more.is_empty() {
            service = service.yaml(more);
        }
        site.config = Config::on(&["eth0"]).service(service);
        site.agent.write_config(&site.config.to_string())?;
        for index in 0..site.webs.len() {
            std::fs::write(alive(&site, index), "")?;
        }
        site.agent.run()?;
        body(&mut site)
    });
}

/// What the checks ask a web server for.
fn alive(site: &Site, index: usize) -> String {
    let root = site.net.webs[index].host.dir().join("nginx-80");
    root.join("alive").display().to_string()
}

fn note(word: &str) -> String {
    format!("[/bin/sh, -c, \"echo {word} >> {NOTES}\"]")
}

/// Expects these commands to have run, and no one more to come.
fn commands(site: &Site, expected: &[&str]) -> Result<()> {
    let ran = || site.net.lb.host.read(NOTES).unwrap_or_default();
    let as_expected = || {
        let ran = ran();
        ensure!(
            ran.lines().eq(expected.iter().copied()),
            "{ran:?}, expected {expected:?}"
        );
        Ok(())
    };
    wait_for("the commands of the quorum", SOON, as_expected)?;
    pause(std::time::Duration::from_millis(100));
    as_expected()
}

/// `ballast backend …`, and what it prints.
fn backend(site: &Site, args: &[&str]) -> Result<String> {
    let output = site.agent.ballast(&[&["backend"], args].concat())?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{args:?}: {stderr}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What was said of a backend of the first service, as `status` has it.
fn overridden(site: &Site, index: usize) -> Result<Value> {
    let status = site.agent.status()?;
    Ok(status["services"][0]["backends"][index]["override"].clone())
}

fn explain(site: &Site) -> Result<Value> {
    let client = (site.net.client.v4.into(), 40_000);
    site.agent.explain(client, (VIP.into(), 80))
}

const CHECK: &str = "{ interval: 200ms, timeout: 100ms, retries: 1, retry_delay: 50ms, http: { paths: [{ path: /alive }] } }";
/// In the balancer's own `/run`.
const NOTES: &str = "/run/quorum";
