//! Traps of real servers.

use std::net::TcpListener;

use anyhow::ensure;
use lb_tests::{
    ballast::{
        Backend,
        Forwarding::{DirectRouting, Tunnel},
    },
    site::Site,
    topology::{VIP, VIP6},
};

use super::{examine, finds, on_prepared};
use crate::support::in_lab;

#[test]
fn a_real_server_that_answers_arp_for_the_virtual_address_is_found() {
    on_prepared(|site| {
        let web = &site.net.webs[0].host;
        web.sysctl("net.ipv4.conf.all.arp_ignore", 0)?;
        let examined = examine(&site.net.lb.host, site.agent.config())?;
        examined.found(&["vip-on-real-server"])?;
        ensure!(examined.document.to_string().contains("web1"));
        // The same without the balancer having the address, as on a backup.
        web.sysctl("net.ipv4.conf.all.arp_ignore", 1)?;
        web.sh(&format!("ip address add {VIP6}/128 dev eth0 nodad"))?;
        finds(
            &site.net.lb.host,
            site.agent.config(),
            &["vip-on-real-server"],
        )
    });
}

#[test]
fn a_real_server_without_the_virtual_address_is_found() {
    on_prepared(|site| {
        let web = &site.net.webs[0].host;
        for vip in [format!("{VIP}/32"), format!("{VIP6}/128")] {
            web.sh(&format!("ip address del {vip} dev lo"))?;
            let examined = examine(&site.net.lb.host, site.agent.config())?;
            examined.found(&["vip-missing"])?;
            ensure!(examined.document.to_string().contains("backend `web1`"));
            web.sh(&format!("ip address add {vip} dev lo"))?;
        }
        // One that would send it on to us does not hide it.
        web.sysctl("net.ipv4.ip_forward", 1)?;
        web.sh(&format!("ip address del {VIP}/32 dev lo"))?;
        finds(&site.net.lb.host, site.agent.config(), &["vip-missing"])
    });
}

#[test]
fn a_tunnel_server_without_the_virtual_address_is_found() {
    in_lab(|lab| {
        let site = Site::prepare(lab, &[Tunnel])?;
        let lb = &site.net.lb.host;
        lb.sh("ip link set eth0 mtu 1540")?;
        finds(lb, site.agent.config(), &[])?;
        let web = &site.net.webs[0].host;
        web.sh(&format!("ip address del {VIP}/32 dev lo"))?;
        finds(lb, site.agent.config(), &["vip-missing"])
    });
}

#[test]
fn a_server_that_listens_on_its_own_address_only_is_found() {
    on_prepared(|site| {
        site.webs.clear();
        let web = &site.net.webs[0];
        let own = web.v4;
        let _listens = web.host.run(|| Ok(TcpListener::bind((own, 80))?))?;
        finds(&site.net.lb.host, site.agent.config(), &["vip-refused"])
    });
}

#[test]
fn a_backend_that_is_not_there_is_found() {
    on_prepared(|site| {
        let mut config = site.config.clone();
        let absent = Backend::new("absent", [10, 0, 0, 77], DirectRouting);
        config.services[0].backends.push(absent);
        let nowhere = Backend::new("nowhere", [192, 0, 2, 1], DirectRouting);
        config.services[0].backends.push(nowhere);
        site.agent.write_config(&config.to_string())?;
        let examined = examine(&site.net.lb.host, site.agent.config())?;
        examined.found(&["next-hop"])?;
        let text = examined.document.to_string();
        ensure!(
            text.contains("`absent`") && text.contains("`nowhere`"),
            "{text}"
        );
        Ok(())
    });
}
