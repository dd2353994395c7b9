//! What `ipvsadm -Ln` says, beside what `ballast status` says.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use lb_tests::{ballast::Agent, netns::Host};
use serde_json::Value;

/// A service's real servers: address and port → way and weight.
pub(crate) type Table = BTreeMap<String, BTreeMap<String, (String, u64)>>;

/// IPVS's table as `ipvsadm` prints it; services as `tcp 10.0.0.1:80 SCHEDULER`.
pub(crate) fn table(host: &Host) -> Result<Table> {
    let text = host.sh("ipvsadm -Ln")?;
    let mut table = Table::new();
    let mut service = None;
    for line in text.lines().skip(3) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["->", server, way, weight, _active, _inactive] => {
                let service = service.as_ref().context("a real server of no service")?;
                let servers: &mut BTreeMap<_, _> = table.entry(String::clone(service)).or_default();
                servers.insert((*server).to_owned(), ((*way).to_owned(), weight.parse()?));
            }
            [protocol, at, scheduler, ..] => {
                let name = format!("{} {at} {scheduler}", protocol.to_lowercase());
                table.insert(name.clone(), BTreeMap::new());
                service = Some(name);
            }
            _ => {}
        }
    }
    Ok(table)
}

/// Expects `status` to list what `ipvsadm` does: every service, its real servers, who gets new
/// connections.
pub(crate) fn equals_status(agent: &Agent) -> Result<()> {
    let shown = table(agent.host())?;
    let status = agent.status()?;
    let mut expected = Table::new();
    for service in list(&status["services"]) {
        if service["engine"] != "ipvs" {
            continue;
        }
        let scheduler = match text(&service["scheduler"]) {
            "maglev" => "mh",
            other => other,
        };
        let at = format!("{}:{}", text(&service["address"]), service["port"]);
        let name = format!("{} {at} {scheduler}", text(&service["protocol"]));
        let mut servers = BTreeMap::new();
        for backend in list(&service["backends"]) {
            let said = backend["override"]["weight"].as_u64();
            let weight = match text(&backend["state"]) {
                "up" => said.or(backend["weight"].as_u64()).unwrap_or(0),
                "no_new_flows" => 0,
                _ => continue,
            };
            let way = match text(&backend["forwarding"]) {
                "nat" => "Masq",
                "tunnel" => "Tunnel",
                _ => "Route",
            };
            let at = format!("{}:{}", text(&backend["address"]), backend["port"]);
            servers.insert(at, (way.to_owned(), weight));
        }
        let fallback = &service["fallback"];
        if fallback["serves"] == true {
            let at = format!("{}:{}", text(&fallback["address"]), fallback["port"]);
            servers.insert(at, ("Masq".to_owned(), 1));
        }
        expected.insert(name, servers);
    }
    ensure!(
        shown == expected,
        "ipvsadm shows {shown:#?}\nstatus says {expected:#?}"
    );
    Ok(())
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
