//! A pair of NAT gateways: the address outside and the gateway inside move together, and connections
//! go on (IPVS's own synchronisation).

use std::{fs, net::Ipv4Addr, time::Duration};

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::Agent,
    client::{Connection, Get},
    topology::VIP,
    wait::wait_for,
};

use crate::support::{SOON, Site, WEB_PORT, backends, in_lab};

/// The web servers' way out.
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

fn config(priority: u8) -> String {
    let instance = |name: &str, interface: &str, id: u8, address: Ipv4Addr| {
        format!(
            "  - {{ name: {name}, interface: {interface}, virtual_router_id: {id}, version: 3, priority: {priority}, \
             advertisement_interval: 500ms, virtual_addresses: [{address}/24] }}\n"
        )
    };
    format!(
        "datapath: {{ interfaces: [eth0], manage_sysctls: true }}\nvrrp_instances:\n{}{}\
         vrrp_sync_groups: [{{ name: gateway, members: [outside, inside] }}]\n\
         ipvs: {{ sync: {{ interface: eth1, id: 7 }} }}\nservices:\n  \
         - name: web\n    address: {VIP}\n    port: 80\n    forwarding: nat\n    \
         health_check: none\n    backends:\n{}",
        instance("outside", "eth0", 51, VIP),
        instance("inside", "eth1", 52, INSIDE),
        backends(&[1], WEB_PORT)
    )
}

fn state(agent: &Agent) -> Result<String> {
    Ok(agent.status()?["sync_groups"][0]["state"].to_string())
}

#[test]
fn an_open_download_goes_on_over_a_failover_of_the_gateways() {
    in_lab(|lab| {
        let site = Site::new(lab, 1, INSIDE)?;
        let slow = site.web_hosts[0]
            .dir()
            .join(format!("nginx-{WEB_PORT}/slow"));
        fs::write(slow, "web1\n".repeat(96 << 10))?; // 30 s at its pace
        let gateways = [site.gateway(lab, "lb1", 2)?, site.gateway(lab, "lb2", 3)?];
        let first = Agent::start(&gateways[0].host, &config(150))?;
        let second = Agent::start(&gateways[1].host, &config(100))?;
        wait_for("lb1 to be master, lb2 backup", SOON, || {
            let states = (state(&first)?, state(&second)?);
            ensure!(
                states == ("\"master\"".into(), "\"backup\"".into()),
                "{states:?}"
            );
            Ok::<_, anyhow::Error>(())
        })?;
        site.wait_for_answers(&["web1"])?;

        let get = Get::new((VIP, 80))
            .path("/slow")
            .limit(Duration::from_secs(240));
        let mut download = site.client.run(|| Connection::open(&get))?;
        download.request()?;
        let port = download.source()?.port();
        wait_for("the connection to be known to lb2", SOON, || {
            let connections = gateways[1].host.sh("cat /proc/net/ip_vs_conn")?;
            let known = connections.contains(&format!("0A00002C {port:04X}"));
            ensure!(known, "{connections}");
            Ok::<_, anyhow::Error>(())
        })?;
        gateways[0].power_off()?;
        drop(first);
        wait_for("lb2 to be master", SOON, || {
            let state = state(&second)?;
            ensure!(state == "\"master\"", "{state}");
            Ok::<_, anyhow::Error>(())
        })?;
        let reply = download.finish()?;
        ensure!(
            reply.body.len() == 5 * (96 << 10),
            "{} bytes",
            reply.body.len()
        );
        site.all_answer(&["web1"])
    });
}
