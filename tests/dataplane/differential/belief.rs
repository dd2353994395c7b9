//! What the host and the reference hold to be so, and whether the kernel agrees.

use std::collections::HashMap;

use lb_common::verdict::FlowEvent;
use lb_user::dataplane::{bpf::Bpf, image::Image, stats::Stats};

use crate::{
    harness::{Action, Expect, hex},
    host,
    memory::{HostMemory, counts_are},
    reference::Reference,
};

/// A frame and what the program made of it.
pub(super) struct Packet<'a> {
    pub frame: &'a [u8],
    /// Bytes in front that it cannot grow into.
    pub metadata: usize,
    pub code: u32,
    pub out: &'a [u8],
}

impl Packet<'_> {
    /// Room in front of a frame: `XDP_PACKET_HEADROOM`, less what the kernel keeps for itself.
    fn room(&self) -> usize {
        256 - 40 - self.metadata
    }

    /// Whether the program did what is expected.
    fn is(&self, expect: &Expect) -> bool {
        let (action, wanted) = match expect {
            Expect::Pass => (Action::Pass, Some(self.frame)),
            Expect::Drop(_) => (Action::Drop, None),
            Expect::Send(sent) => (sent.action, Some(sent.frame.as_slice())),
            Expect::Answer(frame) => (Action::Tx, Some(frame.as_slice())),
        };
        self.code == action as u32 && wanted.is_none_or(|wanted| wanted == self.out)
    }

    pub(super) fn describe(&self) -> String {
        format!(
            "{} bytes, {} of metadata\n  in        {}\n  kernel    {} {}\n",
            self.frame.len(),
            self.metadata,
            hex(self.frame),
            self.code,
            hex(self.out)
        )
    }
}

/// See the top of this file.
#[derive(Clone, PartialEq)]
pub(super) struct Belief {
    host: HostMemory,
    reference: Reference,
    /// Whether the reference knows everything that is remembered.
    complete: bool,
}

impl Belief {
    /// Nothing has happened. If not `complete`, the connection table is too small for all that will.
    pub(super) fn new(bpf: &Bpf, complete: bool) -> Self {
        Self {
            host: HostMemory::new(bpf),
            reference: Reference::new(bpf.applied(), complete),
            complete,
        }
    }

    /// The image has changed.
    pub(super) fn reconfigure(&mut self, image: &Image) {
        self.reference.reconfigure(image);
    }

    /// What should have become of a packet in a tick, if all three agree on it; else what they say.
    pub(super) fn agree(
        &mut self,
        bpf: &Bpf,
        packet: &Packet<'_>,
        tick: u32,
    ) -> Result<Expect, String> {
        self.host.now.set(tick);
        let host = host::judge(bpf, &self.host, packet.frame, packet.metadata);
        let reference = self.reference.judge(packet.frame, packet.room(), tick);
        let same = reference
            .as_ref()
            .is_none_or(|reference| *reference == host);
        if same && packet.is(&host) {
            return Ok(host);
        }
        let mut text = String::new();
        for (name, opinion) in [("host", Some(&host)), ("reference", reference.as_ref())] {
            let said = opinion.map_or_else(|| "nothing".to_owned(), Expect::describe);
            text += &format!("  {name:9} {said}\n");
        }
        Err(text)
    }

    /// Whether the program remembers and has counted what it should.
    pub(super) fn is_remembered(&self, bpf: &Bpf, stats: &Stats) -> bool {
        let counted = !self.complete || counts_are(self.reference.events(), stats);
        counted && self.host.equals(bpf, stats)
    }

    /// What happened at the connection table.
    pub(super) fn events(&self) -> HashMap<FlowEvent, u64> {
        self.host.events()
    }
}
