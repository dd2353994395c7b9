//! Random frames: mostly packets that are right, of services and beside them, and then things changed in
//! them. The same seed makes the same frames.

mod packets;
mod related;

use std::collections::VecDeque;

use lb_tests::random::Random;

use crate::world::{Family, Way};

/// Makes frames.
pub(crate) struct Generator {
    random: Random,
    ways: Vec<Way>,
    /// How many clients come back.
    clients: usize,
    /// Frames that belong together and come one after the other, with others between them.
    next: VecDeque<Vec<u8>>,
}

impl Generator {
    /// With clients of all services that come back now and then.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            ways: Way::all(),
            clients: 40,
            next: VecDeque::new(),
        }
    }

    /// With more flows to remember than a small table has room for.
    pub(crate) fn flood(seed: u64) -> Self {
        Self {
            ways: vec![Way::Turns, Way::Clients, Way::Moved, Way::Resized],
            clients: 3000,
            ..Self::new(seed)
        }
    }

    /// The next frame, of at least 14 bytes.
    pub(crate) fn frame(&mut self) -> Vec<u8> {
        if !self.next.is_empty() && !self.random.rarely(3) {
            let frame = self.next.pop_front().unwrap_or_default();
            return self.changed(frame, 20);
        }
        let family = self.random.pick(&Family::BOTH);
        match self.random.index(100) {
            0 => {
                let length = 14 + self.random.index(200);
                self.random.bytes(length)
            }
            1..=8 => {
                let error = self.error(family);
                self.changed(error, 4)
            }
            9..=12 => self.related(family, Self::fragments),
            13..=20 => self.related(family, Self::conversation),
            _ => {
                let packet = self.packet(family).build();
                self.changed(packet, 3)
            }
        }
    }

    /// The first of several frames; the others come next.
    fn related(&mut self, family: Family, make: fn(&mut Self, Family) -> Vec<Vec<u8>>) -> Vec<u8> {
        let frames = make(self, family);
        self.next.extend(frames);
        self.next.pop_front().unwrap_or_else(|| vec![0; 14])
    }

    /// A frame, one in `times` of them not as it was.
    fn changed(&mut self, mut frame: Vec<u8>, times: u64) -> Vec<u8> {
        if self.random.rarely(times) {
            for _ in 0..=self.random.index(3) {
                self.change(&mut frame);
            }
        }
        frame
    }

    /// Changes one thing where headers are.
    fn change(&mut self, frame: &mut Vec<u8>) {
        let random = &mut self.random;
        let at = random.index(frame.len().min(110));
        match random.index(5) {
            0 => frame[at] ^= 1 << random.index(8),
            1 => frame[at] = random.byte(),
            2 => frame[at] = random.pick(&[0, 1, 4, 6, 17, 43, 44, 58, 60, 0x45, 0x60, 0xff]),
            3 => frame.truncate(at.max(14)),
            _ => {
                let length = random.index(40);
                let trailer = random.bytes(length);
                frame.extend(trailer);
            }
        }
    }
}
