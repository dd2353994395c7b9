//! What comes from the other balancer is not sent on: two that think of each other as the right one
//! would send it round for ever.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::{
    pair::{Pair, Setup},
    topology::LBS,
    wait::{pause, wait_for},
};

use crate::support::{BALLAST, SOON, front, on_pair};

#[test]
fn what_comes_from_a_configured_peer_is_not_sent_on_by_master_or_backup() {
    let setup = Setup::new(BALLAST, |index| {
        front(index).unicast(LBS[index], LBS[1 - index])
    });
    on_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        for index in [0, 1] {
            is_end(pair, index).with_context(|| format!("lb{}", index + 1))?;
        }
        Ok(())
    });
}

#[test]
fn what_comes_from_a_peer_that_was_heard_is_not_sent_on() {
    on_pair(Setup::new(BALLAST, front), |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        is_end(pair, 1)
    });
}

/// Expects that the balancer forwards for the client, and nothing that the other sends it.
fn is_end(pair: &Pair<'_>, index: usize) -> Result<()> {
    let peer = &pair.net.lbs[1 - index];
    // Its MAC is known a moment after its adverts are.
    wait_for("the peer to be known", SOON, || {
        let before = peer_loops(pair, index)?;
        pair.send_stray(peer, index)?;
        pause(Duration::from_millis(50));
        ensure!(peer_loops(pair, index)? > before, "nothing was dropped");
        Ok(())
    })?;
    let before = peer_loops(pair, index)?;
    let strays = pair.watch_strays(index)?;
    for _ in 0..PACKETS {
        pair.send_stray(peer, index)?;
    }
    wait_for("the peer's packets to be dropped", SOON, || {
        let dropped = peer_loops(pair, index)? - before;
        ensure!(dropped == PACKETS as u64, "{dropped}");
        Ok(())
    })?;
    ensure!(strays.arrived() == PACKETS, "{strays:?}");
    ensure!(strays.forwarded() == 0, "{strays:?}");
    // The same packet from elsewhere.
    pair.send_stray(&pair.net.client, index)?;
    wait_for("the client's packet", SOON, || {
        let forwarded = strays.forwarded();
        ensure!(forwarded == 1, "{forwarded}");
        Ok(())
    })?;
    Ok(())
}

fn peer_loops(pair: &Pair<'_>, index: usize) -> Result<u64> {
    let status = pair.balancer(index)?.agent.status()?;
    let count = status["drops"]["peer_loop"].as_u64();
    count.with_context(|| format!("no `peer_loop`: {}", status["drops"]))
}

const PACKETS: usize = 20;
