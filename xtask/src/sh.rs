//! Runs other programs: in the workspace's root, with the places where tools live on the `PATH`,
//! and with the command line in every error.

use std::{
    convert::Infallible,
    env,
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context as _, Result, bail};

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// Where cargo builds to, as cargo says it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = cargo_metadata()?;
    let dir = metadata["target_directory"].as_str();
    Ok(dir
        .context("`cargo metadata` names no target directory")?
        .into())
}

/// The workspace's own packages, as `cargo metadata` prints them.
pub(crate) fn cargo_metadata() -> Result<serde_json::Value> {
    let text = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&text).context("`cargo metadata` printed no JSON")
}

/// `program`, to be run in the workspace's root with [`search_path`].
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(workspace_root())
        .env("PATH", search_path());
    command
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a long step: the user sees its output, all of it on stderr, as stdout is for results.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .with_context(|| format!("cannot run `{}`", display(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", display(command));
    }
    Ok(())
}

/// Runs a short command and returns its stdout.
///
/// # Errors
/// The command cannot be started, fails (its stderr is in the error), or prints no UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", display(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed: {}: {}",
            display(command),
            output.status,
            stderr.trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed no UTF-8", display(command)))
}

/// Becomes the command; returns only if that fails.
pub(crate) fn exec(command: &mut Command) -> Result<Infallible> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run `{}`", display(command)))
}

/// The command line, as a person would type it (without quoting and the program's directory).
pub(crate) fn display(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = [program.file_name().unwrap_or(command.get_program())];
    let words = words.into_iter().chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Where `binary` is on the [`search_path`].
pub(crate) fn find(binary: &str) -> Option<PathBuf> {
    env::split_paths(search_path())
        .map(|dir| dir.join(binary))
        .find(|path| is_executable(path))
}

/// Are we root? (`/proc/self` belongs to the effective user.)
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// `PATH`, and what it may lack: cargo's own binaries, the sbin directories (not on an ordinary
/// user's `PATH`), and first of all Ubuntu's versioned bpftool, because the wrapper of that name
/// refuses to work under any kernel but the one it was packaged for.
pub(crate) fn search_path() -> &'static OsStr {
    static PATH: OnceLock<OsString> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut dirs = ubuntu_bpftool_dir(Path::new("/usr/lib/linux-tools"))
            .into_iter()
            .collect();
        let own = env::split_paths(&path).filter(|dir| !dir.as_os_str().is_empty());
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
        let wanted = own.chain(home.map(|home| home.join("bin"))).chain(sbin);
        wanted.for_each(|dir| push_new(&mut dirs, dir));
        env::join_paths(dirs).unwrap_or(path)
    })
}

fn push_new(dirs: &mut Vec<PathBuf>, dir: PathBuf) {
    if !dirs.contains(&dir) {
        dirs.push(dir);
    }
}

/// The directory of the newest bpftool below `tools` (one directory per kernel version).
fn ubuntu_bpftool_dir(tools: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(tools)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()));
    entries
        .filter(|dir| is_executable(&dir.join("bpftool")))
        .max_by_key(|dir| version_key(dir))
}

/// Orders `6.8.0-100-generic` after `6.8.0-41-generic`.
fn version_key(dir: &Path) -> Vec<u32> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
