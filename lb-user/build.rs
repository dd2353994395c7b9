//! Builds the XDP program with aya-build and leaves the object in `OUT_DIR` for `include_bytes`.

fn main() -> anyhow::Result<()> {
    // aya-build passes `-Z build-std` only when it may use unstable features; the pinned toolchain
    // is stable, so say so. Only the cargo it starts sees this.
    // SAFETY: a build script's main has no other thread yet.
    #[expect(unsafe_code, reason = "set_var before any thread exists")]
    unsafe {
        std::env::set_var("RUSTC_BOOTSTRAP", "1");
    }
    aya_build::build_ebpf(
        [aya_build::Package {
            name: "lb-ebpf",
            root_dir: "../lb-ebpf",
            ..Default::default()
        }],
        aya_build::Toolchain::Custom("1.95.0"),
    )
}
