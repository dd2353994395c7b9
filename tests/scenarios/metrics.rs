//! What is told to others: metrics over HTTP, changes by mail and by a program.

use std::{fs, net::Ipv4Addr, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    ballast::{
        Config,
        Forwarding::{DirectRouting, Tunnel},
        wait_for_backend,
    },
    lab,
    mail::MailServer,
    require::Need,
    site::Site,
    wait::wait_for,
    web::Web,
};
use serde_json::Value;

use crate::support::{NEEDS, SOON, all_answer};

#[test]
fn promtool_has_nothing_to_say_about_a_scrape() {
    on_told_site(|site, told| {
        all_answer(site, &site.get(), &["web1", "web2", "web3"])?;
        let metrics = metrics(site)?;
        let file = site.net.lb.host.dir().join("metrics");
        fs::write(&file, &metrics)?;
        let check = format!("promtool check metrics <{} 2>&1", file.display());
        let said = site.net.lb.host.exec(["sh", "-c", &check])?;
        ensure!(said.trim().is_empty(), "{said}");
        let of_forwarding = sample(&metrics, "ballast_backend_packets_total", &["web", "web1"])?;
        ensure!(of_forwarding > 0.0, "{metrics}");
        for reason in ["no_backend", "next_hop_unresolved", "fragment", "too_big"] {
            sample(&metrics, "ballast_xdp_drops_total", &[reason])?;
        }
        wait_for("the virtual router", SOON, || {
            let master = sample(
                &self::metrics(site)?,
                "ballast_vrrp_state",
                &["front", "master"],
            )?;
            ensure!(master == 1.0, "it is no master");
            Ok(())
        })?;
        wait_for("the mail about it", SOON, || {
            let text = told.mails.text();
            ensure!(text.contains("virtual router front is MASTER"), "{text}");
            Ok(())
        })?;
        Ok(())
    });
}

#[test]
fn the_api_says_what_status_prints() {
    on_told_site(|site, _| {
        let steady = |text: &str| -> Result<Value> {
            let mut value: Value = serde_json::from_str(text)?;
            // What moves by itself.
            for key in ["uptime_seconds", "checks", "services"] {
                let place = value.get_mut(key).context("not there")?;
                *place = Value::Null;
            }
            Ok(value)
        };
        let api = curl(site, "/api/status")?;
        let printed = serde_json::to_string_pretty(&site.agent.status()?)?;
        ensure!(
            steady(&api)? == steady(&printed)?,
            "{api}\nis not\n{printed}"
        );
        ensure!(api.ends_with("}\n"), "{api}");
        let refused =
            site.net.lb.host.sh(
                "curl -sS -o /dev/null -w %{http_code} -X POST http://127.0.0.1:9191/metrics",
            )?;
        ensure!(refused == "405", "{refused}");
        Ok(())
    });
}

#[test]
fn a_dead_web_server_is_in_the_metrics_in_a_mail_and_in_the_operators_program() {
    on_told_site(|site, told| {
        let up = |site: &Site, name| {
            let metrics = metrics(site)?;
            sample(&metrics, "ballast_backend_up", &["\"web\"", name])
        };
        ensure!(up(site, "web2")? == 1.0, "it is up");
        site.webs[1].process.kill()?;
        wait_for_backend(&site.agent, "web", "web2", "down", SOON)?;
        wait_for("the metrics to say so", SOON, || {
            ensure!(up(site, "web2")? == 0.0, "web2 is up");
            ensure!(up(site, "web1")? == 1.0, "web1 is down");
            Ok(())
        })?;
        let failed = sample(
            &metrics(site)?,
            "ballast_backend_checks_total",
            &["\"web\"", "web2", "failed"],
        )?;
        ensure!(failed >= 1.0, "{failed} checks failed");

        let mails = &told.mails;
        wait_for("the mail", SOON, || {
            let text = mails.text();
            ensure!(text.contains("DOWN"), "no mail yet: {text}");
            ensure!(text.contains("backend web2 ("), "{text}");
            Ok(())
        })?;
        wait_for("the program", SOON, || {
            let text = fs::read_to_string(&told.program_wrote).unwrap_or_default();
            ensure!(text.contains("backend web2 ("), "not run yet: {text}");
            Ok(())
        })?;

        site.webs[1] = Web::start(&site.net.webs[1].host)?;
        wait_for("the mail that it is back", SOON, || {
            ensure!(mails.text().contains(" is UP: "), "{}", mails.text());
            Ok(())
        })?;
        let sent = sample(&metrics(site)?, "ballast_alerts_sent_total", &["smtp"])?;
        ensure!(sent >= 2.0, "{sent} mails");
        Ok(())
    });
}

#[test]
fn a_listener_moves_with_a_reload_and_one_that_cannot_be_had_stops_nothing() {
    on_told_site(|site, _| {
        let other = site
            .config
            .extra
            .replace("127.0.0.1:9191", "127.0.0.1:9292");
        let mut config = site.config.clone();
        config.extra = other;
        site.agent.write_config(&config.to_string())?;
        site.agent.reload()?;
        let host = &site.net.lb.host;
        wait_for("the new place", SOON, || {
            host.sh("curl -sSf -o /dev/null http://127.0.0.1:9292/metrics")
        })?;
        ensure!(curl(site, "/metrics").is_err(), "the old one still serves");

        // Not an address of this host: clear, visible, and no reason to stop.
        config.extra = site
            .config
            .extra
            .replace("127.0.0.1:9191", "192.0.2.1:9191");
        site.agent.write_config(&config.to_string())?;
        site.agent.reload()?;
        wait_for("the problem to show", SOON, || {
            let status = site.agent.status()?;
            let problem = status["listener"]["problem"].as_str().unwrap_or_default();
            ensure!(problem.contains("does not have that address"), "{status}");
            Ok(())
        })?;
        all_answer(site, &site.get(), &["web1", "web2", "web3"])
    });
}

/// What is told on a site, and where to.
struct Told {
    mails: MailServer,
    /// What the operator's program was called with.
    program_wrote: PathBuf,
}

/// A site with checked backends, a virtual router, a listener, and alerts by both ways.
fn on_told_site(body: impl FnOnce(&mut Site, &Told) -> Result<()>) {
    let needs: Vec<Need> = NEEDS
        .iter()
        .copied()
        .chain([Need::Program("promtool")])
        .collect();
    lab::test(&needs, |lab| {
        let mut site = Site::prepare(lab, &[DirectRouting, DirectRouting, Tunnel])?;
        let host = &site.net.lb.host;
        let told = Told {
            mails: MailServer::start(host, (Ipv4Addr::LOCALHOST, 25).into())?,
            program_wrote: host.dir().join("alerts.txt"),
        };
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {}\n",
            told.program_wrote.display()
        );
        // In the host's own /run, where only root can write.
        host.run(|| {
            fs::write(PROGRAM, &script)?;
            Ok(fs::set_permissions(
                PROGRAM,
                fs::Permissions::from_mode(0o700),
            )?)
        })?;
        let services = std::mem::take(&mut site.config.services);
        let checked = services.into_iter().map(|one| one.health_check(CHECK));
        site.config = checked.fold(Config::on(&["eth0"]), Config::service);
        site.config.extra = EXTRA.to_owned();
        site.agent.write_config(&site.config.to_string())?;
        site.agent.run()?;
        body(&mut site, &told)
    });
}

fn curl(site: &Site, path: &str) -> Result<String> {
    let url = format!("http://127.0.0.1:9191{path}");
    site.net.lb.host.exec(["curl", "-sSf", &url])
}

fn metrics(site: &Site) -> Result<String> {
    curl(site, "/metrics")
}

/// The value of the first series of a metric whose labels have all of these words.
fn sample(metrics: &str, name: &str, words: &[&str]) -> Result<f64> {
    let line = metrics
        .lines()
        .find(|line| {
            let labels = line.strip_prefix(name).unwrap_or_default();
            labels.starts_with(['{', ' ']) && words.iter().all(|word| labels.contains(word))
        })
        .with_context(|| format!("no {name} with {words:?}"))?;
    let value = line.rsplit(' ').next().unwrap_or_default();
    value.parse().with_context(|| line.to_owned())
}

const PROGRAM: &str = "/run/lab-alert";
const EXTRA: &str = "
vrrp_instances:
  - { name: front, interface: eth0, virtual_router_id: 51, version: 3, advertisement_interval: 100ms, virtual_addresses: [172.31.0.1/32] }
observability: { listen: 127.0.0.1:9191 }
alerts:
  smtp: { server: \"127.0.0.1:25\", from: lb@example.com, to: [ops@example.com] }
  command: [/run/lab-alert]
";
const CHECK: &str = "{ interval: 200ms, timeout: 2s, retries: 1, retry_delay: 50ms, http: { paths: [{ path: / }] } }";
