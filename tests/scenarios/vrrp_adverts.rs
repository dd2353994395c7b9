//! What adverts say and how they are summed: what is sent, and what is listened to.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    lab,
    pair::{Pair, Setup},
    topology::{LBS, VIP, VIP6},
    vrrp::{Adverts, Instance, Sum, Version, VirtualRouter, forged, instances},
    wait::wait_for,
};

use crate::support::{BALLAST, SOON, front, on_pair, router};

#[test]
fn a_peer_with_other_addresses_is_a_warning_with_both_lists_and_no_second_master() {
    let setup = Setup::new(BALLAST, |index| match index {
        0 => front(0),
        _ => front(1).address([10, 0, 0, 126]),
    });
    on_pair(setup, |pair| {
        ensure!(pair.wait_until_at_rest()? == 0);
        let adverts = Adverts::of(&pair.net.lbs[1])?;
        // Several times as long as a backup waits for a master that it takes for none.
        wait_for("adverts", SOON, || {
            let count = adverts.received().len();
            ensure!(count > 20, "{count} so far");
            Ok(())
        })?;
        ensure!(adverts.sent().is_empty(), "two masters");
        let backup = router(pair, 1)?;
        ensure!(backup.state == "backup", "{backup:?}");
        ensure!(
            backup.peer_virtual_addresses == Some(vec![VIP.into()]),
            "{backup:?}"
        );
        let log = pair.balancer_mut(1)?.agent.process()?.log();
        let warnings: Vec<_> = log
            .lines()
            .filter(|line| line.contains("other virtual addresses"))
            .collect();
        // Once, and not for each advert.
        ensure!(warnings.len() == 1, "{log}");
        for part in [
            "WARN",
            "ours=\"10.0.0.125 10.0.0.126\"",
            "theirs=\"10.0.0.125\"",
        ] {
            ensure!(plain(warnings[0]).contains(part), "{}", warnings[0]);
        }
        Ok(())
    });
}

#[test]
fn each_of_the_three_checksums_is_listened_to_and_counted() {
    lab::test(&[], |lab| {
        let setup = Setup::many(BALLAST, |index| {
            let (own, peer) = (LBS[index], LBS[1 - index]);
            let router = |name: &str, id| {
                VirtualRouter::new(name, id, Version::V3).address([10, 0, 0, 70 + id])
            };
            vec![
                router("group", GROUP),
                router("alone", ALONE).unicast(own, peer),
                router("strict", STRICT).yaml("checksum: rfc9568"),
            ]
        });
        let mut pair = Pair::prepare(lab, setup)?;
        pair.run(0)?;
        pair.wait_for_state(0, "master", SOON)?;
        let [lb1, lb2] = &pair.net.lbs;
        let say = |to, id, sum| {
            let advert = forged::genuine(lb2, to, id, 200, sum);
            forged::send(&lb2.host, &advert)
        };
        let mut expected = BTreeMap::new();
        for sum in Sum::ALL {
            say(Some(lb1), ALONE, sum)?;
            expected.insert(sum.name().to_owned(), 1);
            heard(&pair, "alone", &expected)?;
        }
        expected.remove(Sum::MulticastPseudoHeader.name());
        for sum in [Sum::MessageOnly, Sum::PseudoHeader] {
            say(None, GROUP, sum)?;
        }
        heard(&pair, "group", &expected)?;
        // Who asks for one form hears no other.
        say(None, STRICT, Sum::PseudoHeader)?;
        wait_for("a refusal", SOON, || {
            let router = named(&pair, "strict")?;
            let counters = &router.counters;
            ensure!(counters.dropped_in_all() == 1, "{router:?}");
            ensure!(counters.received == 0, "{router:?}");
            ensure!(router.state == "master", "{router:?}");
            Ok(())
        })?;
        say(None, STRICT, Sum::MessageOnly)?;
        expected.remove(Sum::PseudoHeader.name());
        wait_for("the right form", SOON, || {
            let router = named(&pair, "strict")?;
            ensure!(router.counters.checksum_forms == expected, "{router:?}");
            ensure!(router.state == "backup", "{router:?}");
            Ok(())
        })?;
        Ok(())
    });
}

#[test]
fn adverts_are_summed_with_the_pseudo_header_unless_rfc_9568_is_asked_for() {
    let setup = Setup::many(BALLAST, |index| {
        let (own, peer) = (LBS[index], LBS[1 - index]);
        let router = |name: &str, id| {
            VirtualRouter::new(name, id, Version::V3).interval(Duration::from_millis(100))
        };
        let v4 = |name: &str, id| router(name, id).address([10, 0, 0, 70 + id]);
        vec![
            v4("default", 1),
            v4("auto", 2).yaml("checksum: auto"),
            v4("pseudo", 3).yaml("checksum: pseudo_header"),
            v4("rfc", 4).yaml("checksum: rfc9568"),
            v4("alone", 5).unicast(own, peer),
            v4("rfc-alone", 6)
                .unicast(own, peer)
                .yaml("checksum: rfc9568"),
            router("v6", 7).address(VIP6),
        ]
    });
    on_pair(setup, |pair| {
        let both = [
            Adverts::of(&pair.net.lbs[0])?,
            Adverts::of(&pair.net.lbs[1])?,
        ];
        wait_for("adverts of all", SOON, || {
            for id in 1..=7 {
                let sent = both.iter().flat_map(Adverts::sent);
                let count = sent.filter(|advert| advert.id == id).count();
                ensure!(count > 3, "{count} of router {id}");
            }
            Ok(())
        })?;
        for advert in both.iter().flat_map(Adverts::sent) {
            let sums = |sum: Sum| sum.of(&advert.message, advert.source, advert.destination) == 0;
            let alone = sums(Sum::MessageOnly);
            ensure!(alone == matches!(advert.id, 4 | 6), "{advert:?}");
            ensure!(sums(Sum::PseudoHeader) != alone, "{advert:?}");
        }
        Ok(())
    });
}

/// Waits until a router has accepted exactly these, and follows who sent them.
fn heard(pair: &Pair<'_>, name: &str, forms: &BTreeMap<String, u64>) -> Result<()> {
    wait_for("adverts to be heard", SOON, || {
        let router = named(pair, name)?;
        let counters = &router.counters;
        ensure!(counters.checksum_forms == *forms, "{router:?}");
        ensure!(
            counters.received == forms.values().sum::<u64>(),
            "{router:?}"
        );
        ensure!(counters.dropped_in_all() == 0, "{router:?}");
        ensure!(router.state == "backup", "{router:?}");
        ensure!(router.master == Some(LBS[1].to_string()), "{router:?}");
        Ok(())
    })?;
    Ok(())
}

fn named(pair: &Pair<'_>, name: &str) -> Result<Instance> {
    let mut routers = instances(&pair.balancer(0)?.agent)?.into_iter();
    let router = routers.find(|router| router.name == name);
    router.with_context(|| format!("no {name}"))
}

/// Without the colours of a terminal.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}

const GROUP: u8 = 52;
const ALONE: u8 = 53;
const STRICT: u8 = 54;
