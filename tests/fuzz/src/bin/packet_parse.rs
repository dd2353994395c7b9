//! libFuzzer's entry to `targets/packet_parse.rs`.
#![no_main]

#[path = "../../targets/packet_parse.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
