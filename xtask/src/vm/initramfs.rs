//! The first files of the guest: busybox, the modules that lead to the host's files, the script that
//! goes there. A cpio archive of the kind "newc" (kernel: `Documentation/driver-api/early-userspace`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::kernel::Kernel;
use crate::sh;

/// The archive for one run of `script`.
pub(super) fn build(kernel: &Kernel, busybox: &Path, script: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in [
        "bin", "dev", "proc", "sys", "modules", "host", "layer", "root",
    ] {
        archive.dir(dir);
    }
    archive.file("bin/busybox", 0o755, &read(busybox)?);
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("stage2", 0o644, STAGE2.as_bytes());
    archive.file("command", 0o644, script);
    let modules = modules(kernel)?;
    for (number, path) in modules.iter().enumerate() {
        // Inserted in the order of their names.
        archive.file(&format!("modules/{number:02}.ko"), 0o644, &module(path)?);
    }
    let root = kernel
        .root
        .to_str()
        .context("the cache's path is no text")?;
    archive.file("kernel", 0o644, root.as_bytes());
    Ok(archive.finish())
}

/// Paths of what [`MODULES`] need, in an order in which they can be inserted.
fn modules(kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for name in MODULES {
        let text = sh::output(
            sh::command("modprobe")
                .args([
                    "--show-depends",
                    "--ignore-install",
                    "-C",
                    "/dev/null",
                    "-d",
                ])
                .arg(&kernel.root)
                .args(["-S", &kernel.release, name]),
        )?;
        // `insmod PATH [OPTION…]`, or `builtin NAME`.
        let wanted = text
            .lines()
            .filter_map(|line| line.strip_prefix("insmod ")?.split_whitespace().next());
        for path in wanted.map(PathBuf::from) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

/// A module's bytes, as the kernel takes them.
fn module(path: &Path) -> Result<Vec<u8>> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => read(path),
        Some("xz") => {
            let mut xz = sh::command("xz");
            let output = xz
                .arg("-dc")
                .arg(path)
                .output()
                .context("cannot run `xz`")?;
            if !output.status.success() {
                bail!("`{}` failed: {}", sh::display(&xz), output.status);
            }
            Ok(output.stdout)
        }
        _ => bail!("{} is compressed in a way we do not know", path.display()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A "newc" archive: for each entry a header of hexadecimal numbers, the name, the content, each
/// padded to four bytes.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn dir(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | mode, content);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        // inode, mode, uid, gid, links, mtime, size, four device numbers, length of the name, checksum
        let size = content.len();
        let (inode, name_size) = (self.entries, name.len() + 1);
        let header = format!(
            "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}{0:08x}{0:08x}{0:08x}{0:08x}{name_size:08x}{0:08x}",
            0, 1,
        );
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// What leads to the host's files and back to us.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_console",
    "9pnet_virtio",
    "9p",
    "overlay",
];

/// The guest's first program.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done

mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /host || echo "no host files"
mount -t tmpfs -o size=75% layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /root || echo "no overlay"
mount -t tmpfs run /root/run
mkdir -p /root/run/lock "/root/lib/modules/$(uname -r)"
mount --bind "/host$(cat /kernel)/lib/modules/$(uname -r)" "/root/lib/modules/$(uname -r)"
mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
mount -t bpf bpf /root/sys/fs/bpf
mount -t cgroup2 cgroup /root/sys/fs/cgroup
mount -t debugfs debug /root/sys/kernel/debug
mount -t tracefs trace /root/sys/kernel/tracing
ifconfig lo 127.0.0.1 up
hostname guest
cp /bin/busybox /command /stage2 /root/run/
# Not chroot alone: modules that the kernel asks for are loaded from the root of its first process.
exec switch_root /root /run/busybox sh /run/stage2
"#;

/// What goes on in the host's files. Ports by number: what the command prints, its errors, its exit code.
const STAGE2: &str = r"first=$(echo /dev/vport*p1)
port=${first%1}
/bin/sh /run/command </dev/null >${port}1 2>${port}2
echo $? >${port}3
/run/busybox reboot -f
";

#[cfg(test)]
mod tests;
