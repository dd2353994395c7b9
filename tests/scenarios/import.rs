//! `ballast import` beside the real `keepalived -t`: what keepalived complains about is told here, too,
//! at its line, and no file of keepalived's own is lost without a word.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    ballast::{ballast, binary},
    lab::{self, Lab},
    netns::Host,
    require::Need,
};

const NEEDS: &[Need] = &[Need::Program("keepalived")];

#[test]
fn keepalived_s_own_samples_come_out_or_are_named() {
    lab::test(NEEDS, |lab| {
        let host = host(lab)?;
        let samples = samples()?;
        if samples.is_empty() {
            // A machine without documentation; the fixtures below are still compared.
            eprintln!("SKIPPED: no samples in {SAMPLES}");
        }
        for sample in samples.iter().chain(&fixtures()?) {
            compare(&host, sample).with_context(|| sample.display().to_string())?;
        }
        Ok(())
    });
}

#[test]
fn whatever_keepalived_complains_about_has_its_line_here_too() {
    lab::test(NEEDS, |lab| {
        let host = host(lab)?;
        for (n, bad) in BAD.iter().enumerate() {
            let file = lab.dir().join(format!("bad{n}.conf"));
            fs::write(&file, bad)?;
            let complaints = compare(&host, &file).with_context(|| bad.to_string())?;
            ensure!(complaints > 0, "keepalived finds nothing wrong with\n{bad}");
        }
        Ok(())
    });
}

/// A host with the interfaces that files talk about.
fn host(lab: &Lab) -> Result<Host> {
    let host = lab.host("import")?;
    for name in ["eth0", "eth1", "eth2", "eth3", "eth0.1"] {
        host.sh(&format!("ip link add {name} type veth peer name p-{name}"))?;
        host.sh(&format!("ip link set {name} up"))?;
    }
    Ok(host)
}

/// Imports a file, checks what came out, and compares the findings with keepalived's; gives the number of
/// lines that keepalived complains about.
fn compare(host: &Host, file: &Path) -> Result<usize> {
    let theirs = complaints(host, file)?;
    let imported = import(host, file)?;
    let told = String::from_utf8_lossy(&imported.stderr).into_owned();
    let lines: Vec<u32> = told.lines().filter_map(line_of).collect();
    match imported.status.code() {
        Some(0) => {
            let yaml = file.with_extension("yaml");
            let yaml = host.dir().join(yaml.file_name().context("a name")?);
            fs::write(&yaml, &imported.stdout)?;
            let checked = ballast(host, &yaml, &["check"])?;
            let why = String::from_utf8_lossy(&checked.stderr).into_owned();
            ensure!(checked.status.success(), "check refuses: {why}");
        }
        Some(1) => {
            ensure!(imported.stdout.is_empty(), "half a file on stdout");
            ensure!(!lines.is_empty(), "refused without a line: {told}");
        }
        other => anyhow::bail!("ended with {other:?}: {told}"),
    }
    for (line, what) in &theirs {
        let near = |found: &u32| found.abs_diff(*line) <= SLACK;
        ensure!(
            lines.iter().any(near) || imported.status.code() == Some(1),
            "keepalived says of line {line}: {what}; here is only\n{told}"
        );
    }
    Ok(theirs.len())
}

fn import(host: &Host, file: &Path) -> Result<Output> {
    host.output([
        binary()?.as_os_str(),
        "import".as_ref(),
        "--config-id".as_ref(),
        "high".as_ref(),
        file.as_os_str(),
    ])
}

/// The line at the beginning of a finding.
fn line_of(finding: &str) -> Option<u32> {
    let (place, _) = finding.split_once(": ")?;
    place.rsplit_once(':')?.1.parse().ok()
}

/// What `keepalived -t` says of lines of a file, but for what depends on the host.
fn complaints(host: &Host, file: &Path) -> Result<BTreeMap<u32, String>> {
    let output = host.output([
        "keepalived".as_ref(),
        "-t".as_ref(),
        "-l".as_ref(),
        "-i".as_ref(),
        "high".as_ref(),
        "-f".as_ref(),
        file.as_os_str(),
    ])?;
    let log = [output.stdout, output.stderr].concat();
    let log = String::from_utf8_lossy(&log);
    let of_line = |line: &str| {
        let (_, rest) = line.split_once("Line ")?;
        let (number, what) = rest.split_once(") ")?;
        let ours = !OF_THE_HOST.iter().any(|text| what.contains(text));
        ours.then_some((number.parse().ok()?, what.to_owned()))
    };
    Ok(log.lines().filter_map(of_line).collect())
}

/// Debian's package has them; a machine set up to have no documentation does not.
fn samples() -> Result<Vec<PathBuf>> {
    list(Path::new(SAMPLES), |name| {
        name.starts_with("keepalived.conf")
    })
}

fn fixtures() -> Result<Vec<PathBuf>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keepalived");
    let found = list(&dir, |name| name.ends_with(".conf"))?;
    ensure!(found.len() > 8, "fixtures are missing");
    Ok(found)
}

fn list(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(Vec::new());
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.retain(|path| {
        path.file_name()
            .is_some_and(|name| wanted(&name.to_string_lossy()))
    });
    paths.sort();
    Ok(paths)
}

const SAMPLES: &str = "/usr/share/doc/keepalived/samples";

/// keepalived names the end of a short block where we name its beginning.
const SLACK: u32 = 1;

/// Complaints about the machine, about blocks that have no equal as a whole, and about what is no mistake here.
const OF_THE_HOST: &[&str] = &[
    "doesn't exist",
    "with no interface specified, not tracking",
    "Rule has no preference",
    "VRRP parsed invalid IP 192.168.",
    "Invalid rule to address",
    "Error setting global script uid/gid",
    // Names are looked up when mail is sent.
    "Invalid smtp server",
];

/// Files that keepalived complains about.
const BAD: &[&str] = &[
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 300\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  priority 256\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  state LEADER\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  colour blue\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  advert_int x\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n}\nvrrp_instance A {\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  virtual_ipaddress {\n    10.0.0.300\n  }\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  virtual_ipaddress {\n    10.0.0.1/33\n  }\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  virtual_ipaddress {\n    10.0.0.1\n    fd00::1\n  }\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  virtual_ipaddress {\n    10.0.0.1 label eth0:0123456789abcdef\n  }\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  unicast_src_ip here\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  unicast_peer {\n    there\n  }\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  track_script {\n    missing\n  }\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  authentication {\n    auth_type PASS\n    auth_pass much-too-long\n  }\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n}\n}\n",
    "vrrp_instance A {\n  interface eth0\n  virtual_router_id 3\n  authentication\n}\n",
    "virtual_server 10.0.0.300 80 {\n  protocol TCP\n}\n",
    "virtual_server 10.0.0.1 80000 {\n  protocol TCP\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_algo best\n  lb_kind DR\n  real_server 10.0.0.2 80 {\n  }\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_kind ROUTE\n  lb_algo rr\n  real_server 10.0.0.2 80 {\n  }\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_kind DR\n  lb_algo rr\n  delay_loop 0\n  real_server 10.0.0.2 80 {\n  }\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_kind DR\n  lb_algo rr\n  real_server web2 80 {\n  }\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_kind DR\n  lb_algo rr\n  real_server 10.0.0.2 80 {\n    weight x\n  }\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_kind DR\n  lb_algo rr\n  real_server 10.0.0.2 80 {\n    HTTP_GET {\n    }\n  }\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_kind DR\n  lb_algo rr\n  real_server 10.0.0.2 80 {\n    HTTP_GET {\n      url {\n        path /\n        digest 12\n      }\n    }\n  }\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_kind DR\n  lb_algo rr\n  real_server 10.0.0.2 80 {\n    HTTP_GET {\n      url {\n        path /\n        status_code 700\n      }\n    }\n  }\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_kind DR\n  lb_algo rr\n  real_server 10.0.0.2 80 {\n    TCP_CHECK {\n      retry -3\n    }\n  }\n}\n",
    "virtual_server 10.0.0.1 80 {\n  protocol TCP\n  lb_kind DR\n  lb_algo rr\n  real_server 10.0.0.2 80 {\n    DNS_CHECK {\n      type PTR\n    }\n  }\n}\n",
    "global_defs {\n  smtp_connect_timeout soon\n}\n",
    "global_defs {\n  vrrp_version 4\n}\n",
    "include /nonexistent.conf\n",
    "router_id \"lb\n",
];
