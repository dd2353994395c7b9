//! Checks decide who gets new connections.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::{
        Config,
        Forwarding::{DirectRouting, Tunnel},
        wait_for_backend,
    },
    client::Load,
    pair::Setup,
    site::Site,
    wait::wait_for,
    web::Web,
};

use crate::support::{BALLAST, PACE, SOON, all_answer, front, in_lab, on_pair, router};

#[test]
fn a_web_server_that_dies_gets_no_new_connections_until_it_is_back() {
    on_checked_site(|site| {
        all_answer(site, &site.get(), &["web1", "web2", "web3"])?;
        let load = Load::start(&site.net.client.host, &site.get(), PACE);
        load.wait_for_more(200, SOON)?;
        let killed = Instant::now();
        site.webs[1].process.kill()?;
        wait_for_backend(&site.agent, "web", "web2", "down", SOON)?;
        wait_for_backend(&site.agent, "web6", "web2", "down", SOON)?;
        let noticed = Instant::now();
        load.wait_for_more(200, SOON)?;
        let report = load.stop()?;
        for lost in report.outcomes.iter().filter(|o| o.result.is_err()) {
            ensure!(lost.start < noticed, "lost after it was noticed: {lost:?}");
            ensure!(lost.start + lost.took >= killed, "lost before: {lost:?}");
        }
        ensure!(
            noticed - killed < LIMIT,
            "noticed after {:?}",
            noticed - killed
        );
        all_answer(site, &site.get(), &["web1", "web3"])?;
        all_answer(site, &site.get6(), &["web1", "web3"])?;

        site.webs[1] = Web::start(&site.net.webs[1].host)?;
        wait_for_backend(&site.agent, "web", "web2", "up", SOON)?;
        all_answer(site, &site.get(), &["web1", "web2", "web3"])
    });
}

#[test]
fn a_reload_keeps_what_checks_have_found() {
    on_checked_site(|site| {
        site.webs[0].process.kill()?;
        wait_for_backend(&site.agent, "web", "web1", "down", SOON)?;
        let down_for = || -> Result<u64> {
            let status = site.agent.status()?;
            let health = &status["services"][0]["backends"][0]["health"];
            ensure!(health["state"] == "down", "{health}");
            Ok(health["for_seconds"].as_u64().unwrap_or_default())
        };
        wait_for("a second to pass", SOON, || {
            ensure!(down_for()? >= 1);
            Ok(())
        })?;
        for weight in [2, 3, 4] {
            let mut config = site.config.clone();
            config.services[0].backends[2].weight = weight;
            site.agent.write_config(&config.to_string())?;
            site.agent.reload()?;
            ensure!(down_for()? >= 1, "it counts from the start again");
            all_answer(site, &site.get(), &["web2", "web3"])?;
        }
        Ok(())
    });
}

#[test]
fn a_router_that_tracks_a_service_gives_way_when_it_is_below_quorum() {
    let setup = Setup::new(BALLAST, |index| {
        let router = front(index);
        if index == 0 {
            router.yaml("track: { services: [{ name: web, weight: -60 }] }")
        } else {
            router
        }
    })
    .web(&[DirectRouting])
    .check(CHECK);
    on_pair(setup, |pair| {
        pair.wait_for_state(0, "master", SOON)?;
        pair.webs[0].process.kill()?;
        pair.wait_for_state(1, "master", SOON)?;
        let lb1 = router(pair, 0)?;
        ensure!(lb1.effective_priority == 90, "{lb1:?}");
        ensure!(
            lb1.reasons
                .to_string()
                .contains("service web below quorum: -60"),
            "{lb1:?}"
        );
        pair.webs[0] = Web::start(&pair.net.webs[0].host)?;
        pair.wait_for_state(0, "master", SOON)
    });
}

fn on_checked_site(body: impl FnOnce(&mut Site) -> Result<()>) {
    in_lab(|lab| {
        let mut site = Site::prepare(lab, &[DirectRouting, DirectRouting, Tunnel])?;
        let services = std::mem::take(&mut site.config.services);
        let checked = services.into_iter().map(|one| one.health_check(CHECK));
        site.config = checked.fold(Config::on(&["eth0"]), Config::service);
        site.agent.write_config(&site.config.to_string())?;
        site.agent.run()?;
        body(&mut site)
    });
}

/// Dead 0.2 s after the failed attempt, which begins 0.2 s after the death at the latest.
const CHECK: &str = "{ interval: 200ms, timeout: 100ms, retries: 1, retry_delay: 50ms, http: { paths: [{ path: / }] } }";
/// Ten times what it takes: machines stall.
const LIMIT: Duration = Duration::from_secs(5);
