//! `ballast doctor`: each trap is set, and found by its name alone; where there is none, nothing is said.

mod network;
mod routers;
mod servers;

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use lb_tests::{
    ballast::{Config, Forwarding::DirectRouting, ballast, binary},
    netns::Host,
    pair::Setup,
    process::command,
    site::Site,
    vrrp::vrrp_yaml,
};
use serde_json::Value;

use crate::support::{BALLAST, NEEDS, SOON, front, on_pair, on_site};

#[test]
fn the_healthy_lab_gets_a_clean_bill() {
    on_site(&[DirectRouting, DirectRouting], |site| {
        let host = &site.net.lb.host;
        finds(host, site.agent.config(), &[])?;
        let output = ballast(host, site.agent.config(), &["doctor"])?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        ensure!(
            !text.contains("problem") && !text.contains("warning"),
            "{text}"
        );
        ensure!(!text.contains("unknown"), "{text}");
        Ok(())
    });
}

#[test]
fn both_balancers_of_a_healthy_pair_get_a_clean_bill() {
    let setup = Setup::new(BALLAST, front).web(&[DirectRouting, DirectRouting]);
    on_pair(setup, |pair| {
        pair.wait_for_state(0, "master", SOON)?;
        pair.wait_for_state(1, "backup", SOON)?;
        for index in [0, 1] {
            let agent = &pair.balancer(index)?.agent;
            let examined = examine(agent.host(), agent.config())?;
            examined.found(&[])?;
            ensure!(examined.unknown.is_empty(), "{:?}", examined.unknown);
        }
        Ok(())
    });
}

#[test]
fn nothing_on_the_host_is_changed() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        let state = || -> Result<String> {
            Ok([
                host.sh("ip -details address show")?,
                host.sh("ip neigh show nud permanent")?,
                host.sh("ip route show table all")?,
                host.sh("find /sys/fs/bpf /run")?,
            ]
            .concat())
        };
        let before = state()?;
        finds(host, site.agent.config(), &[])?;
        let after = state()?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        Ok(())
    });
}

#[test]
fn a_file_with_mistakes_has_the_usual_codes() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        let missing = host.dir().join("missing.yaml");
        assert_eq!(ballast(host, &missing, &["doctor"])?.status.code(), Some(3));
        let wrong = host.dir().join("wrong.yaml");
        fs::write(&wrong, "services: 7\n")?;
        let output = ballast(host, &wrong, &["doctor"])?;
        assert_eq!(output.status.code(), Some(1));
        ensure!(String::from_utf8_lossy(&output.stderr).contains("wrong.yaml:1:11"));
        Ok(())
    });
}

#[test]
fn missing_capabilities_are_found_and_the_rest_is_said_to_be_unknown() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        // The build directory may be below one that only root enters: run a copy.
        let copy = host.dir().join("ballast");
        fs::copy(binary()?, &copy)?;
        let lab = host.dir().parent().context("a lab has a directory")?;
        host.exec(["chmod", "-R", "a+rX", &lab.display().to_string()])?;
        let nobody = ["setpriv", "--reuid=65534", "--clear-groups", "--"].map(str::to_owned);
        let config = site.agent.config().display().to_string();
        let ballast = [
            copy.display().to_string(),
            "doctor".into(),
            "--json".into(),
            "-c".into(),
            config,
        ];
        let output = host.output(nobody.into_iter().chain(ballast))?;
        let examined = Examined::read(&output)?;
        ensure!(
            examined.faults.contains("capabilities"),
            "{:?}",
            examined.faults
        );
        for id in ["duplicate-address", "vip-on-real-server", "next-hop"] {
            ensure!(
                examined.unknown.contains(id),
                "{id}: {:?}",
                examined.unknown
            );
        }
        Ok(())
    });
}

#[test]
fn a_missing_bpffs_is_found() {
    on_prepared(|site| {
        site.net.lb.host.sh("umount /sys/fs/bpf")?;
        finds(&site.net.lb.host, site.agent.config(), &["bpffs"])
    });
}

#[test]
fn a_keepalived_beside_us_is_found() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        // What counts is the name.
        let program = host.dir().join("keepalived");
        std::os::unix::fs::symlink("/bin/sleep", &program)?;
        let _keepalived = host.spawn("keepalived", command(&program, ["infinity"]))?;
        finds(host, site.agent.config(), &["keepalived-running"])
    });
}

#[test]
fn another_agent_on_the_host_is_found_and_our_own_is_none() {
    on_site(&[DirectRouting], |site| {
        let host = &site.net.lb.host;
        let ours = site.config.to_string();
        finds(host, site.agent.config(), &[])?;
        let other = host.dir().join("other.yaml");
        fs::write(&other, format!("runtime_dir: /run/other\n{ours}"))?;
        finds(host, &other, &["second-agent"])
    });
}

#[test]
fn a_script_that_others_can_write_is_found() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        host.sh("mkdir -p /run/scripts")?;
        host.sh("cp /bin/true /run/scripts/check")?;
        host.sh("chmod 777 /run/scripts/check")?;
        let script = "scripts:\n  - { name: chk, command: [/run/scripts/check] }\n";
        finds_with(site, script, &["script-permissions"])
    });
}

#[test]
fn forwarding_and_ipvs_are_missed_where_nat_needs_them() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        host.sysctl("net.ipv4.ip_forward", 0)?;
        let nat = "services:
  - { name: web, address: 10.0.0.125, port: 80, forwarding: nat, backends: [{ name: web1, address: 10.0.0.101 }] }
";
        let yaml = format!("datapath:\n  interfaces: [eth0]\n{nat}");
        site.agent.write_config(&yaml)?;
        let examined = examine(host, site.agent.config())?;
        ensure!(
            examined.faults.contains("ip-forward"),
            "{:?}",
            examined.faults
        );
        let has_ipvs = host.has_path("/proc/net/ip_vs");
        ensure!(
            has_ipvs || examined.faults.contains("ipvs-missing"),
            "{:?}",
            examined.faults
        );
        Ok(())
    });
}

/// Runs a test on a site where no agent runs, with one real server.
fn on_prepared(body: impl FnOnce(&mut Site) -> Result<()>) {
    lb_tests::lab::test(NEEDS, |lab| {
        body(&mut Site::prepare(lab, &[DirectRouting])?)
    });
}

/// The site's configuration with an instance for [`VIP`].
fn with_instance(site: &Site) -> Config {
    let mut config = site.config.clone();
    config.extra = vrrp_yaml(&[front(0)]);
    config
}

/// Expects these faults with more YAML at the end of the site's.
fn finds_with(site: &Site, yaml: &str, ids: &[&str]) -> Result<()> {
    site.agent.write_config(&(site.config.to_string() + yaml))?;
    finds(&site.net.lb.host, site.agent.config(), ids)
}

/// Expects exactly these problems and warnings, and the exit code that goes with them.
fn finds(host: &Host, config: &Path, ids: &[&str]) -> Result<()> {
    examine(host, config)?.found(ids)
}

/// What `ballast doctor --json` says.
pub(crate) fn examine(host: &Host, config: &Path) -> Result<Examined> {
    Examined::read(&ballast(host, config, &["doctor", "--json"])?)
}

pub(crate) struct Examined {
    faults: BTreeSet<String>,
    unknown: BTreeSet<String>,
    document: Value,
}

impl Examined {
    fn read(output: &std::process::Output) -> Result<Self> {
        let document: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no report: {output:?}"))?;
        let checks = document["checks"].as_array().context("no checks")?;
        let ids = |wanted: fn(&Value) -> bool| {
            let found = checks.iter().filter(|check| wanted(check));
            let ids = found.filter_map(|check| check["id"].as_str());
            ids.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let examined = Self {
            faults: ids(|check| check["outcome"] == "found" && check["severity"] != "note"),
            unknown: ids(|check| check["unknown"].as_array().is_some_and(|u| !u.is_empty())),
            document: document.clone(),
        };
        let code = i32::from(!examined.faults.is_empty());
        ensure!(
            output.status.code() == Some(code),
            "{}: {document:#}",
            output.status
        );
        ensure!(document["ok"] == (code == 0), "{document:#}");
        Ok(examined)
    }

    /// Is this among the problems and warnings?
    pub(crate) fn has(&self, id: &str) -> bool {
        self.faults.contains(id)
    }

    fn found(&self, ids: &[&str]) -> Result<()> {
        let wanted: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let all = self.document["checks"].as_array().into_iter().flatten();
        let told: Vec<_> = all
            .filter(|c| self.faults.contains(c["id"].as_str().unwrap_or_default()))
            .map(|c| format!("{}: {}", c["id"], c["evidence"]))
            .collect();
        ensure!(
            self.faults == wanted,
            "expected {wanted:?}, found {told:#?}"
        );
        Ok(())
    }
}
