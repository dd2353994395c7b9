//! S4: direct routing with a check of a page's digest; an address that no instance holds.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    ballast::{Agent, wait_for_backend},
    client::{Get, Load},
    imported::{Machine, fixture, import, replaced},
    lab::{self, Lab},
    mail::MailServer,
    pair::has_address,
    realserver::direct_routing,
    require::Need,
    topology::Network,
    wait::wait_for,
    web::Web,
};

use super::{SLACK, SOON, wait_for_address, wait_until_without};
use crate::support::PACE;

const SERVICE: Ipv4Addr = Ipv4Addr::new(172, 16, 55, 100);
const VIP: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 23);
/// Where the page's `smtp_server` is.
const MAIL: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 1);
const NAME: &str = "tcp-172.16.55.100-80";
const NEEDS: &[Need] = &[Need::Program("nginx"), Need::Program("md5sum")];
/// The page that the published digest is of is not known; this is another.
const PAGE: &str = "the shop is open\n";

struct Shop {
    client: Machine,
    lbs: [Machine; 2],
    webs: [Machine; 2],
    _pages: [Web; 2],
    agents: [Agent; 2],
    _mail: Machine,
    mails: MailServer,
}

impl Shop {
    fn start(lab: &Lab) -> Result<Self> {
        let network = Network::new(lab, "switch")?;
        let plug = |name: &str, number: u8| {
            let address = format!("172.30.0.{number}/24");
            Machine::plug(lab, &network, name, "eth0", &address)
        };
        let client = plug("client", 44)?;
        // The service is reached through the address that moves.
        client.host.sh(&format!("ip route add {VIP} dev eth0"))?;
        client
            .host
            .sh(&format!("ip route add {SERVICE} via {VIP} dev eth0 onlink"))?;
        let lbs = [plug("lb01", 20)?, plug("lb02", 21)?];
        let mail = plug("mail", 45)?;
        mail.host
            .sh(&format!("ip address add {MAIL}/32 dev eth0"))?;
        for lb in &lbs {
            lb.host
                .sh(&format!("ip route add {MAIL} via 172.30.0.45"))?;
        }
        let mails = MailServer::start(&mail.host, (MAIL, 25).into())?;
        let webs = [plug("web1", 23)?, plug("web2", 24)?];
        for web in &webs {
            direct_routing(&web.host, &[SERVICE.into()])?;
        }
        let pages = [Web::start(&webs[0].host)?, Web::start(&webs[1].host)?];
        for web in &webs {
            write_page(web, PAGE)?;
        }
        let digest = digest(&webs[0], PAGE)?;
        let second = fixture("s4-lb02")?;
        let second = replaced(&second, "640205b7b0fc66c1ea91c463fac6334d", &digest)?;
        // The page names nobody to write to.
        let second = replaced(
            &second,
            "notification_email {",
            "notification_email {\n  ops@example.com",
        )?;
        let first = replaced(&second, "priority 99", "priority 100")?;
        let agents = [agent(&lbs[0], &first)?, agent(&lbs[1], &second)?];
        let shop = Self {
            client,
            lbs,
            webs,
            _pages: pages,
            agents,
            _mail: mail,
            mails,
        };
        wait_for_address(&shop.lbs[0].host, VIP.into(), SOON)?;
        wait_until_without(&shop.lbs[1].host, &[VIP.into()], SOON)?;
        Ok(shop)
    }

    fn wait_for_state(&self, web: usize, state: &str, limit: Duration) -> Result<()> {
        let name = ["172.30.0.23", "172.30.0.24"][web];
        wait_for_backend(&self.agents[0], NAME, name, state, limit + SLACK)
    }
}

fn agent(machine: &Machine, conf: &str) -> Result<Agent> {
    let yaml = import(&machine.host, conf)?;
    Agent::start(&machine.host, &yaml)
}

fn write_page(web: &Machine, page: &str) -> Result<()> {
    let dir = web.host.dir().join("nginx-80/testurl");
    fs::create_dir_all(&dir)?;
    Ok(fs::write(dir.join("test.jsp"), page)?)
}

/// As an operator finds it out.
fn digest(web: &Machine, page: &str) -> Result<String> {
    let file = web.host.dir().join("page");
    fs::write(&file, page)?;
    let sum = web.host.exec(["md5sum".as_ref(), file.as_os_str()])?;
    let (digest, _) = sum.split_once(' ').context("md5sum prints two words")?;
    Ok(digest.to_owned())
}

#[test]
fn both_call_themselves_master_and_the_higher_priority_is() {
    lab::test(NEEDS, |lab| {
        let shop = Shop::start(lab)?;
        let get = Get::new((SERVICE, 80)).path("/testurl/test.jsp");
        let reply = get.send(&shop.client.host)?;
        assert_eq!(String::from_utf8_lossy(&reply.body), PAGE);
        // The service's address is nobody's; frames for it are forwarded all the same.
        for lb in &shop.lbs {
            ensure!(!has_address(&lb.host, IpAddr::from(SERVICE)));
        }
        Ok(())
    });
}

#[test]
fn a_reload_drops_no_connection() {
    lab::test(NEEDS, |lab| {
        let shop = Shop::start(lab)?;
        let load = Load::start(&shop.client.host, &Get::new((SERVICE, 80)), PACE);
        load.wait_for_more(100, SOON)?;
        let agent = &shop.agents[0];
        let yaml = fs::read_to_string(agent.config())?;
        for delay in ["2s", "4s", "3s"] {
            agent.write_config(&replaced(
                &yaml,
                "retry_delay: 3s",
                &format!("retry_delay: {delay}"),
            )?)?;
            agent.reload()?;
            load.wait_for_more(100, SOON)?;
        }
        load.stop()?.all_answered()
    });
}

#[test]
fn a_page_of_another_digest_takes_its_server_out_and_is_told() {
    lab::test(NEEDS, |lab| {
        let shop = Shop::start(lab)?;
        for web in [0, 1] {
            shop.wait_for_state(web, "up", SOON)?;
        }
        let closed = "the shop is closed\n";
        write_page(&shop.webs[1], closed)?;
        // An interval, and three retries.
        shop.wait_for_state(1, "down", Duration::from_secs(6 + 3 * 3))?;
        let seen = digest(&shop.webs[1], closed)?;
        wait_for("the digest in the status", SOON, || {
            let status = shop.agents[0].status()?.to_string();
            ensure!(status.contains(&seen), "{status}");
            Ok(())
        })?;
        wait_for("the mail", SOON, || {
            let text = shop.mails.text();
            for part in ["LB_CLUSTER1", "ops@example.com", "172.30.0.24", &seen] {
                ensure!(text.contains(part), "no {part}: {text}");
            }
            Ok(())
        })?;
        let load = Load::burst(&shop.client.host, &Get::new((SERVICE, 80)), 2, 40)?;
        load.answered_by(&["web1"])?;
        write_page(&shop.webs[1], PAGE)?;
        shop.wait_for_state(1, "up", Duration::from_secs(6))
    });
}
