//! Requests through the virtual address reach the real servers, and replies take the short way.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::{
        Agent, Backend, Config,
        Forwarding::{DirectRouting, Tunnel},
        Service,
    },
    capture::Capture,
    client::{Get, curl, url},
    packet::Frame,
    realserver,
    site::Site,
    topology::{Port, VIP, VIP6, two_networks},
    wait::wait_for,
    web::Web,
};

use crate::support::{SOON, all_answer, in_lab, on_site};

#[test]
fn curl_gets_answers_of_all_web_servers_through_the_virtual_address() {
    on_site(&[DirectRouting, DirectRouting], |site| {
        let body = curl(&site.net.client.host, &url((VIP, 80)))?;
        ensure!(body == "web1\n" || body == "web2\n", "curl got {body:?}");
        all_answer(site, &site.get(), &["web1", "web2"])?;
        all_answer(site, &site.get6(), &["web1", "web2"])
    });
}

#[test]
fn replies_of_direct_routing_bypass_the_balancer() {
    on_site(&[DirectRouting, DirectRouting], |site| {
        for (get, vip) in [(site.get(), IpAddr::from(VIP)), (site.get6(), VIP6.into())] {
            let at_client = capture(&site.net.client.port)?;
            let at_balancer = capture(&site.net.lb.port)?;
            let reply = get.path("/big").send(&site.net.client.host)?;
            let web = site
                .net
                .webs
                .iter()
                .find(|node| node.host.name() == reply.server);
            let web = web.expect("the answer names one of the web servers");

            let replies = wait_for("replies at the client", SOON, || {
                let frames = from_service(&at_client, vip);
                (frames.len() > 100).then_some(frames)
            })?;
            ensure!(
                replies.iter().all(|frame| frame.src_mac == web.port.mac()),
                "a reply came from another MAC than {}'s",
                reply.server
            );
            // Requests go through the balancer's port, replies never do.
            let through: Vec<_> = at_balancer
                .stop()?
                .into_iter()
                .map(|(_, frame)| frame)
                .collect();
            ensure!(
                through
                    .iter()
                    .any(|f| f.ports.is_some_and(|(_, dst)| dst == 80))
            );
            ensure!(
                !through
                    .iter()
                    .any(|f| f.ports.is_some_and(|(src, _)| src == 80))
            );
        }
        Ok(())
    });
}

#[test]
fn a_request_is_forwarded_unchanged_but_for_its_macs_and_ttl() {
    on_site(&[DirectRouting], |site| {
        let port = capture(&site.net.lb.port)?;
        site.get().send(&site.net.client.host)?;
        let [to_lb, from_lb] = wait_for("a SYN on its way in and out", SOON, || {
            let syns: Vec<_> = syns_to_service(&port).collect();
            <[Frame; 2]>::try_from(syns).ok()
        })?;
        assert_eq!(to_lb.dst_mac, site.net.lb.port.mac());
        assert_eq!(from_lb.src_mac, site.net.lb.port.mac());
        assert_eq!(from_lb.dst_mac, site.net.webs[0].port.mac());
        assert_eq!(from_lb.ip[0].ttl + 1, to_lb.ip[0].ttl);
        assert_eq!(
            (from_lb.ip[0].src, from_lb.ip[0].dst),
            (to_lb.ip[0].src, to_lb.ip[0].dst)
        );
        assert_eq!(from_lb.ports, to_lb.ports);
        assert_eq!(from_lb.l4_checksum_ok, Some(true));
        Ok(())
    });
}

#[test]
fn requests_reach_a_tunnel_backend_in_both_families() {
    on_site(&[Tunnel, DirectRouting], |site| {
        let port = capture(&site.net.webs[0].port)?;
        all_answer(site, &site.get(), &["web1", "web2"])?;
        all_answer(site, &site.get6(), &["web1", "web2"])?;
        let tunnelled = port
            .stop()?
            .into_iter()
            .map(|(_, frame)| frame)
            .filter(|f| f.ip.len() == 2);
        let mut families: Vec<_> = tunnelled
            .map(|f| (f.ip[0].dst.is_ipv6(), f.ip[1].dst.is_ipv6()))
            .collect();
        families.sort();
        families.dedup();
        assert_eq!(families, [(false, false), (true, true)]);
        Ok(())
    });
}

#[test]
fn a_tunnel_backend_may_be_of_the_other_family() {
    in_lab(|lab| {
        let mut site = Site::prepare(lab, &[Tunnel])?;
        let web = &site.net.webs[0];
        let config = Config::on(&["eth0"])
            .service(Service::new("web", VIP, 80).backend(Backend::new("web1", web.v6, Tunnel)))
            .service(Service::new("web6", VIP6, 80).backend(Backend::new("web1", web.v4, Tunnel)));
        site.agent.write_config(&config.to_string())?;
        site.agent.run()?;
        all_answer(&site, &site.get(), &["web1"])?;
        all_answer(&site, &site.get6(), &["web1"])
    });
}

#[test]
fn backends_behind_another_interface_are_reached_through_it() {
    in_lab(|lab| {
        let net = two_networks(lab, 2)?;
        let mut service = Service::new("web", VIP, 80);
        let mut service6 = Service::new("web6", VIP6, 80);
        let mut webs = Vec::new();
        for node in &net.webs {
            realserver::direct_routing(&node.host, &[VIP.into(), VIP6.into()])?;
            webs.push(Web::start(&node.host)?);
            service = service.backend(Backend::new(node.host.name(), node.v4, DirectRouting));
            service6 = service6.backend(Backend::new(node.host.name(), node.v6, DirectRouting));
        }
        let config = Config::on(&["eth0", "eth1"])
            .service(service)
            .service(service6);
        let _agent = Agent::start(&net.lb.host, &config.to_string())?;
        let behind = capture(&net.lb_back.port)?;
        for target in [IpAddr::from(VIP), VIP6.into()] {
            for _ in 0..10 {
                Get::new((target, 80)).send(&net.client.host)?;
            }
        }
        let forwarded = behind.stop()?;
        ensure!(
            forwarded
                .iter()
                .any(|(_, f)| f.src_mac == net.lb_back.port.mac()
                    && f.ports.is_some_and(|(_, dst)| dst == 80)),
            "nothing was forwarded through eth1"
        );
        Ok(())
    });
}

#[test]
fn what_is_not_the_services_is_left_to_the_balancers_own_kernel() {
    on_site(&[DirectRouting], |site| {
        let client = &site.net.client.host;
        client.sh(&format!("ping -c1 -W2 {VIP}"))?;
        client.sh(&format!("ping -c1 -W2 {VIP6}"))?;
        // Another port of the virtual address: the kernel has no listener and says so at once.
        let refused = Get::new((VIP, 81))
            .send(client)
            .expect_err("nobody listens on 81");
        ensure!(format!("{refused:#}").contains("refused"), "{refused:#}");
        let _own = Web::start_on(&site.net.lb.host, 8080)?;
        let reply = Get::new((site.net.lb.v4, 8080)).send(client)?;
        assert_eq!(reply.server, "lb1");
        Ok(())
    });
}

#[test]
fn explain_names_the_backend_that_then_answers() {
    on_site(&[DirectRouting, DirectRouting, Tunnel], |site| {
        for port in 40_000..40_050 {
            let source = (IpAddr::from(site.net.client.v4), port);
            let explained = site.agent.explain(source, (VIP.into(), 80))?;
            let reply = site.get().from(source).send(&site.net.client.host)?;
            ensure!(
                explained["backend"] == reply.server.as_str(),
                "port {port}: {} answered, but explain says {explained}",
                reply.server
            );
        }
        Ok(())
    });
}

fn capture(port: &Port) -> Result<Capture> {
    let (switch, name) = port.tap();
    Capture::start(switch, name)
}

/// Frames that carry a reply of the service.
fn from_service(capture: &Capture, vip: IpAddr) -> Vec<Frame> {
    let frames = capture.parsed().into_iter().map(|(_, frame)| frame);
    frames
        .filter(|f| f.ip.first().is_some_and(|ip| ip.src == vip))
        .filter(|f| f.ports.is_some_and(|(src, _)| src == 80))
        .collect()
}

fn syns_to_service(capture: &Capture) -> impl Iterator<Item = Frame> {
    let frames = capture.parsed().into_iter().map(|(_, frame)| frame);
    frames.filter(|f| {
        f.tcp_flags == Some(lb_tests::packet::tcp_flags::SYN)
            && f.ports.is_some_and(|(_, dst)| dst == 80)
    })
}
