//! Pure: `ballast status` on one screen.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use super::snapshot::{Backend, Datapath, Ipvs, Service, Snapshot, Traffic};

mod vrrp;

#[cfg(test)]
mod tests;

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
}

const COLUMNS: [&str; 9] = [
    "BACKEND",
    "ADDRESS",
    "FORWARDING",
    "WEIGHT",
    "SLOTS",
    "STATE",
    "PACKETS/S",
    "PACKETS",
    "NEW FLOWS",
];
/// Numbers stand to the right.
const RIGHT: [bool; 9] = [false, false, false, true, true, false, true, true, true];

fn services(out: &mut String, services: &[Service]) {
    // One width for all services, so that the eye can run down a column.
    let rows: Vec<Vec<[String; 9]>> = services
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
        if rows.is_empty() {
            line(out, "  no backends");
            continue;
        }
        table_line(out, &widths, &COLUMNS.map(str::to_owned), None);
        for (row, backend) in rows.iter().zip(&service.backends) {
            table_line(out, &widths, row, backend.reason.as_deref());
        }
    }
}

fn row(backend: &Backend, service: &Service) -> [String; 9] {
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
        backend.weight.to_string(),
        share,
        backend.state.name().to_owned(),
        rate(&backend.traffic),
        backend.traffic.packets.to_string(),
        backend.traffic.new_flows.to_string(),
    ]
}

fn table_line(out: &mut String, widths: &[usize; 9], row: &[String; 9], note: Option<&str>) {
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
