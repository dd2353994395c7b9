//! Next hops follow the network: a replaced card, a server that comes late.

use std::time::{Duration, Instant};

use anyhow::ensure;
use lb_tests::{ballast::Forwarding::DirectRouting, site::Site, wait::wait_for};

use crate::support::{SOON, all_answer, in_lab, on_site};

#[test]
fn a_backend_whose_mac_changes_works_again_within_a_second() {
    on_site(&[DirectRouting], |site| {
        all_answer(site, &site.get(), &["web1"])?;
        let web = &mut site.net.webs[0];
        // A new card announces itself, as every system's network start does.
        web.host.sysctl("net.ipv4.conf.eth0.arp_notify", 1)?;
        web.port.change_mac([2, 0, 0, 0, 0xaa, 0x01])?;
        let changed = Instant::now();
        let get = site.get().limit(Duration::from_millis(300));
        wait_for("an answer after the change", SOON, || {
            get.send(&site.net.client.host)
        })?;
        let took = changed.elapsed();
        ensure!(took < Duration::from_secs(3), "it took {took:?}");
        Ok(())
    });
}

#[test]
fn a_backend_that_comes_up_later_gets_its_share_then() {
    in_lab(|lab| {
        let mut site = Site::prepare(lab, &[DirectRouting, DirectRouting])?;
        site.net.webs[1].port.cut()?;
        site.agent.run()?;
        // Not eligible without a next hop: nobody is sent there.
        all_answer(&site, &site.get(), &["web1"])?;
        site.net.webs[1].port.mend()?;
        wait_for("both web servers to answer", SOON, || {
            all_answer(&site, &site.get(), &["web1", "web2"])
        })?;
        Ok(())
    });
}
