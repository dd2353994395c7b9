//! The BPF programs under this kernel: accepted, attached in the driver, and how large they became.

use std::{fs, io::Write as _, path::Path};

use anyhow::{Context, Result, ensure};
use aya::programs::{ProgramInfo, loaded_programs};
use lb_tests::{ballast::Agent, topology::VIP};
use lb_user::{
    dataplane::{
        bpf::{Bpf, Build, Capacity},
        pins::Pins,
    },
    realserver::program::Program,
};

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
        let id = u32::try_from(id)?;
        tell(&balancer.run(|| figures("ballast", &loaded(id)?))?)
    });
}

#[test]
fn the_other_programs_are_accepted() {
    in_lab(|lab| {
        let host = lab.host("programs")?;
        let traced = host.run(|| {
            let pins = Pins::open(Path::new("/sys/fs/bpf/trace"))?;
            let bpf = Bpf::open(pins, CAPACITY, Build::Trace)?;
            let (id, _) = bpf.program_info().context("a program")?;
            figures("ballast, the build that logs", &loaded(id)?)
        })?;
        tell(&traced)?;
        let decap = host.run(|| {
            let mut program = Program::open(Path::new("/sys/fs/bpf/decap"))?;
            figures("ballast_decap", &program.xdp().info()?)
        })?;
        tell(&decap)
    });
}

fn loaded(id: u32) -> Result<ProgramInfo> {
    let mut programs = loaded_programs().filter_map(Result::ok);
    let program = programs.find(|program| program.id() == id);
    program.context("the program is not loaded")
}

/// What the kernel says of a program: instructions after its rewriting, and how many steps the
/// verifier took.
fn figures(name: &str, program: &ProgramInfo) -> Result<String> {
    let translated = program.size_translated().context("no size")? / 8;
    let steps = program.verified_instruction_count().context("no count")?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let release = release.trim();
    Ok(format!(
        "kernel {release}: {name}: {translated} instructions, verified in {steps} steps\n"
    ))
}

/// Past libtest's capture: it is for the table in ARCHITECTURE.md.
fn tell(line: &str) -> Result<()> {
    Ok(std::io::stderr().write_all(line.as_bytes())?)
}

/// Small: sizes are not what the verifier looks at.
const CAPACITY: Capacity = Capacity {
    arena: 1 << 20,
    table: 64 << 10,
    services: 64,
    backends: 256,
};
