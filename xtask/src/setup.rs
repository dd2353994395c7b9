//! Installs what the other commands need, says so first, asks nothing, does nothing twice.
//!
//! Debian packages come first (cargo needs a C linker), then the sources of `core` for the pinned
//! toolchain, then bpf-linker. Every check is a look at the file or binary itself, so a second run
//! costs milliseconds and a tool that came from elsewhere counts.

pub(crate) mod apt;
mod bpf_linker;
pub(crate) mod cache;
mod debian_source;
pub(crate) mod distro;
mod packages;
mod policy;
mod rust_src;
mod toolchain;

use anyhow::Result;
use toolchain::Toolchain;

/// What a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// To build the workspace, the eBPF objects included.
    Build,
    /// To run the lab, the demo and the tests in network namespaces.
    Lab,
    /// To build the fuzz targets.
    Fuzz,
    /// To boot other kernels by emulation.
    Vm,
}

/// Installs what is missing of `parts`; silent when nothing is.
///
/// # Errors
/// Something is missing and cannot be installed; the error names it and how to get it.
pub(crate) fn ensure(parts: &[Part]) -> Result<()> {
    packages::ensure(parts)?;
    if parts.contains(&Part::Build) {
        let toolchain = Toolchain::pinned()?;
        rust_src::ensure(&toolchain)?;
        bpf_linker::ensure(&toolchain)?;
    }
    Ok(())
}

/// `cargo xtask setup`.
pub(crate) fn all() -> Result<()> {
    let parts = [Part::Build, Part::Lab, Part::Vm];
    ensure(&parts)?;
    let channel = Toolchain::pinned()?.channel;
    step(&format!(
        "rust-src {channel}, bpf-linker {}: there",
        bpf_linker::VERSION
    ));
    step(&format!("{}: there", packages::binaries(&parts).join(", ")));
    step("everything is there");
    Ok(())
}

/// One line on stderr before a step, or about one.
pub(crate) fn step(what: &str) {
    eprintln!("[setup] {what}");
}
