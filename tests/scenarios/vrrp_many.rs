//! As many virtual routers as an interface can have.

use std::time::{Duration, Instant};

use anyhow::ensure;
use lb_tests::{
    lab,
    pair::{Pair, Setup},
    topology::VIP,
    vrrp::{Version, VirtualRouter},
};

use crate::support::{BALLAST, SOON, priority};

#[test]
fn all_of_255_routers_with_20_addresses_have_their_master_soon_after_the_start() {
    let setup = Setup::many(BALLAST, |index| {
        (1..=255).map(|id| many(id, index)).collect()
    });
    lab::test(&[], |lab| {
        let mut pair = Pair::prepare(lab, setup)?;
        let masters: Vec<_> = (1..=255_usize).map(|id| 1 - id % 2).collect();
        let start = Instant::now();
        for index in [0, 1] {
            pair.balancer_mut(index)?.agent.run_unready()?;
        }
        pair.wait_for_masters(&masters, SOON)?;
        let took = start.elapsed();
        for index in [0, 1] {
            let usage = usage(&mut pair, index)?;
            eprintln!("lb{}: masters after {took:.1?}; {usage}", index + 1);
        }
        ensure!(took < LIMIT, "it took {took:?}");
        Ok(())
    });
}

fn many(id: u8, index: usize) -> VirtualRouter {
    let mut router = VirtualRouter::new(&format!("VI_{id}"), id, Version::V3)
        .interval(Duration::from_millis(100))
        // Odd ones belong to lb1.
        .priority(priority(usize::from(id % 2 == 0) == index));
    if id == 1 {
        router = router.address(VIP);
    }
    (u8::from(id == 1)..20).fold(router, |router, n| router.address([10, 20, id, n]))
}

/// Memory, and processor time over two seconds.
fn usage(pair: &mut Pair<'_>, index: usize) -> anyhow::Result<String> {
    let pid = pair.balancer_mut(index)?.agent.process()?.pid();
    let ticks = || -> anyhow::Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // After the name in parentheses, utime and stime are fields 14 and 15 of proc(5).
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let mut fields = fields.split_whitespace().skip(11);
        let mut next = || fields.next().unwrap_or_default().parse::<u64>();
        Ok(next()? + next()?)
    };
    let before = ticks()?;
    lb_tests::wait::pause(Duration::from_secs(2));
    let spent = ticks()? - before;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let memory = status.lines().find(|line| line.starts_with("VmRSS:"));
    // A tick is 10 ms: of 200 in two seconds, half as many percent.
    Ok(format!(
        "{}% of a core, {}",
        spent / 2,
        memory.unwrap_or_default()
    ))
}

/// Master-down and skew are 0.4 s.
const LIMIT: Duration = Duration::from_millis(1500);
