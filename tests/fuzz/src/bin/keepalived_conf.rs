//! libFuzzer's entry to `targets/keepalived_conf.rs`.
#![no_main]

#[path = "../../targets/keepalived_conf.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
