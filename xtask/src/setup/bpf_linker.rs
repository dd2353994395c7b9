//! bpf-linker: links the eBPF program from rustc's bitcode.

use anyhow::{Result, bail};

use super::{step, toolchain::Toolchain};
use crate::sh;

/// The release whose default feature is rustc 1.95's LLVM 22, so that it needs no LLVM package;
/// later ones dropped it.
pub(super) const VERSION: &str = "0.10.4";

/// Installs [`VERSION`] where it, or any, is missing.
pub(super) fn ensure(toolchain: &Toolchain) -> Result<()> {
    let installed = installed();
    if installed.as_deref() == Some(VERSION) {
        return Ok(());
    }
    let instead = installed
        .map(|old| format!(" in place of {old}"))
        .unwrap_or_default();
    step(&format!(
        "installing bpf-linker {VERSION}{instead} with cargo (about 1 min)"
    ));
    let mut cargo = sh::command("cargo");
    let args = ["install", "bpf-linker", "--version", VERSION, "--locked"];
    sh::run(toolchain.select(&mut cargo).args(args))?;
    if self::installed().as_deref() != Some(VERSION) {
        bail!(
            "bpf-linker {VERSION} is installed, but another one is first on the PATH: {}",
            sh::find("bpf-linker").unwrap_or_default().display()
        );
    }
    Ok(())
}

/// The version on the `PATH`; `None` also where it does not run.
fn installed() -> Option<String> {
    let text = sh::output(sh::command("bpf-linker").arg("--version")).ok()?;
    version(&text).map(str::to_owned)
}

fn version(text: &str) -> Option<&str> {
    text.trim()
        .strip_prefix("bpf-linker ")?
        .split_whitespace()
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_word_after_the_name() {
        assert_eq!(version("bpf-linker 0.10.4\n"), Some("0.10.4"));
        assert_eq!(version("bpf-linker 0.11.0 (LLVM 23)\n"), Some("0.11.0"));
        assert_eq!(version("something else\n"), None);
    }
}
