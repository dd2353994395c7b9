//! A router that a reload takes away: it says so, and nobody is sent away by the host itself.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::ensure;
use lb_tests::{
    capture::Capture,
    gap::ECHO_PORT,
    pair::{NOTIFY, Setup, notified},
    topology::VIP,
    vrrp::vrrp_yaml,
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, front, on_pair};

#[test]
fn a_router_and_its_services_go_together_and_its_address_goes_first() {
    let setup = Setup::new(BALLAST, |index| front(index).notify(NOTIFY));
    on_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let (switch, port) = pair.net.lbs[0].port.tap();
        let refused = Capture::start_for(switch, port, is_unreachable)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // Much more often than any step of a reload takes.
        let client = pair.net.client.host.thread(move || {
            let socket = UdpSocket::bind(("0.0.0.0", 0))?;
            while !stopped.load(Ordering::Relaxed) {
                // What is refused is seen in the capture.
                socket.send_to(b"?", (VIP, ECHO_PORT)).ok();
            }
            Ok(())
        });

        let mut config = pair.config(0);
        config.services.retain(|service| service.port != ECHO_PORT);
        let mut other = front(0);
        other.name = "other".to_owned();
        other.id += 1;
        other.addresses.clear();
        config.extra = vrrp_yaml(&[other]);
        let agent = &pair.balancer(0)?.agent;
        agent.write_config(&config.to_string())?;
        agent.reload()?;
        pair.expect_no_addresses(0)?;
        pair.wait_for_master(1, SOON)?;
        stop.store(true, Ordering::Relaxed);
        client.join().expect("the client's thread")?;
        let count = refused.count();
        ensure!(count == 0, "lb1 itself refused {count} packets");

        wait_for("its last script", SOON, || {
            let said = notified(&pair.net.lbs[0].host);
            let said = said.iter().filter(|line| line[1] == "front");
            let states: Vec<_> = said.map(|line| line[2].clone()).collect();
            ensure!(states == ["BACKUP", "MASTER", "STOP"], "{states:?}");
            Ok(())
        })?;
        Ok(())
    });
}

/// ICMP, "destination unreachable".
fn is_unreachable(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x00])
        && frame.get(23) == Some(&1)
        && frame.get(34) == Some(&3)
}
