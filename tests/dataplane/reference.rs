//! What should become of a packet, decided a second time: slowly, one obvious step after the other, from
//! the rules of the data plane and the world's image alone. It shares no code with the program but the
//! ring's hash, which is a definition. Packets are read with `pnet_packet`, and what leaves is written down
//! from the wire up.
//!
//! Of two things that are wrong with a packet the first one is counted, in this order:
//!
//! 1. Not IP, not TCP or UDP or an ICMP error about them: passed ([`read`]).
//! 2. Headers that cannot be read up to the ports: dropped if the address is a service's, else passed.
//! 3. No service, or not for our MAC: passed. Fragments without ports go where the first one went.
//! 4. Longer than the frame, headers longer than the packet, no hop left, a source that cannot be, a
//!    transport header that cannot be ([`fit`]).
//! 5. Nobody to send it to ([`steer`]).
//! 6. No next hop, a peer's frame, too big, no room in front, no such interface ([`send`]).

mod config;
mod fit;
mod read;
mod send;
mod steer;

use std::{collections::HashMap, net::IpAddr, rc::Rc};

use lb_common::{
    hash::{hash_of_tag, mix64},
    verdict::{DropReason, FlowEvent},
};
use lb_user::dataplane::image::Image;

use crate::{
    harness::{Expect, Sent},
    world::Target,
};
use config::{Backend, Config};
use read::{Packet, Part, Read};

/// The rules, and what they remember.
#[derive(Clone, PartialEq)]
pub(crate) struct Reference {
    config: Rc<Config>,
    flows: steer::Flows,
    fragments: HashMap<FragmentKey, Note>,
    /// The tick of the last answer, and how many were given in it.
    answers: (u32, u32),
    /// Whether there is room for everything that is to be remembered. If not, what becomes of a flow
    /// that would be is not known here.
    forgets_nothing: bool,
}

/// What the fragments of a packet have in common: addresses and id, and in IPv4 the protocol.
type FragmentKey = (IpAddr, IpAddr, u32, Option<u8>);

/// Where the fragments of a packet go.
#[derive(Clone, Copy, PartialEq)]
enum Note {
    Stack,
    Backend {
        service: u32,
        id: u32,
        generation: u16,
    },
    Unknown,
}

/// Why a packet is not sent.
enum Refused {
    Passed,
    Dropped(DropReason),
    /// It depends on what there was no room for.
    Unknown,
}

impl From<DropReason> for Refused {
    fn from(reason: DropReason) -> Self {
        Self::Dropped(reason)
    }
}

/// Where a packet goes.
struct Route<'a> {
    service: u32,
    backend: &'a Backend,
    hash: u32,
    new_flow: bool,
}

/// How many answers a processor gives in a tick.
const ANSWERS: u32 = 100;

impl Reference {
    pub(crate) fn new(image: &Image, forgets_nothing: bool) -> Self {
        Self {
            config: Rc::new(Config::new(image)),
            flows: steer::Flows::default(),
            fragments: HashMap::new(),
            answers: (0, 0),
            forgets_nothing,
        }
    }

    /// The image changes, and what is remembered stays.
    pub(crate) fn reconfigure(&mut self, image: &Image) {
        self.config = Rc::new(Config::new(image));
    }

    /// What flows did to the connection table.
    pub(crate) fn events(&self) -> &HashMap<(u32, FlowEvent), u64> {
        &self.flows.events
    }

    /// What becomes of a frame that can grow by `room` bytes at its head, in a tick of the clock; `None`
    /// where that is not known.
    pub(crate) fn judge(&mut self, frame: &[u8], room: usize, tick: u32) -> Option<Expect> {
        match self.decide(frame, room, tick) {
            Ok(expect) => Some(expect),
            Err(Refused::Passed) => Some(Expect::Pass),
            Err(Refused::Dropped(reason)) => Some(Expect::Drop(reason)),
            Err(Refused::Unknown) => None,
        }
    }

    fn decide(&mut self, frame: &[u8], room: usize, tick: u32) -> Result<Expect, Refused> {
        let config = Rc::clone(&self.config);
        let packet = match read::frame(frame) {
            Read::Foreign => return Err(Refused::Passed),
            Read::Broken {
                destination,
                reason,
            } if config.is_vip(destination) && config.is_ours(frame) => return Err(reason.into()),
            Read::Broken { .. } => return Err(Refused::Passed),
            Read::Packet(packet) => packet,
        };
        let route = match packet.part {
            Part::Later { .. } => self.follow(&config, frame, &packet)?,
            _ => self.lead(&config, frame, &packet, tick)?,
        };
        self.leave(&config, frame, &packet, &route, (room, tick))
    }

    /// A packet with ports.
    fn lead<'a>(
        &mut self,
        config: &'a Config,
        frame: &[u8],
        packet: &Packet,
        tick: u32,
    ) -> Result<Route<'a>, Refused> {
        let ours = config.is_ours(frame);
        let flow = packet.flow();
        let Some(service) = config.service(packet.destination, flow.port, flow.protocol) else {
            if ours && config.is_vip(packet.destination) {
                self.note(packet, Note::Stack);
            }
            return Err(Refused::Passed);
        };
        if !ours {
            return Err(Refused::Passed);
        }
        fit::packet(config, frame, packet)?;
        let hash = service.hash(flow.client, flow.client_port);
        let slot_hash = service.slot_hash(flow.client, flow.client_port);
        if !self.forgets_nothing && service.asks_memory(slot_hash) {
            self.note(packet, Note::Unknown);
            return Err(Refused::Unknown);
        }
        let segment = packet.segment(frame);
        let id = self.flows.steer(config, service, &flow, segment, tick)?;
        let backend = config.backend(id);
        self.note(
            packet,
            Note::Backend {
                service: service.id,
                id,
                generation: backend.generation,
            },
        );
        Ok(Route {
            service: service.id,
            backend,
            hash,
            new_flow: segment.opens(),
        })
    }

    /// What the later fragments of a packet are to do, if it is the first of several.
    fn note(&mut self, packet: &Packet, note: Note) {
        if let Part::First { id, .. } = packet.part {
            self.fragments.insert(packet.fragment_key(id), note);
        }
    }

    /// A later fragment goes where the first one went.
    fn follow<'a>(
        &self,
        config: &'a Config,
        frame: &[u8],
        packet: &Packet,
    ) -> Result<Route<'a>, Refused> {
        let Part::Later { id } = packet.part else {
            return Err(Refused::Passed);
        };
        if !config.is_ours(frame) || !config.is_vip(packet.destination) {
            return Err(Refused::Passed);
        }
        let (service, backend, generation) = match self.fragments.get(&packet.fragment_key(id)) {
            None => return Err(DropReason::Fragment.into()),
            Some(Note::Stack) => return Err(Refused::Passed),
            Some(Note::Unknown) => return Err(Refused::Unknown),
            Some(Note::Backend {
                service,
                id,
                generation,
            }) => (*service, config.backend(*id), *generation),
        };
        fit::packet(config, frame, packet)?;
        if backend.generation != generation {
            return Err(DropReason::Fragment.into());
        }
        Ok(Route {
            service,
            backend,
            // Whatever it is, all fragments of a packet have the same.
            hash: hash_of_tag(mix64(id.into())),
            new_flow: false,
        })
    }

    fn leave(
        &mut self,
        config: &Config,
        frame: &[u8],
        packet: &Packet,
        route: &Route<'_>,
        (room, tick): (usize, u32),
    ) -> Result<Expect, Refused> {
        match send::packet(config, frame, packet, route, room) {
            // Nor is it known how many answers there have been.
            Err(DropReason::TooBig) if send::wants_answer(packet) && !self.forgets_nothing => {
                Err(Refused::Unknown)
            }
            Err(DropReason::TooBig) if send::wants_answer(packet) => {
                if self.answers.0 != tick {
                    self.answers = (tick, 0);
                }
                if self.answers.1 == ANSWERS {
                    return Err(DropReason::TooBig.into());
                }
                self.answers.1 += 1;
                let answer = send::answer(frame, packet, route.backend);
                // The frame is cut off behind what is embedded, and grows by the headers in front of it.
                if answer.len() > packet.link + send::EMBEDDED + room {
                    return Err(DropReason::TooBig.into());
                }
                Ok(Expect::Answer(answer))
            }
            Err(reason) => Err(reason.into()),
            Ok((action, bytes)) => Ok(Expect::Send(Sent {
                action,
                target: Target {
                    service: route.service,
                    backend: route.backend.id,
                },
                bytes: packet.length,
                new_flow: route.new_flow,
                frame: bytes,
            })),
        }
    }
}
