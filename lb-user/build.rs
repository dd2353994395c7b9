//! Builds the eBPF objects with aya-build and leaves them in `OUT_DIR` for `include_bytes`:
//! one per binary of `lb-ebpf`, and `ballast-xdp-trace`, the build of the XDP program that logs
//! (feature `trace`), which only `--trace-packets` loads.
//!
//! `AYA_BUILD_SKIP=1` writes empty objects instead: enough for clippy and docs, refused at load.

#[path = "build/btf.rs"]
mod btf;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use aya_build::{Package, Toolchain};

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed={SKIP}");
    println!("cargo:rerun-if-changed={TOOLCHAIN_FILE}");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    if env::var(SKIP).is_ok_and(|value| value == "1" || value.eq_ignore_ascii_case("true")) {
        return write_placeholders(&out_dir);
    }

    let channel = toolchain()?;
    check_tools(&channel)?;
    // SAFETY: a build script's main has no other thread yet.
    #[expect(unsafe_code, reason = "set_var before any thread exists")]
    unsafe {
        // aya-build passes `-Z build-std` only when it may use unstable features; the pinned
        // toolchain is stable, so say so. Only the cargo it starts sees this.
        env::set_var("RUSTC_BOOTSTRAP", "1");
        // aya-build turns every line of that cargo's stderr into a warning: leave the real ones.
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
    // Both builds share a target directory, hence file names: move the first out of the way.
    build(&["trace"], &channel, &out_dir)?;
    let (from, to) = (out_dir.join(XDP_BIN), out_dir.join(TRACE_OBJECT));
    fs::rename(&from, &to)
        .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
    build(&[], &channel, &out_dir)
}

fn build(features: &[&str], channel: &str, out_dir: &Path) -> anyhow::Result<()> {
    let package = Package {
        name: "lb-ebpf",
        root_dir: EBPF_DIR,
        features,
        ..Default::default()
    };
    aya_build::build_ebpf([package], Toolchain::Custom(channel)).with_context(|| {
        format!(
            "cannot build the eBPF program (features: {features:?}); the warnings above say why"
        )
    })?;
    let object = out_dir.join(XDP_BIN);
    btf::bytes_are_text(&object).with_context(|| format!("cannot edit {}", object.display()))
}

/// The toolchain the workspace is pinned to: its LLVM must be the one bpf-linker reads.
fn toolchain() -> anyhow::Result<String> {
    let text = fs::read_to_string(TOOLCHAIN_FILE)
        .with_context(|| format!("cannot read {TOOLCHAIN_FILE}"))?;
    text.lines()
        .find_map(|line| Some(line.strip_prefix("channel")?.split('"').nth(1)?.to_owned()))
        .with_context(|| format!("{TOOLCHAIN_FILE} names no channel"))
}

/// Names what is missing before a wall of linker errors does.
fn check_tools(channel: &str) -> anyhow::Result<()> {
    if Command::new("bpf-linker")
        .arg("--version")
        .output()
        .is_err()
    {
        bail!("bpf-linker is not on the PATH; run `cargo xtask setup`");
    }
    // The same choice of compiler as aya-build makes.
    let rustc = Command::new("rustup")
        .args(["run", channel, "rustc", "--print", "sysroot"])
        .output();
    let rustc = rustc.or_else(|_| Command::new("rustc").args(["--print", "sysroot"]).output());
    let output = rustc.context("cannot run rustc")?;
    if !output.status.success() {
        bail!(
            "no rustc {channel}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let sysroot = String::from_utf8(output.stdout).context("the sysroot's path is not UTF-8")?;
    let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core");
    if !core.exists() {
        bail!(
            "rust-src of {channel} is missing ({}); run `cargo xtask setup`",
            core.display()
        );
    }
    Ok(())
}

fn write_placeholders(out_dir: &Path) -> anyhow::Result<()> {
    let manifest = Path::new(EBPF_DIR).join("Cargo.toml");
    println!("cargo:rerun-if-changed={}", manifest.display());
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    let bins = text.split("[[bin]]").skip(1).filter_map(|table| {
        table
            .lines()
            .find_map(|line| line.strip_prefix("name")?.split('"').nth(1))
    });
    for name in bins.chain([TRACE_OBJECT]) {
        let path = out_dir.join(name);
        fs::write(&path, []).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("cargo:warning={SKIP} is set: the eBPF objects are empty and will not load");
    Ok(())
}

const SKIP: &str = "AYA_BUILD_SKIP";
const EBPF_DIR: &str = "../lb-ebpf";
const TOOLCHAIN_FILE: &str = "../rust-toolchain.toml";
const XDP_BIN: &str = "ballast-xdp";
const TRACE_OBJECT: &str = "ballast-xdp-trace";
