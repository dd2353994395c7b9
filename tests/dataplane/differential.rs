//! The same code twice: `lb_common` on the host, over a byte vector and the mapped arena, against the
//! program in the kernel, for random and mutated packets. `SEED=… ` repeats a run.

use std::{
    collections::BTreeMap,
    env,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use lb_common::{
    answer,
    decide::{self, Decision},
    forward::{self, Exit},
    hash::mix64,
    steer::With,
    verdict::DropReason,
};
use lb_tests::packet::{Packet, eth};
use lb_user::{
    dataplane::{bpf::Bpf, stats},
    types::IfIndex,
};

use crate::{
    buffer::Buffer,
    harness::{Action, Bench, Expect, Sent, cases, count_difference, expected_stats, hex},
    memory::{HostMemory, Notes},
    world::{Family, INGRESS, NO_SERVICE, OUR_MAC, PEER_MAC, Target, Way},
};

const PACKETS: u32 = 100_000;
/// Packets between two looks at the counters.
const BATCH: u32 = 200;
/// Metadata that leaves no room for an outer header.
const MOST_METADATA: usize = 212;

#[test]
fn the_kernel_and_the_host_agree_on_every_packet() {
    let seed = env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map_or(0, |now| u64::from(now.subsec_nanos()) ^ now.as_secs() << 30)
        });
    println!("SEED={seed}");
    cases(|bench| compare(bench, seed).with_context(|| format!("with SEED={seed}")));
}

fn compare(bench: &mut Bench, seed: u64) -> Result<()> {
    let mut random = Random(seed);
    let metadata_taken = bench.takes_metadata(MOST_METADATA);
    let mut expected = stats::read(&bench.bpf);
    let mut seen = BTreeMap::new();
    let notes = Notes::default();
    for number in 1..=PACKETS {
        let frame = random.frame();
        let metadata = match random.below(20) {
            0 if metadata_taken => 4 * random.below(MOST_METADATA as u64 / 4 + 1),
            _ => 0,
        };
        let mut expect = on_the_host(&bench.bpf, &notes, &frame, metadata);
        let (code, out) = bench.run_with(&frame, metadata)?;
        if matches!(expect, Expect::Answer(_)) && code == Action::Drop as u32 {
            // It has said so often enough.
            expect = Expect::Drop(DropReason::TooBig);
        }
        let (action, wanted) = match &expect {
            Expect::Pass => (Action::Pass, Some(frame.as_slice())),
            Expect::Drop(_) => (Action::Drop, None),
            Expect::Send(sent) => (sent.action, Some(sent.frame.as_slice())),
            Expect::Answer(frame) => (Action::Tx, Some(frame.as_slice())),
        };
        let context = || {
            format!(
                "packet {number}, {} bytes, {metadata} of metadata\n  in     {}\n  kernel {code} {}\n  host   {expect:?}",
                frame.len(),
                hex(&frame),
                hex(&out)
            )
        };
        ensure!(code == action as u32, "another verdict: {}", context());
        ensure!(
            wanted.is_none_or(|wanted| wanted == out),
            "other bytes: {}",
            context()
        );
        *seen.entry(kind(&expect)).or_insert(0u32) += 1;
        expected = expected_stats(expected, &expect);
        if number % BATCH == 0 {
            let difference = count_difference(&expected, &stats::read(&bench.bpf));
            ensure!(
                difference.is_empty(),
                "after packet {number}, counters of the last {BATCH} differ:\n{difference}"
            );
        }
    }
    println!("{seen:#?}");
    all_kinds(&seen, metadata_taken)
}

/// What the code of the program says on the host.
fn on_the_host(bpf: &Bpf, notes: &Notes, frame: &[u8], metadata: usize) -> Expect {
    let mut buffer = Buffer::new(frame, metadata);
    let memory = HostMemory {
        table: bpf.remembered(),
        notes,
    };
    let steerer = With {
        arena: bpf.arena(),
        memory: &memory,
    };
    let forward = match decide::decide(&buffer, bpf.arena(), &steerer, INGRESS) {
        Decision::Pass => return Expect::Pass,
        Decision::Drop(reason) => return Expect::Drop(reason),
        Decision::Forward(forward) => forward,
        Decision::Answer(told) => {
            return match answer::too_big(&mut buffer, told.l3, told.v4, told.mtu) {
                Some(()) => Expect::Answer(buffer.frame().to_vec()),
                None => Expect::Drop(DropReason::TooBig),
            };
        }
    };
    let action = match forward::rewrite(&mut buffer, &forward) {
        Err(reason) => return Expect::Drop(reason),
        Ok(Exit::Local) => Action::Pass,
        Ok(Exit::Interface(INGRESS)) => Action::Tx,
        Ok(Exit::Interface(other)) => {
            let known = IfIndex::new(other).is_some_and(|i| bpf.applied().devices.contains(&i));
            if !known {
                return Expect::Drop(DropReason::RedirectFailed);
            }
            Action::Redirect
        }
    };
    Expect::Send(Sent {
        action,
        target: Target {
            service: forward.service,
            backend: forward.backend.id,
        },
        bytes: forward.packet.length as usize,
        new_flow: forward.new_flow,
        frame: buffer.frame().to_vec(),
    })
}

fn kind(expect: &Expect) -> String {
    match expect {
        Expect::Pass => "passed".to_owned(),
        Expect::Drop(reason) => reason.name().to_owned(),
        Expect::Send(sent) => format!("sent: {:?}", sent.action),
        Expect::Answer(_) => DropReason::TooBigAnswered.name().to_owned(),
    }
}

/// The packets are random enough if everything that can happen did.
fn all_kinds(seen: &BTreeMap<String, u32>, metadata_taken: bool) -> Result<()> {
    let reasons = DropReason::ALL
        .into_iter()
        .filter(|reason| metadata_taken || *reason != DropReason::NoHeadroom)
        .map(|reason| reason.name().to_owned());
    let others = ["passed", "sent: Tx", "sent: Redirect", "sent: Pass"].map(str::to_owned);
    for kind in reasons.chain(others) {
        ensure!(seen.contains_key(&kind), "no packet was {kind}: {seen:#?}");
    }
    Ok(())
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix64(self.0)
    }

    fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end).expect("less than a usize")
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64)].clone()
    }

    /// Once in `n`.
    fn rarely(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn word(&mut self) -> u16 {
        let [low, high, ..] = self.next().to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    fn frame(&mut self) -> Vec<u8> {
        if self.rarely(20) {
            let length = 14 + self.below(200);
            return self.bytes(length);
        }
        let mut frame = self.packet().build();
        if !self.rarely(3) {
            return frame;
        }
        for _ in 0..=self.below(3) {
            self.mutate(&mut frame);
        }
        frame
    }

    /// Changes one thing where headers are.
    fn mutate(&mut self, frame: &mut Vec<u8>) {
        let at = self.below(frame.len().min(110) as u64);
        match self.below(5) {
            0 => frame[at] ^= 1 << self.below(8),
            1 => frame[at] = self.byte(),
            2 => frame[at] = self.one(&[0, 1, 4, 6, 17, 43, 44, 58, 60, 0x45, 0x60, 0xff]),
            3 => frame.truncate(at.max(14)),
            _ => {
                let length = self.below(40);
                let trailer = self.bytes(length);
                frame.extend(trailer);
            }
        }
    }

    /// A packet that is mostly right.
    fn packet(&mut self) -> Packet {
        let family = self.one(&Family::BOTH);
        let ip = self.ip(family);
        let port = match self.one(&Way::all()) {
            _ if self.rarely(20) => NO_SERVICE,
            way => way.port(),
        };
        let source_port = self.word();
        let packet = match self.below(13) {
            0 => ip.icmp(self.byte(), self.byte(), 0),
            1..=6 => self.tcp(ip.tcp(source_port, port)),
            _ if self.rarely(20) => ip.udp(source_port, port).udp_length(self.word()),
            _ => ip.udp(source_port, port),
        };
        let length = match self.below(10) {
            0 => 1380 + self.below(120),
            1 => self.below(2000),
            _ => self.below(64),
        };
        let payload = self.bytes(length);
        packet.payload(payload)
    }

    fn ethernet(&mut self) -> Packet {
        let mac = match self.below(30) {
            0 => [0xff; 6],
            1 => PEER_MAC,
            _ => OUR_MAC,
        };
        let packet = eth().dst_mac(mac);
        let packet = if self.rarely(20) {
            packet.src_mac(PEER_MAC)
        } else {
            packet
        };
        match self.below(5) {
            0 => packet.vlan(self.word()),
            1 => packet.service_vlan(self.word()).vlan(self.word()),
            2 if self.rarely(2) => packet.vlan(self.word()).vlan(self.word()),
            _ => packet,
        }
    }

    fn ip(&mut self, family: Family) -> Packet {
        let source = self.source(family);
        let packet = self.ethernet();
        let ttl = match self.below(20) {
            0 => self.one(&[0, 1]),
            _ => self.byte().max(2),
        };
        let ip = family
            .header(packet, &source, family.vip())
            .ttl(ttl)
            .tos(self.byte());
        match family {
            Family::V4 => self.v4(ip),
            Family::V6 => self.v6(ip),
        }
    }

    fn source(&mut self, family: Family) -> String {
        if self.rarely(20) {
            let martians = match family {
                Family::V4 => ["127.0.0.1", "0.1.2.3", "239.1.1.1", family.vip()],
                Family::V6 => ["::1", "ff02::1", "::ffff:1.2.3.4", family.vip()],
            };
            return self.one(&martians).to_owned();
        }
        let [a, b, c, d, ..] = self.next().to_le_bytes();
        match family {
            Family::V4 => format!("198.{a}.{b}.{c}"),
            Family::V6 => format!("2001:db8:{a:x}{b:02x}::{c:x}:{d:x}"),
        }
    }

    fn v4(&mut self, ip: Packet) -> Packet {
        let ip = ip.ip_id(self.word()).dont_fragment(self.rarely(2));
        match self.below(30) {
            0 => ip.ip_fragment(self.one(&[0, 8, 1480]), self.rarely(2)),
            1 => ip.ip_checksum(self.word()),
            2 => ip.ip_length(self.word() % 1600),
            3 => ip.ihl(self.byte() & 15),
            4..=6 => {
                let words = 1 + self.below(10);
                let options = self.bytes(4 * words);
                ip.ip_options(options)
            }
            _ => ip,
        }
    }

    fn v6(&mut self, ip: Packet) -> Packet {
        let mut ip = ip.flow_label(u32::from(self.word()));
        if self.rarely(30) {
            ip = ip.ip_length(self.word() % 1600);
        }
        if !self.rarely(4) {
            return ip;
        }
        for _ in 0..1 + self.below(8) {
            ip = match self.below(4) {
                0 => ip.hop_by_hop(self.byte() & 3),
                1 => ip.routing(self.byte() & 3, u8::from(self.rarely(8))),
                2 => ip.fragment(
                    self.one(&[0, 0, 0, 8]),
                    self.rarely(8),
                    u32::from(self.word()),
                ),
                _ => ip.destination_options(self.byte() & 3),
            };
        }
        ip
    }

    fn tcp(&mut self, tcp: Packet) -> Packet {
        let tcp = tcp.flags(self.byte());
        match self.below(15) {
            0 => tcp.data_offset(self.byte() & 15),
            1 => tcp.tcp_options([1; 12]),
            2 => tcp.l4_checksum(self.word()),
            _ => tcp,
        }
    }
}
