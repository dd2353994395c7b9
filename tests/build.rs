//! Builds the bench's BPF programs, as `lb-user/build.rs` does the shipped ones.

use std::{env, fs, path::PathBuf};

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed=AYA_BUILD_SKIP");
    println!("cargo:rerun-if-changed=../lb-ebpf/src/packet.rs");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    if env::var("AYA_BUILD_SKIP").is_ok_and(|value| value == "1" || value == "true") {
        return fs::write(out_dir.join("bench-xdp"), []).context("cannot write the placeholder");
    }
    // SAFETY: a build script's main has no other thread yet.
    #[expect(unsafe_code, reason = "set_var before any thread exists")]
    unsafe {
        // See lb-user/build.rs.
        env::set_var("RUSTC_BOOTSTRAP", "1");
        env::set_var("CARGO_TERM_QUIET", "true");
        // v3 (kernel 5.1): 32-bit arithmetic and jumps. rustc tells bpf-linker the CPU, and aya-build
        // sets RUSTFLAGS itself: a profile's flags are the way left.
        env::set_var("CARGO_UNSTABLE_PROFILE_RUSTFLAGS", "true");
        env::set_var("CARGO_PROFILE_RELEASE_RUSTFLAGS", "-Ctarget-cpu=v3");
        // Not for what runs on the host, though.
        env::set_var(
            "CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_RUSTFLAGS",
            "-Cdebuginfo=0",
        );
    }
    let package = aya_build::Package {
        name: "lb-bench-ebpf",
        root_dir: "bench-ebpf",
        ..Default::default()
    };
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom("1.95.0"))
        .context("cannot build the bench's BPF programs; run `cargo xtask setup`")
}
