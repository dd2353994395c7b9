//! The XDP program under this kernel: accepted, attached in the driver, and how large it became.

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use aya::programs::loaded_programs;
use lb_tests::{ballast::Agent, topology::VIP};

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
        let figures = balancer.run(|| figures(id))?;
        let release = balancer.read("/proc/sys/kernel/osrelease")?;
        // Past libtest's capture: it is for the table in the README.
        let line = format!("kernel {}: {}\n", release.trim(), figures);
        Ok(std::io::stderr().write_all(line.as_bytes())?)
    });
}

/// What the kernel says of a program: instructions after its rewriting, and how many steps the
/// verifier took.
fn figures(id: u64) -> Result<String> {
    let mut programs = loaded_programs().filter_map(Result::ok);
    let program = programs
        .find(|program| u64::from(program.id()) == id)
        .context("the program is not loaded")?;
    let translated = program.size_translated().context("no size")? / 8;
    let steps = program.verified_instruction_count().context("no count")?;
    Ok(format!(
        "{translated} instructions, verified in {steps} steps"
    ))
}
