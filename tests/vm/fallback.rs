//! Direct routing and tunnel with one file: by XDP, then by IPVS; the tunnel ends in the kernel's own
//! ipip device.

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::{Agent, wait_for_backend},
    lab::Lab,
    netns::Host,
    realserver,
    topology::{Network, VIP},
    wait::wait_for,
    web::Web,
};

use crate::{
    ipvsadm,
    support::{SOON, Site, connect, in_lab, own_vip},
};

/// One network: a client, a balancer, `web1` by direct routing, `web2` through a tunnel.
fn site(lab: &Lab) -> Result<(Site, Host)> {
    let front = Network::new(lab, "front")?;
    let client = lab.host("client")?;
    connect(&front, &client, "eth0", [10, 0, 0, 44].into())?;
    let balancer = lab.host("lb1")?;
    connect(&front, &balancer, "eth0", [10, 0, 0, 2].into())?;
    own_vip(&balancer)?;
    let mut site = Site {
        back: front.clone(),
        front,
        client,
        webs: Vec::new(),
        web_hosts: Vec::new(),
    };
    for n in 1..=2u8 {
        let host = lab.host(&format!("web{n}"))?;
        connect(&site.front, &host, "eth0", [10, 0, 0, 100 + n].into())?;
        realserver::direct_routing(&host, &[VIP.into()])?;
        if n == 2 {
            // The device that takes every IP-in-IP packet comes with the module.
            host.sh("modprobe ipip")?;
            host.sh("ip link set tunl0 up")?;
            for scope in ["all", "tunl0"] {
                host.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), 0)?;
            }
        }
        site.webs.push(Web::start(&host)?);
        site.web_hosts.push(host);
    }
    Ok((site, balancer))
}

fn config(engine: &str) -> String {
    format!(
        "datapath: {{ interfaces: [eth0], engine: {engine} }}\nservices:\n  \
         - name: web\n    address: {VIP}\n    port: 80\n    health_check: none\n    backends:\n      \
         - {{ name: web1, address: 10.0.0.101 }}\n      \
         - {{ name: web2, address: 10.0.0.102, forwarding: tunnel }}\n"
    )
}

#[test]
fn the_same_file_serves_by_xdp_and_by_ipvs() {
    in_lab(|lab| {
        let (site, balancer) = site(lab)?;
        for engine in ["auto", "ipvs"] {
            let mut agent = Agent::start(&balancer, &config(engine))?;
            for web in ["web1", "web2"] {
                wait_for_backend(&agent, "web", web, "up", SOON)?;
            }
            site.wait_for_answers(&["web1", "web2"])?;
            let expected = if engine == "ipvs" { "ipvs" } else { "xdp" };
            // IPVS adds its counters up every two seconds.
            wait_for("counters of both", SOON, || {
                let service = agent.status()?["services"][0].clone();
                ensure!(service["engine"] == expected, "{service}");
                for backend in ipvsadm::list(&service["backends"]) {
                    ensure!(backend["packets"].as_u64() > Some(0), "{backend}");
                    ensure!(backend["new_flows"].as_u64() > Some(0), "{backend}");
                }
                Ok::<_, anyhow::Error>(())
            })?;
            ipvsadm::equals_status(&agent)?;
            agent.stop()?;
        }
        Ok(())
    });
}

#[test]
fn auto_falls_back_to_ipvs_and_says_why() {
    in_lab(|lab| {
        let (site, balancer) = site(lab)?;
        // Somebody else's program keeps ours off the interface.
        let _busy = balancer.run(|| lb_tests::topology::attach_xdp_pass("eth0"))?;
        let mut agent = Agent::start(&balancer, &config("auto"))?;
        site.wait_for_answers(&["web1", "web2"])?;
        let status = agent.status()?;
        let reason = ipvsadm::text(&status["ipvs"]["instead_of_xdp"]).to_owned();
        ensure!(reason.contains("another XDP program"), "{reason}");
        ensure!(status["services"][0]["engine"] == "ipvs", "{status:#}");
        ipvsadm::equals_status(&agent)?;
        agent.stop()
    });
}
