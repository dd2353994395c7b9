//! The fuzz targets of `tests/fuzz`, over mutated seeds: what `cargo xtask fuzz` searches for long,
//! guided by coverage, this does for seconds in every test run. `SEED=…` repeats a run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

#[path = "../../tests/fuzz/targets/config_yaml.rs"]
mod config_yaml;
#[path = "../../tests/fuzz/targets/control_request.rs"]
mod control_request;
#[path = "../../tests/fuzz/targets/keepalived_conf.rs"]
mod keepalived_conf;
#[path = "../../tests/fuzz/targets/packet_parse.rs"]
mod packet_parse;
#[path = "../../tests/fuzz/targets/vrrp_advert.rs"]
mod vrrp_advert;

#[test]
fn mutated_adverts_break_nothing() {
    mutate("tests/fuzz/seeds/vrrp_advert", 300_000, vrrp_advert::run);
}

#[test]
fn mutated_frames_break_nothing() {
    mutate("tests/fuzz/seeds/packet_parse", 300_000, packet_parse::run);
}

#[test]
fn mutated_requests_break_nothing() {
    mutate(
        "tests/fuzz/seeds/control_request",
        100_000,
        control_request::run,
    );
}

#[test]
fn mutated_configurations_break_nothing() {
    mutate("config", 20_000, config_yaml::run);
}

#[test]
fn mutated_keepalived_files_break_nothing() {
    mutate("tests/fixtures/keepalived", 20_000, keepalived_conf::run);
}

/// Runs every seed as it is, then `count` mutated ones.
fn mutate(seeds: &str, count: u32, run: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let seeds = read_all(&root.join(seeds));
    assert!(!seeds.is_empty(), "no seeds");
    let seed = env::var("SEED").map_or_else(|_| clock(), |text| text.parse().expect("a number"));
    println!("SEED={seed}");
    let mut random = Random(seed);
    for input in &seeds {
        Input(input).with(run);
    }
    for _ in 0..count {
        let mut input = random.one(&seeds).clone();
        for _ in 0..=random.below(4) {
            random.mutate(&mut input, &seeds);
        }
        Input(&input).with(run);
    }
}

/// An input that shows itself if it breaks something: as a file of it would go to `cargo xtask fuzz`.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn with(&self, run: fn(&[u8])) {
        run(self.0);
    }
}

impl Drop for Input<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("input: {}", self.0.escape_ascii());
        }
    }
}

/// All files below a directory, in the order of their paths, so that a seed means the same everywhere.
fn read_all(dir: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(dir).expect("seeds are part of the source");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("listed").path()).collect();
    paths.sort();
    let read = |path: PathBuf| match path.is_dir() {
        true => read_all(&path),
        false => vec![fs::read(path).expect("readable")],
    };
    paths.into_iter().flat_map(read).collect()
}

fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()) ^ now.as_secs() << 30)
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        lb_common::hash::mix64(self.0)
    }

    /// Below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("less than a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A part of `bytes`, mostly a short one.
    fn part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let from = self.below(bytes.len());
        let longest = bytes.len() - from;
        let longest = if self.below(4) == 0 {
            longest
        } else {
            longest.min(16)
        };
        let length = self.below(longest + 1);
        &bytes[from..from + length]
    }

    /// Changes one thing.
    fn mutate(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len());
        let end = at + self.part(&input[at..]).len();
        match self.below(9) {
            _ if input.is_empty() => input.push(self.byte()),
            0 | 1 => input[at] ^= 1 << self.below(8),
            2 => input[at] = self.byte(),
            3 => input[at] = *self.one(EDGES),
            4 => input.truncate(at),
            5 => drop(input.drain(at..end)),
            6 => {
                let seed = self.one(seeds);
                let other = self.part(seed).to_vec();
                drop(input.splice(at..at, other));
            }
            7 => {
                let repeated = input[at..end].repeat(1 + self.below(4));
                drop(input.splice(at..at, repeated));
            }
            _ => {
                let length = self.below(16);
                let random: Vec<u8> = (0..length).map(|_| self.byte()).collect();
                drop(input.splice(at..end, random));
            }
        }
    }
}

/// Numbers at an edge, protocol numbers, and what has a meaning in YAML or JSON.
const EDGES: &[u8] =
    b"\0\x01\x04\x06\x11\x21\x2b\x2c\x31\x3a\x3c\x7f\x80\xff \t\n\r\"'#&*-:,?!|>%@{}[]~9";
