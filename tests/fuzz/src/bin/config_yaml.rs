//! libFuzzer's entry to `targets/config_yaml.rs`.
#![no_main]

#[path = "../../targets/config_yaml.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
