//! Large configurations.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    ballast::{Backend, Forwarding::DirectRouting, Service},
    netns::Host,
};

use crate::support::on_site;

const SERVICES: u16 = 1000;
const BACKENDS: u16 = 10;

/// What is promised; a test allows three times as much, for machines that stall.
const START: Duration = Duration::from_secs(3);
const CHANGE: Duration = Duration::from_millis(50);
const SCRAPE: Duration = Duration::from_millis(200);

#[test]
fn a_thousand_services_load_in_seconds_and_one_change_applies_in_milliseconds() {
    on_site(&[DirectRouting], |site| {
        // All of 10.128/16 is behind the one web server.
        let gateway = site.net.webs[0].v4;
        site.net
            .lb
            .host
            .sh(&format!("ip route add 10.128.0.0/16 via {gateway}"))?;
        let mut config = site.config.clone();
        for n in 0..SERVICES {
            let mut service =
                Service::new(&format!("s{n}"), Ipv4Addr::new(10, 0, 0, 125), 1000 + n);
            for b in 0..BACKENDS {
                let [high, low] = (n * BACKENDS + b).to_be_bytes();
                let address = Ipv4Addr::new(10, 128, high, low);
                service = service.backend(Backend::new(&format!("b{b}"), address, DirectRouting));
            }
            config.services.push(service);
        }
        config.extra = "observability: { listen: 127.0.0.1:9191 }\n".to_owned();
        site.agent.stop()?;
        site.agent.write_config(&config.to_string())?;
        let started = Instant::now();
        site.agent.run()?;
        let start = started.elapsed();

        let one = config.services.len() / 2;
        config.services[one].backends[3].weight = 7;
        site.agent.write_config(&config.to_string())?;
        site.agent.reload()?;
        let status = site.agent.status()?;
        let change = &status["datapath"]["last_change"];
        let micros = change["microseconds"]
            .as_u64()
            .context("status does not time the change")?;
        let change_took = Duration::from_micros(micros);
        println!(
            "{SERVICES} services x {BACKENDS}: ready in {start:?}; {} operations for one backend in {change_took:?}",
            change["operations"]
        );
        // The best of a few: the others' tests run meanwhile.
        let scrapes: Vec<_> = (0..5)
            .map(|_| scrape(&site.net.lb.host))
            .collect::<Result<_>>()?;
        let scrape = scrapes.into_iter().min().context("no scrape")?;
        println!(
            "a scrape of {} backends took {scrape:?}",
            SERVICES * BACKENDS
        );
        ensure!(scrape < 3 * SCRAPE, "a scrape took {scrape:?}");
        ensure!(start < 3 * START, "ready after {start:?}");
        ensure!(change_took < 3 * CHANGE, "one change took {change_took:?}");
        Ok(())
    });
}

/// From the first byte asked to the last one answered.
fn scrape(host: &Host) -> Result<Duration> {
    let took = host.sh("curl -sSf -o /dev/null -w %{time_total} http://127.0.0.1:9191/metrics")?;
    Ok(Duration::from_secs_f64(took.parse()?))
}
