//! NAT through IPVS.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::{Agent, ballast, wait_for_backend},
    client::{Connection, Get},
    lab::Lab,
    netns::Host,
    topology::VIP,
    wait::wait_for,
    web::Web,
};
use serde_json::Value;

use crate::{
    ipvsadm,
    support::{GATEWAY, SOON, Site, WEB_PORT, backends, connect, in_lab, own_vip, web_address},
};

fn config(weights: &[u16], more: &str) -> String {
    format!(
        "datapath: {{ interfaces: [eth0], manage_sysctls: true }}\nservices:\n  \
         - name: web\n    address: {VIP}\n    port: 80\n    forwarding: nat\n{more}    \
         health_check: {{ interval: 500ms, timeout: 2s, retries: 0, tcp: {{}} }}\n    backends:\n{}",
        backends(weights, WEB_PORT)
    )
}

/// A site behind one balancer that has the virtual address.
fn start(lab: &Lab, webs: u8, config: &str) -> Result<(Site, Agent)> {
    let site = Site::new(lab, webs, GATEWAY)?;
    let balancer = site.balancer(lab, "lb1", 2)?;
    own_vip(&balancer)?;
    balancer.sysctl("net.ipv4.ip_forward", 0)?;
    let agent = Agent::start(&balancer, config)?;
    Ok((site, agent))
}

fn forwarding(host: &Host) -> Result<String> {
    Ok(host
        .read("/proc/sys/net/ipv4/ip_forward")?
        .trim()
        .to_owned())
}

#[test]
fn nat_maps_ports_and_follows_health_reload_and_weight() {
    in_lab(|lab| {
        let (mut site, mut agent) = start(lab, 3, &config(&[1, 1, 1], ""))?;
        let balancer = agent.host().clone();
        site.wait_for_answers(&["web1", "web2", "web3"])?;
        ipvsadm::equals_status(&agent)?;
        ensure!(forwarding(&balancer)? == "1", "replies are not forwarded");

        // One dies and comes back.
        site.webs.remove(0).process.kill()?;
        wait_for_backend(&agent, "web", "web1", "down", SOON)?;
        site.wait_for_answers(&["web2", "web3"])?;
        ipvsadm::equals_status(&agent)?;
        let again = Web::start_on(&site.web_hosts[0], WEB_PORT)?;
        site.webs.insert(0, again);
        wait_for_backend(&agent, "web", "web1", "up", SOON)?;
        site.wait_for_answers(&["web1", "web2", "web3"])?;

        // Weight 0: no new connections; another scheduler at the same time.
        agent.write_config(&config(&[1, 0, 2], "    scheduler: wrr\n"))?;
        agent.reload()?;
        site.all_answer(&["web1", "web3"])?;
        wait_for_backend(&agent, "web", "web2", "no_new_flows", SOON)?;
        ipvsadm::equals_status(&agent)?;
        let table = ipvsadm::table(&balancer)?;
        ensure!(table.keys().any(|name| name.ends_with(" wrr")), "{table:?}");

        agent.stop()?;
        ensure!(ipvsadm::table(&balancer)?.is_empty(), "something is left");
        ensure!(forwarding(&balancer)? == "0", "the sysctl was not restored");
        Ok(())
    });
}

#[test]
fn the_operator_drains_weighs_and_disables_and_a_lost_quorum_has_a_fallback() {
    in_lab(|lab| {
        let more = format!(
            "    quorum: {{ up: 2 }}\n    fallback: {{ address: {}, port: {WEB_PORT} }}\n",
            web_address(3)
        );
        let (site, agent) = start(lab, 3, &config(&[1, 1], &more))?;
        let backend = |words: &[&str]| -> Result<()> {
            let args = [&["backend"], words].concat();
            let output = agent.ballast(&args)?;
            ensure!(output.status.success(), "{output:?}");
            ipvsadm::equals_status(&agent)
        };
        site.wait_for_answers(&["web1", "web2"])?;

        // Drained, it keeps the connection it has; the other one is worth two by itself.
        let open = Get::new((VIP, 80)).limit(SOON);
        let mut connections = Vec::new();
        for _ in 0..20 {
            connections.push(site.client.run(|| Connection::open(&open))?);
        }
        backend(&["weight", "web", "web1", "2"])?;
        backend(&["drain", "web", "web2"])?;
        site.all_answer(&["web1"])?;
        let mut served = BTreeSet::new();
        for mut connection in connections {
            connection.request()?;
            served.insert(connection.finish()?.server);
        }
        ensure!(
            served.len() == 2,
            "open connections were served by {served:?}"
        );

        // Below quorum, the fallback has it.
        backend(&["disable", "web", "web1"])?;
        site.all_answer(&["web3"])?;
        let status = agent.status()?;
        let fallback = &status["services"][0]["fallback"];
        ensure!(fallback["serves"] == true, "{fallback}");
        for name in ["web1", "web2"] {
            backend(&["enable", "web", name])?;
        }
        site.wait_for_answers(&["web1", "web2"])
    });
}

#[test]
fn counters_of_nat_backends_are_in_status() {
    in_lab(|lab| {
        let (site, agent) = start(lab, 1, &config(&[1], ""))?;
        site.wait_for_answers(&["web1"])?;
        // IPVS adds its counters up every two seconds.
        wait_for("counters", SOON, || {
            let status = agent.status()?;
            let service = &status["services"][0];
            let backend = &service["backends"][0];
            ensure!(
                service["engine"] == "ipvs" && service["engine_reason"] == "nat is IPVS's",
                "{service}"
            );
            for row in [service, backend] {
                ensure!(row["new_flows"].as_u64() >= Some(12), "{row}");
                ensure!(row["packets"].as_u64() > row["new_flows"].as_u64(), "{row}");
                ensure!(row["bytes"].as_u64() > row["packets"].as_u64(), "{row}");
            }
            ensure!(backend["connections"]["inactive"].is_u64(), "{backend}");
            Ok::<_, anyhow::Error>(())
        })?;
        Ok(())
    });
}

#[test]
fn a_client_beside_the_real_servers_is_masqueraded() {
    in_lab(|lab| {
        // No gateway on the web servers' side matters: the client is their neighbour.
        let more = "    nat: { masquerade: true }\n";
        let (site, mut agent) = start(lab, 1, &config(&[1], more))?;
        let neighbour = lab.host("neighbour")?;
        connect(&site.back, &neighbour, "eth0", [10, 1, 0, 44].into())?;
        neighbour.sh(&format!("ip route add {VIP} via {GATEWAY}"))?;
        wait_for_backend(&agent, "web", "web1", "up", SOON)?;
        let reply = Get::new((VIP, 80)).limit(SOON).send(&neighbour)?;
        ensure!(reply.server == "web1", "{reply:?}");
        let balancer = agent.host().clone();
        let rules = balancer.sh("nft list ruleset")?;
        ensure!(rules.contains("table inet ballast"), "{rules}");

        // As a reload of the host's firewall begins.
        balancer.sh("nft flush ruleset")?;
        wait_for("our rules in a flushed ruleset", SOON, || {
            let rules = balancer.sh("nft list ruleset")?;
            ensure!(rules.contains("table inet ballast"), "{rules}");
            Ok(())
        })?;
        let reply = Get::new((VIP, 80)).limit(SOON).send(&neighbour)?;
        ensure!(reply.server == "web1", "{reply:?}");
        let log = agent.process()?.log();
        ensure!(
            log.matches("somebody removed the rules").count() == 1,
            "{log}"
        );

        agent.stop()?;
        let rules = balancer.sh("nft list ruleset")?;
        ensure!(!rules.contains("ballast"), "{rules}");

        // The settings are as they were: without them masquerading would have no effect.
        let unmanaged = config(&[1], more).replace(", manage_sysctls: true", "");
        agent.write_config(&unmanaged)?;
        let output = ballast(&balancer, agent.config(), &["doctor", "--json"])?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let text = report.to_string();
        ensure!(text.contains("net.ipv4.vs.conntrack is 0"), "{report:#}");
        Ok(())
    });
}

#[test]
fn what_others_put_into_ipvs_stays_and_what_a_crash_left_is_taken_over() {
    in_lab(|lab| {
        let site = Site::new(lab, 2, GATEWAY)?;
        let balancer = site.balancer(lab, "lb1", 2)?;
        own_vip(&balancer)?;
        balancer.sh("ipvsadm -A -t 10.9.9.9:99 -s rr")?;
        balancer.sh("ipvsadm -A -u 10.9.9.9:53 -s lc")?;
        let mut agent = Agent::start(&balancer, &config(&[1, 1], ""))?;
        site.wait_for_answers(&["web1", "web2"])?;
        ensure!(ipvsadm::table(&balancer)?.len() == 3);

        // A crash leaves IPVS forwarding; the next agent changes what is ours.
        agent.kill()?;
        site.all_answer(&["web1", "web2"])?;
        agent.write_config(&config(&[1], ""))?;
        agent.run()?;
        site.all_answer(&["web1"])?;
        agent.stop()?;
        let left: Vec<_> = ipvsadm::table(&balancer)?.into_keys().collect();
        ensure!(
            left == ["tcp 10.9.9.9:99 rr", "udp 10.9.9.9:53 lc"],
            "{left:?}"
        );
        Ok(())
    });
}

#[test]
fn a_service_of_somebody_else_at_our_address_is_left_alone_and_named() {
    in_lab(|lab| {
        let site = Site::new(lab, 1, GATEWAY)?;
        let balancer = site.balancer(lab, "lb1", 2)?;
        own_vip(&balancer)?;
        balancer.sh(&format!("ipvsadm -A -t {VIP}:80 -s rr"))?;
        let mut agent = Agent::start(&balancer, &config(&[1], ""))?;
        let problem = agent.status()?["ipvs"]["problem"].clone();
        ensure!(
            problem.to_string().contains("ballast did not make"),
            "{problem}"
        );
        // Once it is gone, ours comes.
        balancer.sh(&format!("ipvsadm -D -t {VIP}:80"))?;
        site.wait_for_answers(&["web1"])?;
        agent.stop()
    });
}
