//! The tunnel's end of a real server: the second program, by the same means.

use std::{collections::BTreeSet, net::IpAddr, path::Path};

use anyhow::{Context, Result, ensure};
use aya::{TestRun as _, TestRunOptions};
use lb_common::decap::DecapCounters;
use lb_tests::{
    lab,
    packet::{Packet, eth},
    require::Need,
};
use lb_user::realserver::program::{Contents, Program, look};

use crate::harness::{Action, PINS, hex};

/// What is expected of a frame.
enum Expect {
    /// Up the stack as it came.
    Pass,
    /// Up the stack like this.
    Unwrapped(Vec<u8>),
    /// Dropped; this counter moves.
    Drop(fn(&mut DecapCounters) -> &mut u64),
}

struct Bench {
    program: Program,
    failures: String,
    cases: usize,
}

impl Bench {
    fn counters(&self) -> Result<DecapCounters> {
        Ok(look(Path::new(PINS)).context("nothing is pinned")?.counters)
    }

    fn case(&mut self, name: &str, frame: &[u8], expect: &Expect) -> Result<()> {
        let mut wanted_counters = self.counters()?;
        let mut out = vec![0; frame.len() + 256];
        let result = self.program.xdp().test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        })?;
        out.truncate(result.data_size_out as usize);
        let (action, wanted) = match expect {
            Expect::Pass => (Action::Pass, Some(frame)),
            Expect::Unwrapped(inner) => {
                wanted_counters.packets += 1;
                // Without link layer and padding; the cases below have neither tags nor padding here.
                wanted_counters.bytes += ip_length(inner)?;
                (Action::Pass, Some(inner.as_slice()))
            }
            Expect::Drop(counter) => {
                *counter(&mut wanted_counters) += 1;
                (Action::Drop, None)
            }
        };
        let counters = self.counters()?;
        let right = result.return_value == action as u32
            && wanted.is_none_or(|wanted| wanted == out)
            && counters == wanted_counters;
        self.cases += 1;
        if !right {
            self.failures += &format!(
                "{name}: verdict {}, expected {action:?}\n  in       {}\n  expected {}\n  found    {}\n  {counters:?}\n",
                result.return_value,
                hex(frame),
                hex(wanted.unwrap_or_default()),
                hex(&out)
            );
        }
        Ok(())
    }
}

/// Length of the IP packet in a frame, by its own header.
fn ip_length(frame: &[u8]) -> Result<u64> {
    let mut l3 = 14;
    while frame[l3 - 2..l3] == [0x81, 0] || frame[l3 - 2..l3] == [0x88, 0xa8] {
        l3 += 4;
    }
    let word = |at: usize| u64::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
    match frame[l3] >> 4 {
        4 => Ok(word(l3 + 2)),
        6 => Ok(word(l3 + 4) + 40),
        other => anyhow::bail!("IP version {other}"),
    }
}

fn cases(body: impl FnOnce(&mut Bench) -> Result<()> + Send) {
    lab::test(&[Need::Root], |lab| {
        lab.host("web1")?.run(|| {
            let mut program = Program::open(Path::new(PINS))?;
            program.set(&contents())?;
            let mut bench = Bench {
                program,
                failures: String::new(),
                cases: 0,
            };
            body(&mut bench)?;
            ensure!(
                bench.failures.is_empty(),
                "of {} cases some went wrong:\n{}",
                bench.cases,
                bench.failures
            );
            Ok(())
        })
    });
}

fn contents() -> Contents {
    Contents {
        hosts: addresses(&SERVER),
        vips: addresses(&VIP),
        sources: ["10.0.0.0/30", "fd00::2/128"]
            .map(|net| net.parse().expect("a prefix"))
            .into(),
    }
}

fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
    let parsed = texts.iter().map(|text| text.parse().expect("an address"));
    parsed.collect()
}

const BALANCER: [&str; 2] = ["10.0.0.2", "fd00::2"];
const STRANGER: [&str; 2] = ["10.0.0.4", "fd00::3"];
const SERVER: [&str; 2] = ["10.0.0.101", "fd00::101"];
const VIP: [&str; 2] = ["10.0.0.125", "fd00::125"];
const CLIENT: [&str; 2] = ["192.0.2.7", "2001:db8::7"];

fn ip(before: Packet, source: &str, destination: &str) -> Packet {
    if source.contains(':') {
        before.ipv6(source, destination)
    } else {
        before.ipv4(source, destination)
    }
}

fn inner(before: Packet, family: usize) -> Packet {
    let ip = ip(before, CLIENT[family], VIP[family]).ttl(61).tos(0x48);
    ip.udp(40_000, 53).payload("a question")
}

fn outer(before: Packet, family: usize) -> Packet {
    ip(before, BALANCER[family], SERVER[family]).tos(0x48)
}

#[test]
fn all_four_kinds_come_out_byte_for_byte_with_their_tags() {
    cases(|bench| {
        let tags: [fn() -> Packet; 3] = [eth, || eth().vlan(5), || eth().service_vlan(6).vlan(7)];
        for link in tags {
            for (out, ins) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                bench.case(
                    &format!("{ins} in {out}"),
                    &inner(outer(link(), out), ins).build(),
                    &Expect::Unwrapped(inner(link(), ins).build()),
                )?;
            }
        }
        bench.case(
            "with destination options",
            &inner(outer(eth(), 1).destination_options(0), 0).build(),
            &Expect::Unwrapped(inner(eth(), 0).build()),
        )
    });
}

#[test]
fn only_balancers_are_listened_to() {
    cases(|bench| {
        for family in [0, 1] {
            let forged = ip(eth(), STRANGER[family], SERVER[family]);
            bench.case(
                "from outside of the prefix",
                &inner(forged, family).build(),
                &Expect::Drop(|counters| &mut counters.source_refused),
            )?;
        }
        for allowed in ["10.0.0.1", "10.0.0.3"] {
            let packet = ip(eth(), allowed, SERVER[0]);
            bench.case(
                "from within the prefix",
                &inner(packet, 0).build(),
                &Expect::Unwrapped(inner(eth(), 0).build()),
            )?;
        }
        Ok(())
    });
}

#[test]
fn what_is_not_for_a_virtual_address_passes_untouched() {
    cases(|bench| {
        for (name, frame) in [
            (
                "another host's",
                inner(ip(eth(), BALANCER[0], "10.0.0.9"), 0),
            ),
            (
                "another tunnel's",
                ip(outer(eth(), 0), CLIENT[0], "10.9.9.9").udp(1, 2),
            ),
            ("no tunnel's", ip(eth(), CLIENT[0], VIP[0]).tcp(1, 80)),
            ("a short one", outer(eth(), 0).payload("x")),
            ("no IP at all", eth().ethertype(0x0806).payload([0; 46])),
        ] {
            bench.case(name, &frame.build(), &Expect::Pass)?;
        }
        Ok(())
    });
}

#[test]
fn fragments_and_lies_about_lengths_are_dropped() {
    cases(|bench| {
        bench.case(
            "a fragment of IPv6",
            &inner(outer(eth(), 1).fragment(0, true, 9), 1).build(),
            &Expect::Drop(|counters| &mut counters.fragment),
        )?;
        bench.case(
            "an inner packet longer than the outer one",
            &ip(outer(eth(), 0), CLIENT[0], VIP[0])
                .ip_length(1400)
                .udp(1, 2)
                .build(),
            &Expect::Drop(|counters| &mut counters.malformed),
        )
    });
}

#[test]
fn congestion_on_the_way_is_told_to_whom_it_may_concern() {
    cases(|bench| {
        for family in [0, 1] {
            let marked = |tos| {
                let outer = ip(eth(), BALANCER[family], SERVER[family]).tos(3);
                ip(outer, CLIENT[family], VIP[family]).tos(tos).udp(1, 2)
            };
            let expected = ip(eth(), CLIENT[family], VIP[family]).tos(3).udp(1, 2);
            bench.case(
                "a flow that knows marks",
                &marked(2).build(),
                &Expect::Unwrapped(expected.build()),
            )?;
            bench.case(
                "a flow that does not",
                &marked(0).build(),
                &Expect::Drop(|counters| &mut counters.congestion),
            )?;
        }
        Ok(())
    });
}

#[test]
fn tables_follow_what_is_wished_and_are_read_back() {
    cases(|bench| {
        let read = || look(Path::new(PINS)).map(|seen| seen.contents);
        assert_eq!(read(), Some(contents()));
        let mut other = contents();
        other.vips = addresses(&[VIP[1]]);
        other.sources = ["fd00::/64".parse()?].into();
        other.hosts = addresses(&["10.0.0.102"]);
        bench.program.set(&other)?;
        assert_eq!(read(), Some(other));
        bench.case(
            "for one of before",
            &inner(outer(eth(), 0), 0).build(),
            &Expect::Pass,
        )
    });
}
