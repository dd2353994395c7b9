//! From a real server's death until it gets no new connection, and from its start until it does again:
//! beside keepalived's checker, which needs IPVS as we do here.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::Agent,
    netns::Host,
    process::command,
    topology::VIP,
    wait::{pause, wait_for},
    web::Web,
};

use crate::support::{GATEWAY, SOON, Site, WEB_PORT, in_lab, own_vip, web_address};

/// Deaths with each of the two, spread over the checks' interval.
const DEATHS: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(1);
const RETRY_DELAY: Duration = Duration::from_secs(1);

#[test]
fn a_dead_server_leaves_about_as_soon_as_with_keepaliveds_checker() {
    in_lab(|lab| {
        let mut site = Site::new(lab, 2, GATEWAY)?;
        let balancer = site.balancer(lab, "lb1", 2)?;
        own_vip(&balancer)?;
        balancer.sysctl("net.ipv4.ip_forward", 1)?;

        // Each death has an agent of its own: one that dies so often is held back by damping.
        let mut ours = Times::default();
        let mut agent = Agent::prepare(&balancer, &ballast())?;
        for number in 0..DEATHS {
            agent.run()?;
            ours.add(&mut site, &balancer, number)?;
            agent.stop()?;
        }

        let file = balancer.dir().join("keepalived.conf");
        fs::write(&file, keepalived())?;
        let mut line = command("keepalived", ["--dont-fork", "--check", "--log-console"]);
        line.arg("--use-file").arg(&file);
        let mut process = balancer.spawn("keepalived", line)?;
        let mut theirs = Times::default();
        for number in 0..DEATHS {
            theirs.add(&mut site, &balancer, number)?;
        }
        process.stop(SOON)?;

        println!(
            "checks every {INTERVAL:?}, one retry after {RETRY_DELAY:?}; {DEATHS} deaths each"
        );
        println!(
            "{:12} {:>12} {:>12} {:>12} {:>12}",
            "", "gone: p50", "max", "back: p50", "max"
        );
        for (name, times) in [("Ballast", &ours), ("keepalived", &theirs)] {
            let [gone, back] = [&times.gone, &times.back];
            println!(
                "{name:12} {:>12.2?} {:>12.2?} {:>12.2?} {:>12.2?}",
                median(gone),
                worst(gone),
                median(back),
                worst(back)
            );
        }
        // An emulated machine stalls as it likes: many times what is promised.
        let limit = 5 * (INTERVAL + RETRY_DELAY);
        ensure!(worst(&ours.gone) <= limit, "{:?}", ours.gone);
        ensure!(worst(&ours.back) <= limit, "{:?}", ours.back);
        Ok(())
    });
}

/// How long it took, shortest first.
#[derive(Debug, Default)]
struct Times {
    gone: Vec<Duration>,
    back: Vec<Duration>,
}

impl Times {
    /// `web1` dies and returns under whatever runs on `balancer`.
    fn add(&mut self, site: &mut Site, balancer: &Host, number: u32) -> Result<()> {
        wait_until(balancer, true)?;
        pause(INTERVAL + INTERVAL * (2 * number + 1) / (2 * DEATHS));
        let mut web = site.webs.remove(0);
        let killed = Instant::now();
        web.process.kill()?;
        wait_until(balancer, false)?;
        self.gone.push(killed.elapsed());
        let again = Web::start_on(&site.web_hosts[0], WEB_PORT)?;
        let started = Instant::now();
        site.webs.insert(0, again);
        wait_until(balancer, true)?;
        self.back.push(started.elapsed());
        self.gone.sort_unstable();
        self.back.sort_unstable();
        Ok(())
    }
}

fn median(times: &[Duration]) -> Duration {
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn worst(times: &[Duration]) -> Duration {
    times.last().copied().unwrap_or_default()
}

/// Waits until IPVS has `web1`, or has not, by the kernel's own list.
fn wait_until(balancer: &Host, there: bool) -> Result<()> {
    let line = format!("{:08X}:{WEB_PORT:04X}", u32::from(web_address(1)));
    let what = format!("web1 to be {} IPVS", if there { "in" } else { "out of" });
    wait_for(&what, SOON, || {
        let table = balancer.sh("cat /proc/net/ip_vs")?;
        let row = table.lines().find(|row| row.contains(&line));
        // Weight 0 is out, too.
        let serves = row.is_some_and(|row| row.split_whitespace().nth(3) != Some("0"));
        ensure!(serves == there, "{table}");
        Ok(())
    })?;
    Ok(())
}

fn ballast() -> String {
    let (interval, retry) = (INTERVAL.as_secs(), RETRY_DELAY.as_secs());
    let checks = format!(
        "{{ interval: {interval}s, timeout: 1s, retries: 1, retry_delay: {retry}s, tcp: {{}} }}"
    );
    format!(
        "datapath: {{ interfaces: [eth0] }}\nservices:\n  - name: web\n    address: {VIP}\n    port: 80\n    \
         forwarding: nat\n    scheduler: rr\n    health_check: {checks}\n    backends:\n{}",
        crate::support::backends(&[1, 1], WEB_PORT)
    )
}

fn keepalived() -> String {
    let (interval, retry) = (INTERVAL.as_secs(), RETRY_DELAY.as_secs());
    let servers: String = (1..=2)
        .map(|n| {
            format!(
                "  real_server {} {WEB_PORT} {{\n    weight 1\n    TCP_CHECK {{\n      connect_timeout 1\n      \
                 retry 1\n      delay_before_retry {retry}\n    }}\n  }}\n",
                web_address(n)
            )
        })
        .collect();
    format!(
        "virtual_server {VIP} 80 {{\n  delay_loop {interval}\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n{servers}}}\n"
    )
}
