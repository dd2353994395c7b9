//! The toolchain the workspace is pinned to.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::sh;

/// The pinned toolchain. Not the active one: whoever sets `RUSTUP_TOOLCHAIN` still builds the
/// eBPF program with this one, because bpf-linker reads only its LLVM's bitcode.
#[derive(Clone, Debug)]
pub(super) struct Toolchain {
    /// As in `rust-toolchain.toml`, a version such as `1.95.0`.
    pub(super) channel: String,
    /// The compiler's installation.
    pub(super) sysroot: PathBuf,
}

impl Toolchain {
    pub(super) fn pinned() -> Result<Self> {
        let path = sh::workspace_root().join("rust-toolchain.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let channel = channel(&text)
            .with_context(|| format!("{} names no channel", path.display()))?
            .to_owned();
        let mut rustc = sh::command("rustc");
        let sysroot = sh::output(select(&mut rustc, &channel).args(["--print", "sysroot"]))
            .with_context(|| format!("no rustc {channel}; get rustup from https://rustup.rs"))?;
        Ok(Self {
            channel,
            sysroot: sysroot.trim_end().into(),
        })
    }

    /// Makes rustup's proxies (`cargo`, `rustc`) run this toolchain.
    pub(super) fn select<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        select(command, &self.channel)
    }
}

fn select<'a>(command: &'a mut Command, channel: &str) -> &'a mut Command {
    command.env("RUSTUP_TOOLCHAIN", channel)
}

fn channel(toml: &str) -> Option<&str> {
    toml.lines()
        .find_map(|line| line.strip_prefix("channel")?.split('"').nth(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_channel_is_a_version() {
        let toolchain = Toolchain::pinned().unwrap();
        assert_eq!(
            toolchain.channel.split('.').count(),
            3,
            "{}",
            toolchain.channel
        );
        assert!(toolchain.sysroot.is_dir());
    }

    #[test]
    fn the_channel_is_read_past_comments_and_tables() {
        let toml =
            "# channel of choice\n[toolchain]\nchannel = \"1.95.0\"\nprofile = \"minimal\"\n";
        assert_eq!(channel(toml), Some("1.95.0"));
        assert_eq!(channel("[toolchain]\n"), None);
    }
}
