//! S0: two balancers and two web servers on one network, direct routing.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_tests::{
    capture::Capture,
    client::Load,
    how_to::{HowTo, NEEDS, VIP},
    imported::Machine,
    lab,
    packet::MacAddr,
    pair::has_address,
    realserver::{direct_routing, realserver},
    wait::wait_for,
    web::Web,
};

use super::{SOON, wait_for_address};

#[test]
fn the_vip_is_on_lb01_and_replies_come_straight_from_the_web_servers() {
    lab::test(NEEDS, |lab| {
        let site = HowTo::start(lab)?;
        ensure!(!has_address(&site.lbs[1].host, VIP.into()));
        let shown = site.lbs[0].host.sh("ip address show dev eth0")?;
        ensure!(shown.contains("172.16.0.125/25"), "{shown}");
        let (switch, port) = site.client.port.tap();
        let capture = Capture::start(switch, port)?;
        let balancers = site.lbs.each_ref().map(|lb| lb.port.mac());
        let mut seen = BTreeSet::new();
        // Other clients, other web servers: the source port is part of a flow unless clients stick.
        for number in 50..82 {
            let address = Ipv4Addr::new(172, 16, 0, number);
            let host = &site.client.host;
            host.sh(&format!("ip address add {address}/25 dev eth0"))?;
            let reply = site.get().from((IpAddr::from(address), 0)).send(host)?;
            seen.insert(reply.server);
        }
        assert_eq!(Vec::from_iter(seen), ["Web1", "Web2"]);
        let replies: Vec<_> = capture
            .stop()?
            .into_iter()
            .map(|(_, frame)| frame)
            .filter(|f| f.ip.first().is_some_and(|ip| ip.src == IpAddr::from(VIP)))
            .filter(|f| f.ports.is_some_and(|(source, _)| source == 80))
            .collect();
        ensure!(replies.len() > 64, "{} replies", replies.len());
        let webs = site.webs.each_ref().map(|web| web.port.mac());
        ensure!(replies.iter().all(|f| webs.contains(&f.src_mac)));
        ensure!(!replies.iter().any(|f| balancers.contains(&f.src_mac)));
        Ok(())
    });
}

#[test]
fn a_client_sticks_to_a_page_and_without_persistence_pages_alternate() {
    lab::test(NEEDS, |lab| {
        let site = HowTo::start(lab)?;
        let answers: BTreeSet<_> = site.answers(12)?.into_iter().collect();
        ensure!(answers.len() == 1, "one client got {answers:?}");
        site.forget_clients()?;
        let answers = site.answers(40)?;
        let turns = answers.windows(2).filter(|pair| pair[0] != pair[1]);
        ensure!(turns.count() == 39, "round robin is {answers:?}");
        Ok(())
    });
}

#[test]
fn a_web_server_whose_port_refuses_or_is_silent_leaves_in_time_and_returns() {
    lab::test(NEEDS, |lab| {
        let mut site = HowTo::start(lab)?;
        for web in [0, 1] {
            site.wait_for_state(web, "up", SOON)?;
        }
        site.pages[0].take();
        site.wait_for_state(0, "down", Duration::from_secs(11))?;
        let load = Load::burst(&site.client.host, &site.get(), 2, 40)?;
        load.answered_by(&["Web2"])?;

        site.pages[0] = Some(Web::start(&site.webs[0].host)?);
        site.wait_for_state(0, "up", Duration::from_secs(10))?;

        // Silent: the host takes the packets, and nothing comes back.
        let silence = "nft add rule ip lab out tcp sport 80 drop";
        let host = &site.webs[1].host;
        for rule in [
            "nft add table ip lab",
            "nft add chain ip lab out { type filter hook output priority 0 ; }",
            silence,
        ] {
            host.sh(rule)?;
        }
        site.wait_for_state(1, "down", Duration::from_secs(17))?;
        host.sh("nft delete table ip lab")?;
        site.wait_for_state(1, "up", Duration::from_secs(10))
    });
}

#[test]
fn lb02_takes_over_from_a_lb01_without_power_and_gives_back() {
    lab::test(NEEDS, |lab| {
        let mut site = HowTo::start(lab)?;
        let vip = IpAddr::from(VIP);
        site.answers(4)?;
        let off = Instant::now();
        site.power_off(0)?;
        let taken = wait_for_address(&site.lbs[1].host, vip, SOON)?;
        // Three intervals and (256 - 100) / 256 of one.
        super::within("the takeover", off, taken, Duration::from_millis(3610))?;
        wait_for("an answer through LB02", SOON, || site.answers(1))?;
        site.answers(4)?;

        site.replace_first(lab)?;
        site.wait_for_holder(0)?;
        site.answers(4).map(drop)
    });
}

/// The page forgets ARP: a test that only looks for an answer would pass, and the balancer be bypassed.
#[test]
fn without_the_arp_settings_web_servers_answer_for_the_vip_and_check_finds_it() {
    lab::test(NEEDS, |lab| {
        let site = HowTo::with(lab, |host| {
            host.sh("ip address add 172.16.0.125/32 dev lo").map(drop)
        })?;
        let webs = site.webs.each_ref().map(|web| web.port.mac());
        let answering = || answering_arp(&site.client);
        let bypassed = wait_for("an ARP answer of a web server", SOON, || {
            let macs = answering()?;
            ensure!(webs.iter().any(|mac| macs.contains(mac)), "{macs:?}");
            Ok(macs)
        })?;
        ensure!(!bypassed.is_empty());
        for web in &site.webs {
            let missing = realserver(&web.host, "check", &[VIP.into()], &[])
                .expect_err("the settings are missing");
            let text = format!("{missing:#}");
            ensure!(
                text.contains("sysctl -w net.ipv4.conf.all.arp_ignore=1"),
                "{text}"
            );
            direct_routing(&web.host, &[VIP.into()])?;
            realserver(&web.host, "check", &[VIP.into()], &[])?;
        }
        for _ in 0..5 {
            assert_eq!(answering()?, [site.lbs[0].port.mac()]);
        }
        Ok(())
    });
}

/// Who answers the client's question for the virtual address. Asked until somebody does: a question
/// that the balancer asks about the client tells the client the answer as well, and it asks none.
fn answering_arp(client: &Machine) -> Result<Vec<MacAddr>> {
    let answering = wait_for("an ARP answer for the virtual address", SOON, || {
        let macs = answering_arp_once(client)?;
        ensure!(!macs.is_empty(), "nobody answered");
        Ok(macs)
    });
    Ok(answering?)
}

fn answering_arp_once(client: &Machine) -> Result<Vec<MacAddr>> {
    let (switch, port) = client.port.tap();
    let capture = Capture::start_for(switch, port, |frame| {
        let is_reply = frame.get(12..14) == Some(&[8, 6]) && frame.get(20..22) == Some(&[0, 2]);
        is_reply && frame.get(28..32) == Some(&VIP.octets())
    })?;
    client.host.sh("ip neigh flush dev eth0")?;
    client.host.output(["ping", "-c1", "-W1", "172.16.0.125"])?;
    let mut macs: Vec<MacAddr> = capture
        .into_frames()?
        .iter()
        .filter_map(|frame| frame.bytes.get(6..12)?.try_into().ok())
        .collect();
    macs.sort_unstable();
    macs.dedup();
    Ok(macs)
}
