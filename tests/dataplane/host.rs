//! The code of the program on the host: over a byte vector, the mapped arena and a memory of its own.

use lb_common::{
    answer,
    decide::{self, Answer, Decision, Forward},
    forward::{self, Exit},
    steer::With,
    verdict::DropReason,
};
use lb_user::{dataplane::bpf::Bpf, types::IfIndex};

use crate::{
    buffer::Buffer,
    harness::{Action, Expect, Sent},
    memory::HostMemory,
    world::{INGRESS, Target},
};

/// What it says of a frame with so many bytes of metadata in front.
pub(crate) fn judge(bpf: &Bpf, memory: &HostMemory, frame: &[u8], metadata: usize) -> Expect {
    let mut buffer = Buffer::new(frame, metadata);
    let steerer = With {
        arena: bpf.arena(),
        memory,
    };
    match decide::decide(&buffer, bpf.arena(), &steerer, INGRESS) {
        Decision::Pass => Expect::Pass,
        Decision::Drop(reason) => Expect::Drop(reason),
        Decision::Forward(forward) => sent(bpf, &mut buffer, &forward),
        Decision::Answer(told) => answered(memory, &mut buffer, &told),
    }
}

fn sent(bpf: &Bpf, buffer: &mut Buffer, forward: &Forward<'_>) -> Expect {
    let action = match forward::rewrite(buffer, forward) {
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

fn answered(memory: &HostMemory, buffer: &mut Buffer, told: &Answer) -> Expect {
    if !memory.may_answer() {
        return Expect::Drop(DropReason::TooBig);
    }
    match answer::too_big(buffer, told.l3, told.v4, told.mtu) {
        Some(()) => Expect::Answer(buffer.frame().to_vec()),
        None => Expect::Drop(DropReason::TooBig),
    }
}
