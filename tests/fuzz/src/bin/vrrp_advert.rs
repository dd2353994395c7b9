//! libFuzzer's entry to `targets/vrrp_advert.rs`.
#![no_main]

#[path = "../../targets/vrrp_advert.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
