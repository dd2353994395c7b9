//! Random frames: mostly packets that are right, of services and beside them, and then things changed in
//! them. The same seed makes the same frames.

mod packets;
mod related;

use std::collections::VecDeque;

use lb_common::hash::mix64;

use crate::world::{Family, Way};

/// Makes frames.
pub(crate) struct Generator {
    random: Random,
    ways: Vec<Way>,
    /// How many clients come back.
    clients: u64,
    /// Frames that belong together and come one after the other, with others between them.
    next: VecDeque<Vec<u8>>,
}

impl Generator {
    /// With clients of all services that come back now and then.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            ways: Way::all(),
            clients: 40,
            next: VecDeque::new(),
        }
    }

    /// With more flows to remember than a small table has room for.
    pub(crate) fn flood(seed: u64) -> Self {
        Self {
            ways: vec![Way::Turns, Way::Moved, Way::Resized],
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
        let family = self.random.one(&Family::BOTH);
        match self.random.below(100) {
            0 => {
                let length = 14 + self.random.below(200);
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
            for _ in 0..=self.random.below(3) {
                self.change(&mut frame);
            }
        }
        frame
    }

    /// Changes one thing where headers are.
    fn change(&mut self, frame: &mut Vec<u8>) {
        let random = &mut self.random;
        let at = random.below(frame.len().min(110) as u64);
        match random.below(5) {
            0 => frame[at] ^= 1 << random.below(8),
            1 => frame[at] = random.byte(),
            2 => frame[at] = random.one(&[0, 1, 4, 6, 17, 43, 44, 58, 60, 0x45, 0x60, 0xff]),
            3 => frame.truncate(at.max(14)),
            _ => {
                let length = random.below(40);
                let trailer = random.bytes(length);
                frame.extend(trailer);
            }
        }
    }
}

/// splitmix64.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix64(self.0)
    }

    pub(crate) fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end).expect("small numbers only")
    }

    /// Once in `times`.
    pub(crate) fn rarely(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let [byte, ..] = self.next().to_le_bytes();
        byte
    }

    pub(crate) fn word(&mut self) -> u16 {
        let [a, b, ..] = self.next().to_le_bytes();
        u16::from_le_bytes([a, b])
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let words = (0..length.div_ceil(8)).map(|_| self.next());
        let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        bytes.truncate(length);
        bytes
    }

    pub(crate) fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64)]
    }
}
