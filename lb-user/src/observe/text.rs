//! Pure: `ballast status` on one screen.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use super::snapshot::{Backend, Datapath, Ipvs, Service, Snapshot, Traffic};

mod vrrp;

#[cfg(test)]
pub(super) mod tests;

/// The screen, with a line feed at the end.
#[must_use]
pub fn screen(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    head(&mut out, snapshot);
    vrrp::routers(&mut out, snapshot);
    services(&mut out, &snapshot.services);
    let drops: Vec<_> = snapshot
        .drops
        .iter()
        .filter(|(_, count)| **count > 0)
        .collect();
    if !drops.is_empty() {
        let list: Vec<_> = drops
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        line(&mut out, &format!("\ndropped     {}", list.join(", ")));
    }
    out
}

fn head(out: &mut String, snapshot: &Snapshot) {
    let uptime = humantime::format_duration(Duration::from_secs(snapshot.uptime_seconds));
    line(
        out,
        &format!(
            "ballast {} on {}, pid {}, up {uptime}",
            snapshot.version, snapshot.router_id, snapshot.pid
        ),
    );
    let reload = &snapshot.config.last_reload;
    let file = &snapshot.config.file;
    match &reload.error {
        None => line(out, &format!("config      {file}")),
        Some(error) => {
            line(
                out,
                &format!("config      {file}: NOT taken over, the one before is in force:"),
            );
            for mistake in error.lines() {
                line(out, &format!("            {mistake}"));
            }
        }
    }
    match &snapshot.datapath {
        Some(datapath) => head_of_datapath(out, datapath),
        None if snapshot.ipvs.is_some() => line(out, "datapath    none: IPVS forwards"),
        None => line(out, "datapath    none: there are no services"),
    }
    if let Some(ipvs) = &snapshot.ipvs {
        head_of_ipvs(out, ipvs);
    }
    if let Some(listener) = &snapshot.listener {
        match &listener.problem {
            None => line(out, &format!("metrics     {}", listener.listen)),
            Some(problem) => {
                let listen = listener.listen;
                line(
                    out,
                    &format!("PROBLEM     no metrics on {listen}: {problem}"),
                );
            }
        }
    }
    for way in &snapshot.alerts {
        if let Some(problem) = &way.problem {
            let (by, waiting) = (&way.by, way.waiting);
            line(
                out,
                &format!(
                    "PROBLEM     alerts by {by} do not arrive, {waiting} changes wait: {problem}"
                ),
            );
        }
    }
    if let Some(problem) = &snapshot.problem {
        line(out, &format!("PROBLEM     {problem}"));
    }
}

fn head_of_ipvs(out: &mut String, ipvs: &Ipvs) {
    let what = match &ipvs.instead_of_xdp {
        None => "ipvs        at work".to_owned(),
        Some(reason) => format!("ipvs        in place of XDP: {reason}"),
    };
    line(out, &what);
    for notice in &ipvs.notices {
        line(out, &format!("            {notice}"));
    }
    if let Some(problem) = &ipvs.problem {
        line(out, &format!("PROBLEM     {problem}"));
    }
}

fn head_of_datapath(out: &mut String, datapath: &Datapath) {
    for (n, interface) in datapath.interfaces.iter().enumerate() {
        let label = if n == 0 { "datapath" } else { "" };
        let mode = interface.mode.as_deref().unwrap_or("unknown");
        let reason = interface
            .reason
            .as_ref()
            .map(|r| format!(" ({r})"))
            .unwrap_or_default();
        line(
            out,
            &format!("{label:<12}XDP {mode} on {}{reason}", interface.name),
        );
    }
    if datapath.trace {
        line(
            out,
            "            packets are being logged (--trace-packets)",
        );
    }
    let memory = datapath.ring_memory;
    let (used, total) = (bytes(memory.used), bytes(memory.total));
    line(out, &format!("ring memory {used} of {total}"));
    let table = datapath.connection_table;
    if table.flows + table.clients > 0 {
        let taken = format!("{} flows and {} clients", table.flows, table.clients);
        line(
            out,
            &format!("connections {taken} in {} places", table.places),
        );
    }
}

const COLUMNS: [&str; 10] = [
    "BACKEND",
    "ADDRESS",
    "FORWARDING",
    "WEIGHT",
    "SLOTS",
    "STATE",
    "FLOWS",
    "PACKETS/S",
    "PACKETS",
    "NEW FLOWS",
];
/// Numbers stand to the right.
const RIGHT: [bool; 10] = [
    false, false, false, true, true, false, true, true, true, true,
];

fn services(out: &mut String, services: &[Service]) {
    // One width for all services, so that the eye can run down a column.
    let rows: Vec<Vec<[String; 10]>> = services
        .iter()
        .map(|s| s.backends.iter().map(|b| row(b, s)).collect())
        .collect();
    let mut widths = COLUMNS.map(str::len);
    for row in rows.iter().flatten() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (service, rows) in services.iter().zip(&rows) {
        let at = SocketAddr::new(service.address, service.port);
        line(
            out,
            &format!(
                "\n{}  {at}/{}  {}  {}  {} packets/s, {} packets, {}, {} new flows",
                service.name,
                service.protocol,
                service.scheduler,
                match service.engine.as_str() {
                    "ipvs" => "ipvs".to_owned(),
                    _ => format!("ring {}", service.ring_slots),
                },
                rate(&service.traffic),
                service.traffic.packets,
                bytes(service.traffic.bytes),
                service.traffic.new_flows,
            ),
        );
        quorum(out, service);
        flows(out, service);
        if rows.is_empty() {
            line(out, "  no backends");
            continue;
        }
        table_line(out, &widths, &COLUMNS.map(str::to_owned), None);
        for (row, backend) in rows.iter().zip(&service.backends) {
            table_line(out, &widths, row, note(backend).as_deref());
        }
    }
}

/// Only what somebody has to know.
fn quorum(out: &mut String, service: &Service) {
    let fallback = service.fallback.as_ref().filter(|fallback| fallback.serves);
    if let Some(quorum) = service.quorum.as_ref().filter(|quorum| !quorum.up) {
        let (weight, needed) = (quorum.weight, quorum.needed);
        let since = for_seconds(quorum.for_seconds);
        line(
            out,
            &format!("  BELOW QUORUM for {since}: weight {weight} of {needed} serves"),
        );
    }
    if let Some(fallback) = fallback {
        let at = SocketAddr::new(fallback.address, fallback.port);
        let (rate, packets) = (rate(&fallback.traffic), fallback.traffic.packets);
        let lost = if fallback.next_hop.is_none() {
            "; the way to it is not known"
        } else {
            ""
        };
        line(
            out,
            &format!("  the fallback {at} serves: {rate} packets/s, {packets} packets{lost}"),
        );
    }
}

/// Why a backend is as it is, and what the operator said.
fn note(backend: &Backend) -> Option<String> {
    let said = backend.said.as_ref().map(|said| {
        let mut words = Vec::new();
        if said.mode != "enabled" {
            words.push(said.mode.clone());
        }
        if let Some(weight) = said.weight {
            words.push(format!("weight {weight} instead of {}", backend.weight));
        }
        let since = for_seconds(said.for_seconds);
        format!("operator: {} for {since}", words.join(", "))
    });
    // "drained by the operator" need not be said twice.
    let mode = backend.said.as_ref().map(|said| said.mode.as_str());
    let reason = backend.reason.clone();
    let reason = reason.filter(|reason| mode.is_none_or(|mode| !reason.starts_with(mode)));
    let notes: Vec<String> = reason.into_iter().chain(said).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// The weight in force.
fn weight(backend: &Backend) -> u16 {
    let said = backend.said.as_ref().and_then(|said| said.weight);
    said.unwrap_or(backend.weight)
}

fn for_seconds(seconds: u64) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(seconds))
}

/// What became of flows at the connection table, where it was asked at all.
fn flows(out: &mut String, service: &Service) {
    let flows = &service.flows;
    if flows.hits + flows.misses + u64::from(service.moved_slots) == 0 {
        return;
    }
    let optional = |count: u64, what: &str| match count {
        0 => String::new(),
        _ => format!(", {count} {what}"),
    };
    let text = [
        format!("  {} flows remembered", flows.remembered),
        optional(flows.with_removed, "of them with removed backends"),
        optional(flows.clients, "clients"),
        optional(service.moved_slots.into(), "slots moved"),
        format!("; {} hits, {} misses", flows.hits, flows.misses),
        optional(flows.inserts, "remembered"),
        optional(flows.evictions, "in the place of others"),
        optional(flows.over_budget, "over budget"),
        optional(flows.table_full, "without a place"),
        optional(flows.to_previous, "to a previous owner"),
    ];
    line(out, &text.concat());
}

fn row(backend: &Backend, service: &Service) -> [String; 10] {
    let share = match (backend.slots, service.ring_slots) {
        (_, 0) | (0, _) => "0".to_owned(),
        (slots, all) => format!(
            "{slots} ({:.1}%)",
            f64::from(slots) * 100.0 / f64::from(all)
        ),
    };
    [
        backend.name.clone(),
        SocketAddr::new(backend.address, backend.port).to_string(),
        backend.forwarding.clone(),
        weight(backend).to_string(),
        share,
        backend.state.name().to_owned(),
        (backend.flows.active + backend.flows.new).to_string(),
        rate(&backend.traffic),
        backend.traffic.packets.to_string(),
        backend.traffic.new_flows.to_string(),
    ]
}

fn table_line(out: &mut String, widths: &[usize; 10], row: &[String; 10], note: Option<&str>) {
    let mut text = String::new();
    for ((cell, width), right) in row.iter().zip(widths).zip(RIGHT) {
        let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
        text.push_str("  ");
        text.push_str(&if right {
            padding + cell
        } else {
            cell.clone() + &padding
        });
    }
    if let Some(note) = note {
        text.push_str("  ");
        text.push_str(note);
    }
    line(out, text.trim_end());
}

fn rate(traffic: &Traffic) -> String {
    format!("{:.0}", traffic.packets_per_second)
}

/// Bytes with a unit of at most four digits before it.
fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count;
    let mut unit = 0;
    while value >= 10_000 && unit + 1 < units.len() {
        value /= 1024;
        unit += 1;
    }
    format!("{value} {}", units[unit])
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a String takes everything");
}
