//! Adverts that nobody should listen to: nothing changes, and each is counted by reason.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use lb_tests::{
    pair::{Pair, Setup},
    topology::LBS,
    vrrp::{forged, instances, unclaimed},
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, on_pair, priority};

#[test]
fn forged_adverts_change_nothing_and_are_counted_by_reason() {
    let setup = Setup::many(BALLAST, |index| {
        let routers = forged::targets(LBS[index], LBS[1 - index]);
        routers
            .into_iter()
            .map(|router| router.priority(priority(index == 0)))
            .collect()
    });
    on_pair(setup, |pair| {
        pair.wait_for_state(0, "master", SOON)?;
        pair.wait_for_state(1, "backup", SOON)?;
        let transitions = [transitions(pair, 0)?, transitions(pair, 1)?];
        // The master could be made to step down, the backup to think of another master.
        for index in [0, 1] {
            let lbs = &pair.net.lbs;
            let corpus = forged::corpus(&lbs[index], &lbs[1 - index], &pair.net.client);
            ensure!(corpus.len() >= 30, "only {}", corpus.len());
            for advert in corpus {
                let before = dropped(pair, index)?;
                forged::send(&pair.net.client.host, &advert.frame)?;
                if advert.reasons.is_empty() {
                    continue;
                }
                wait_for(advert.what, SOON, || {
                    let after = dropped(pair, index)?;
                    let counted = |reason: &&str| after.get(*reason) > before.get(*reason);
                    ensure!(
                        advert.reasons.iter().any(counted),
                        "expected one of {:?}; before {before:?}, after {after:?}",
                        advert.reasons
                    );
                    Ok(())
                })?;
            }
        }
        let now = [self::transitions(pair, 0)?, self::transitions(pair, 1)?];
        ensure!(now == transitions, "{transitions:?} became {now:?}");
        pair.wait_for_state(0, "master", SOON)?;
        pair.wait_for_state(1, "backup", SOON)
    });
}

/// By reason, all routers together, and what was for none of them.
fn dropped(pair: &Pair<'_>, index: usize) -> Result<BTreeMap<String, u64>> {
    let mut sum = BTreeMap::new();
    for router in instances(&pair.balancer(index)?.agent)? {
        for (reason, count) in router.counters.dropped {
            *sum.entry(reason).or_default() += count;
        }
    }
    for (reason, count) in unclaimed(&pair.balancer(index)?.agent)? {
        *sum.entry(reason).or_default() += count;
    }
    Ok(sum)
}

fn transitions(pair: &Pair<'_>, index: usize) -> Result<Vec<u64>> {
    let routers = instances(&pair.balancer(index)?.agent)?;
    Ok(routers.iter().map(|router| router.transitions).collect())
}
