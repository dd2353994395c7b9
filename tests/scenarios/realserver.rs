//! `ballast realserver`: a host becomes a real server by it alone, and is afterwards what it was before.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    ballast::{
        Agent, Backend, Config,
        Forwarding::{DirectRouting, Tunnel},
        Service, binary,
    },
    client::Connection,
    lab::{self, Lab},
    netns::Host,
    realserver::tunnel_counter,
    require::Need,
    topology::{Node, OneLb, VIP, attach_xdp_pass, one_lb},
};

use crate::support::{SOON, all_answer, in_lab, on_site};

const VIPS: [&str; 2] = ["10.0.0.125", "fd00::125"];
const TUNNEL: [&str; 4] = ["--tunnel", "--decapsulation=xdp", "--from", "10.0.0.2"];

#[test]
fn both_kinds_serve_by_it_alone_and_down_ends_it() {
    on_site(&[DirectRouting, Tunnel], |site| {
        for get in [site.get(), site.get6()] {
            all_answer(site, &get, &["web1", "web2"])?;
        }
        ensure!(tunnel_counter(&site.net.webs[1].host, "packets")? > 0);
        for node in &site.net.webs {
            succeeds(&node.host, "check", &[])?;
            succeeds(&node.host, "down", &[])?;
            refused(
                &node.host,
                "check",
                &["--vip", VIPS[0]],
                "packets for it are not taken",
            )?;
        }
        site.get()
            .send(&site.net.client.host)
            .expect_err("nobody takes packets for the address");
        Ok(())
    });
}

#[test]
fn down_leaves_the_host_as_it_was_however_often_either_is_done() {
    on_host(|web| {
        for tunnel in [&[][..], &TUNNEL] {
            let flags = [&["--vip", VIPS[0], VIPS[1]][..], tunnel].concat();
            let before = state(web)?;
            let first = succeeds(web, "up", &flags)?;
            ensure!(first.contains("added 10.0.0.125 to lo"), "{first}");
            let up = state(web)?;
            ensure!(up != before);
            ensure!(succeeds(web, "up", &flags)? == "everything is up already\n");
            ensure!(state(web)? == up, "a second time changed something");
            succeeds(web, "check", &flags)?;
            succeeds(web, "check", &[])?;
            ensure!(state(web)? == up, "looking changed something");
            succeeds(web, "down", &[])?;
            same(&before, &state(web)?)?;
            ensure!(succeeds(web, "down", &[])? == "nothing is up that could be undone\n");
            same(&before, &state(web)?)?;
        }
        Ok(())
    });
}

#[test]
fn what_was_right_before_is_not_undone() {
    on_host(|web| {
        web.sh("ip address add 10.0.0.125/32 dev lo")?;
        web.sysctl("net.ipv4.conf.all.arp_ignore", 2)?;
        web.sysctl("net.ipv4.conf.eth0.rp_filter", 1)?;
        let before = state(web)?;
        let vip = ["--vip", VIPS[0]];
        succeeds(web, "up", &vip)?;
        let read = |name: &str| web.read(format!("/proc/sys/net/ipv4/conf/{name}"));
        ensure!(read("all/arp_ignore")?.trim() == "2");
        ensure!(read("all/arp_announce")?.trim() == "2");
        ensure!(read("eth0/rp_filter")?.trim() == "2");
        succeeds(web, "down", &vip)?;
        same(&before, &state(web)?)?;
        // What somebody else changed meanwhile is theirs.
        succeeds(web, "up", &vip)?;
        web.sysctl("net.ipv4.conf.lo.arp_ignore", 8)?;
        let output = run(web, "down", &[])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            said.contains("net.ipv4.conf.lo.arp_ignore stays 8"),
            "{said}"
        );
        ensure!(read("lo/arp_ignore")?.trim() == "8");
        Ok(())
    });
}

#[test]
fn addresses_share_what_they_need_until_the_last_is_down() {
    on_host(|web| {
        let before = state(web)?;
        for vip in VIPS {
            succeeds(web, "up", &[&["--vip", vip][..], &TUNNEL].concat())?;
        }
        let both = state(web)?;
        succeeds(web, "up", &[&["--vip", "10.0.0.126"][..], &TUNNEL].concat())?;
        succeeds(web, "down", &["--vip", "10.0.0.126"])?;
        same(&both, &state(web)?)?;
        succeeds(web, "check", &["--vip", VIPS[0], VIPS[1], "--tunnel"])?;
        succeeds(web, "down", &["--vip", VIPS[0]])?;
        succeeds(web, "check", &["--vip", VIPS[1], "--tunnel"])?;
        succeeds(web, "down", &["--vip", VIPS[1]])?;
        same(&before, &state(web)?)
    });
}

#[test]
fn an_up_that_failed_half_way_is_undone_and_can_be_tried_again() {
    on_host(|web| {
        let before = state(web)?;
        let flags = [&["--vip", VIPS[0], VIPS[1]][..], &TUNNEL].concat();
        web.sysctl("net.ipv6.conf.lo.disable_ipv6", 1)?;
        refused(web, "up", &flags, "ballast realserver down")?;
        succeeds(web, "down", &[])?;
        web.sysctl("net.ipv6.conf.lo.disable_ipv6", 0)?;
        web.sh("ip address replace ::1/128 dev lo")?;
        same(&before, &state(web)?)?;

        web.sysctl("net.ipv6.conf.lo.disable_ipv6", 1)?;
        refused(web, "up", &flags, "ballast realserver down")?;
        web.sysctl("net.ipv6.conf.lo.disable_ipv6", 0)?;
        web.sh("ip address replace ::1/128 dev lo")?;
        succeeds(web, "up", &flags)?;
        succeeds(web, "check", &flags)?;
        // Also without the record: what is marked as ours goes.
        web.sh("rm /run/ballast/realserver/record.json")?;
        succeeds(web, "down", &[])?;
        ensure!(!web.sh("ip address show dev lo")?.contains(VIPS[0]));
        ensure!(!web.has_path("/sys/fs/bpf/ballast"));
        Ok(())
    });
}

#[test]
fn check_says_what_is_missing_and_what_to_do() {
    on_host(|web| {
        let before = state(web)?;
        let output = run(web, "check", &["--vip", VIPS[0], "--tunnel", "--json"])?;
        ensure!(output.status.code() == Some(1));
        let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        ensure!(document["ok"] == false, "{document}");
        let missing: Vec<_> = document["findings"]
            .as_array()
            .context("findings")?
            .iter()
            .filter(|finding| finding["ok"] == false)
            .map(|finding| finding["what"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            missing,
            [
                "10.0.0.125 is on lo",
                "net.ipv4.conf.all.arp_ignore is 1",
                "net.ipv4.conf.all.arp_announce is 2",
                "net.ipv4.conf.lo.arp_ignore is 1",
                "net.ipv4.conf.lo.arp_announce is 2",
                "tunnelled packets are unwrapped",
            ]
        );
        same(&before, &state(web)?)?;
        // The trap of the instructions that forget ARP.
        web.sh("ip address add 10.0.0.125/32 dev lo")?;
        refused(
            web,
            "check",
            &["--vip", VIPS[0]],
            "sysctl -w net.ipv4.conf.all.arp_ignore=1",
        )?;
        // And the one of a wrong mask.
        web.sh("ip address add 10.0.0.126/24 dev lo")?;
        refused(
            web,
            "check",
            &["--vip", "10.0.0.126"],
            "ip address del 10.0.0.126/24 dev lo",
        )?;
        refused(
            web,
            "up",
            &["--vip", "10.0.0.126"],
            "ip address del 10.0.0.126/24 dev lo",
        )?;
        let nothing = run(web, "check", &[])?;
        ensure!(nothing.status.code() == Some(1));
        Ok(())
    });
}

#[test]
fn a_new_address_or_interface_is_found_missing_until_the_next_up() {
    on_host(|web| {
        let flags = [&["--vip", VIPS[0]][..], &TUNNEL].concat();
        succeeds(web, "up", &flags)?;
        web.sh("ip address add 10.0.0.201/24 dev eth0")?;
        refused(web, "check", &[], "tunnels may end at 10.0.0.201")?;
        succeeds(web, "up", &flags)?;
        succeeds(web, "check", &[])?;
        web.sh("ip link add eth1 type veth peer name other")?;
        web.sh("ip link set eth1 up")?;
        web.sh("ip address add 10.7.0.1/24 dev eth1")?;
        refused(web, "check", &[], "the decapsulation program is on eth1")?;
        succeeds(web, "up", &["--vip", VIPS[0], "--tunnel"])?;
        succeeds(web, "check", &[])?;
        Ok(())
    });
}

#[test]
fn nothing_is_changed_where_it_is_refused() {
    on_host(|web| {
        let before = state(web)?;
        let vip = ["--vip", VIPS[0]];
        let with = |flags: &[&'static str]| [&vip[..], flags].concat();
        let tunnel = ["--tunnel", "--decapsulation=xdp"];
        refused(web, "up", &with(&tunnel), "--from")?;
        let everybody = [&tunnel[..], &["--from", "0.0.0.0/0"]].concat();
        refused(web, "up", &with(&everybody), "everybody")?;
        refused(web, "up", &with(&["--interface", "eth7"]), "eth7")?;
        refused(web, "up", &["--vip", "127.0.0.1"], "no virtual address")?;
        same(&before, &state(web)?)?;
        let usage = run(web, "up", &with(&["--from", "10.0.0.2"]))?;
        ensure!(usage.status.code() == Some(2), "{usage:?}");
        let _theirs = web.run(|| attach_xdp_pass("eth0"))?;
        let busy = state(web)?;
        refused(web, "up", &with(&TUNNEL), "another XDP program")?;
        same(&busy, &state(web)?)
    });
}

#[test]
fn a_balancer_of_the_address_is_no_real_server_of_it() {
    in_lab(|lab| {
        let mut net = one_lb(lab, 1)?;
        let lb = net.lb.host.clone();
        let vip = ["--vip", VIPS[0]];
        // By the address on its interface.
        refused(&lb, "up", &vip, "on interface `eth0`")?;
        // As a backup that has no address, by what runs.
        lb.sh("ip address del 10.0.0.125/32 dev eth0")?;
        let mut agent = Agent::start(&lb, &config(&net))?;
        refused(&lb, "up", &vip, "balances `10.0.0.125`")?;
        // By what goes on forwarding without an agent.
        agent.kill()?;
        refused(&lb, "up", &vip, "pinned in `/sys/fs/bpf/ballast`")?;
        refused(&lb, "check", &vip, "pinned in `/sys/fs/bpf/ballast`")?;
        // By what it is configured to do.
        agent.run()?;
        agent.stop()?;
        let configured = [&vip[..], &["-c", path(&agent)?]].concat();
        refused(&lb, "up", &configured, "balances `10.0.0.125`")?;
        // Another address is none of its business.
        agent.run()?;
        let other = ["--vip", "10.0.0.200", "--interface", "eth0"];
        succeeds(&lb, "up", &other)?;
        agent.stop()?;
        agent.run()?;
        succeeds(&lb, "check", &other)?;
        net.webs.clear();
        Ok(())
    });
}

#[test]
fn connections_of_a_tunnel_outlive_a_second_up() {
    on_site(&[Tunnel], |site| {
        let web = &site.net.webs[0].host;
        let client = &site.net.client.host;
        let mut slow = client.run(|| Connection::open(&site.get().path("/slow").limit(SOON)))?;
        slow.request()?;
        succeeds(web, "up", &["--vip", VIPS[0], VIPS[1], "--tunnel"])?;
        slow.finish().map(drop)
    });
}

fn on_host(body: impl FnOnce(&Host) -> Result<()>) {
    lab::test(
        &[Need::Program("bpftool"), Need::Program("sysctl")],
        |lab: &Lab| {
            let net = one_lb(lab, 1)?;

            body(&net.webs[0].host)
        },
    );
}

fn config(net: &OneLb) -> String {
    let Node { host, v4, .. } = &net.webs[0];
    let backend = Backend::new(host.name(), *v4, DirectRouting);
    Config::on(&["eth0"])
        .service(Service::new("web", VIP, 80).backend(backend))
        .to_string()
}

fn path(agent: &Agent) -> Result<&str> {
    agent.config().to_str().context("a path in UTF-8")
}

fn run(host: &Host, verb: &str, flags: &[&str]) -> Result<Output> {
    let mut line = vec![binary()?.into_os_string()];
    line.extend(["realserver", verb].iter().chain(flags).map(Into::into));
    host.output(line)
}

fn succeeds(host: &Host, verb: &str, flags: &[&str]) -> Result<String> {
    let output = run(host, verb, flags)?;
    ensure!(output.status.success(), "{verb} {flags:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn refused(host: &Host, verb: &str, flags: &[&str], text: &str) -> Result<()> {
    let output = run(host, verb, flags)?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(
        output.status.code() == Some(1) && said.contains(text),
        "{verb} {flags:?}: {} {said}",
        output.status
    );
    Ok(())
}

/// Addresses, links with their programs, settings, pins and files: what `down` has to leave as it was.
fn state(host: &Host) -> Result<Vec<String>> {
    let sysctls = host.output(["sysctl", "-a", "--pattern", "^net.ipv[46].conf"])?;
    let text = [
        host.sh("ip address")?,
        host.sh("ip -details link")?,
        String::from_utf8_lossy(&sysctls.stdout).into_owned(),
        host.sh("bpftool net")?,
        host.sh("find /sys/fs/bpf /run")?,
    ];
    ensure!(!text[2].is_empty(), "no sysctls: {sysctls:?}");
    Ok(text.join("").lines().map(str::to_owned).collect())
}

fn same(before: &[String], after: &[String]) -> Result<()> {
    let other = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).cloned().collect()
    };
    let (gone, new) = (other(before, after), other(after, before));
    ensure!(before == after, "gone: {gone:#?}\nnew: {new:#?}");
    Ok(())
}
