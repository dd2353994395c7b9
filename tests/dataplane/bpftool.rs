//! What people see without us: the object file by libbpf, the maps by bpftool.

use anyhow::{Context, Result, ensure};
use lb_tests::{
    lab,
    netns::Host,
    require::{self, Need},
};
use lb_user::dataplane::object;
use serde_json::Value;

use crate::{
    forwarding::sent,
    harness::{Expect, PINS, cases},
    world::{CLIENT_PORT, Family, Protocol, Target, WEB},
};

const BPFTOOL: Need = Need::Program("bpftool");

fn dump(host: &Host, map: &str) -> Result<Value> {
    let pin = format!("{PINS}/{map}");
    let text = host.exec(["bpftool", "--json", "map", "dump", "pinned", &pin])?;
    serde_json::from_str(&text).with_context(|| text)
}

/// The element of `index` with named fields.
fn element(dump: &Value, index: u32) -> Result<&Value> {
    let elements = dump.as_array().context("a list")?;
    elements
        .iter()
        .map(|element| &element["formatted"])
        .find(|element| element["key"] == index)
        .with_context(|| format!("no formatted element {index}"))
}

#[test]
fn libbpf_loads_the_object_file() {
    lab::test(&[Need::Root, BPFTOOL], |lab| {
        let host = lab.host("lb1")?;
        let file = host.dir().join("ballast-xdp.o");
        std::fs::write(&file, object::BALLAST)?;
        let pin = "/sys/fs/bpf/program";
        host.sh(&format!("bpftool prog load {} {pin}", file.display()))?;
        let shown = host.sh(&format!("bpftool prog show pinned {pin}"))?;
        ensure!(shown.contains("name ballast"), "{shown}");
        Ok(())
    });
}

#[test]
fn counters_have_names_for_each_cpu() {
    if !require::have(&[BPFTOOL]) {
        return;
    }
    cases(|bench| {
        let target = Target::of(Family::V6, Protocol::Tcp, WEB);
        for _ in 0..3 {
            let (frame, mut sent) = sent(Family::V6, Protocol::Tcp, WEB, |before, hops| {
                before
                    .ipv6(Family::V6.client(), Family::V6.vip())
                    .ttl(hops)
                    .tcp(CLIENT_PORT, WEB.port())
            });
            sent.new_flow = true;
            bench.case("a request", &frame, &Expect::Send(sent))?;
        }
        let broken = Family::V4.packet().ihl(2).udp(CLIENT_PORT, WEB.port());
        bench.drops(
            "a broken one",
            &broken,
            lb_common::verdict::DropReason::BadIpHeader,
        )?;
        for map in ["service_stats", "backend_stats"] {
            let dump = dump(&bench.host, map)?;
            let cpus = element(&dump, target.backend)?["values"].clone();
            let sum = |field: &str| sum(&cpus, field);
            ensure!(
                (sum("packets")?, sum("bytes")?, sum("new_flows")?) == (3, 180, 3),
                "{map}: {cpus}"
            );
        }
        let dump = dump(&bench.host, "drop_stats")?;
        let cpus = &element(&dump, 0)?["values"];
        ensure!(sum(cpus, "bad_ip_header")? == 1, "{cpus}");
        ensure!(sum(cpus, "fragment")? == 0, "{cpus}");
        Ok(())
    });
}

fn sum(cpus: &Value, field: &str) -> Result<u64> {
    let cpus = cpus.as_array().context("one value for each CPU")?;
    cpus.iter()
        .map(|cpu| {
            let value = &cpu["value"][field];
            value.as_u64().with_context(|| format!("{field} in {cpu}"))
        })
        .sum()
}

#[test]
fn names_are_text() {
    if !require::have(&[BPFTOOL]) {
        return;
    }
    cases(|bench| {
        let target = Target::of(Family::V4, Protocol::Udp, WEB);
        let services = dump(&bench.host, "services")?;
        let service = &element(&services, target.service)?["value"];
        ensure!(
            service["name"] == format!("service{}", target.service)
                && service["address"] == Family::V4.vip()
                && service["port"] == WEB.port()
                && service["protocol"] == "udp",
            "{service}"
        );
        let backends = dump(&bench.host, "backends")?;
        let backend = &element(&backends, target.backend)?["value"];
        ensure!(
            backend["name"] == format!("web{}", target.backend)
                && backend["service"] == service["name"]
                && backend["forwarding"] == "direct_routing",
            "{backend}"
        );
        Ok(())
    });
}
