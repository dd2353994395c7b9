//! The XDP program under this kernel: accepted, attached in the driver, and how large it became.

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use lb_tests::{ballast::Agent, topology::VIP};
use serde_json::Value;

use crate::support::{Site, in_lab, own_vip};

#[test]
fn the_program_is_loaded_and_attached_in_the_driver() {
    in_lab(|lab| {
        let site = Site::new(lab, 0, VIP)?;
        let balancer = site.balancer(lab, "lb1", 2)?;
        own_vip(&balancer)?;
        let config = format!(
            "datapath: {{ interfaces: [eth0], xdp_mode: native }}\nservices:\n  \
             - {{ name: web, address: {VIP}, port: 80, health_check: none, backends: [{{ address: 10.0.0.44 }}] }}\n"
        );
        let agent = Agent::start(&balancer, &config)?;
        let status = agent.status()?;
        let datapath = &status["datapath"];
        ensure!(datapath["interfaces"][0]["mode"] == "native", "{datapath}");
        let id = datapath["program_id"].as_u64().context("a program")?;
        let shown = balancer.sh(&format!("bpftool --json prog show id {id}"))?;
        let program: Value = serde_json::from_str(&shown)?;
        let release = balancer.read("/proc/sys/kernel/osrelease")?;
        // Past libtest's capture: it is for the table in the README.
        let line = format!("kernel {}: {}\n", release.trim(), figures(&program)?);
        Ok(std::io::stderr().write_all(line.as_bytes())?)
    });
}

/// `translated T verified V`: bytes after the verifier's rewriting / 8, instructions it looked at.
fn figures(program: &Value) -> Result<String> {
    let translated = program["bytes_xlated"].as_u64().context("a size")? / 8;
    // bpftool since 7.3, kernels since 5.16.
    let verified = program["verified_insns"].as_u64();
    let verified = verified.map_or_else(|| "?".to_owned(), |count| count.to_string());
    Ok(format!("translated {translated} verified {verified}"))
}
