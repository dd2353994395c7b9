//! Linker settings of the BPF objects; nothing for the host.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "bpf") {
        // Headers are rarely aligned in a packet, and the kernels we run on read misaligned words in
        // one instruction; without this LLVM assembles each field from bytes.
        println!("cargo::rustc-link-arg-bins=--cpu-features=+allows-misaligned-mem-access");
    }
}
