//! The agent itself: build, configuration, data plane, checks as a whole, alerts.

use std::{fmt, time::Duration};

use super::{Page, seconds, yes};
use crate::observe::snapshot::{CheckLoad, Datapath, Snapshot};

pub(super) fn write(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let build = [
        ("version", snapshot.version.as_str()),
        ("router_id", snapshot.router_id.as_str()),
    ];
    page.gauges(
        "ballast_build_info",
        "The build that runs, and the node's name; always 1.",
        [(build, 1u32)],
    )?;
    page.gauge(
        "ballast_uptime_seconds",
        "Time since the agent's start.",
        snapshot.uptime_seconds,
    )?;
    config(page, snapshot)?;
    datapath(page, snapshot)?;
    if let Some(ipvs) = &snapshot.ipvs {
        if let Some(reason) = &ipvs.instead_of_xdp {
            page.gauges(
                "ballast_ipvs_instead_of_xdp_info",
                "Why IPVS serves what XDP usually would; always 1.",
                [([("reason", reason.as_str())], 1u32)],
            )?;
        }
        page.gauge(
            "ballast_ipvs_behind",
            "Whether something keeps IPVS from following.",
            yes(ipvs.problem.is_some()),
        )?;
    }
    page.counters(
        "ballast_xdp_drops",
        "Dropped packets of services, by reason.",
        snapshot
            .drops
            .iter()
            .map(|(reason, count)| ([("reason", reason.as_str())], *count)),
    )?;
    checks(page, &snapshot.checks)?;
    alerts(page, snapshot)
}

fn config(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let (last, reloads) = (&snapshot.config.last_reload, snapshot.config.reloads);
    page.gauge(
        "ballast_config_last_reload_successful",
        "Whether the configuration was taken over the last time it was read.",
        yes(last.ok),
    )?;
    page.gauge(
        "ballast_config_last_reload_timestamp_seconds",
        "When the configuration was last read, in Unix time.",
        last.at_unix,
    )?;
    page.counters(
        "ballast_config_reloads",
        "Reloads since the agent's start.",
        [
            ([("result", "ok")], reloads.ok),
            ([("result", "failed")], reloads.failed),
        ],
    )
}

fn datapath(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    page.gauge(
        "ballast_datapath_behind",
        "Whether something keeps the data plane from following.",
        yes(snapshot.problem.is_some()),
    )?;
    let Some(datapath) = &snapshot.datapath else {
        return Ok(());
    };
    interfaces(page, datapath)?;
    let memory = datapath.ring_memory;
    page.gauge(
        "ballast_datapath_ring_memory_bytes",
        "Memory that can hold rings and tables.",
        memory.total,
    )?;
    page.gauge(
        "ballast_datapath_ring_memory_used_bytes",
        "Memory that rings and tables take.",
        memory.used,
    )?;
    if let Some(change) = datapath.last_change {
        let took = Duration::from_micros(change.microseconds);
        page.gauge(
            "ballast_datapath_last_change_duration_seconds",
            "How long the last change of the maps took.",
            took.as_secs_f64(),
        )?;
    }
    Ok(())
}

fn interfaces(page: &mut Page<'_>, datapath: &Datapath) -> fmt::Result {
    let modes = datapath.interfaces.iter().flat_map(|interface| {
        let mode = interface.mode.as_deref().unwrap_or("unknown");
        ["native", "generic", "unknown"].map(|one| {
            let labels = [("interface", interface.name.as_str()), ("mode", one)];
            (labels, yes(one == mode))
        })
    });
    page.gauges(
        "ballast_datapath_xdp_mode",
        "How XDP is attached to each interface.",
        modes,
    )
}

fn checks(page: &mut Page<'_>, load: &CheckLoad) -> fmt::Result {
    page.gauge(
        "ballast_checks",
        "Different health checks; equal ones are one.",
        load.checks,
    )?;
    page.gauge(
        "ballast_checks_running",
        "Health checks with an attempt under way.",
        load.running,
    )?;
    page.counter(
        "ballast_check_attempts",
        "Attempts of health checks that have ended.",
        load.ended,
    )?;
    let buckets: Vec<(f64, u64)> = load
        .lateness
        .iter()
        .map(|late| (late.under_ms.map_or(f64::INFINITY, seconds), late.attempts))
        .collect();
    if buckets.is_empty() {
        return Ok(());
    }
    page.histogram(
        "ballast_check_lateness_seconds",
        "How late attempts of health checks were started.",
        seconds(load.late_ms),
        &buckets,
    )
}

fn alerts(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    if snapshot.alerts.is_empty() {
        return Ok(());
    }
    let by = || {
        snapshot
            .alerts
            .iter()
            .map(|way| ([("by", way.by.as_str())], way))
    };
    page.counters(
        "ballast_alerts_sent",
        "Alert messages that arrived.",
        by().map(|(labels, way)| (labels, way.sent)),
    )?;
    page.counters(
        "ballast_alerts_failed",
        "Attempts to send an alert message that failed.",
        by().map(|(labels, way)| (labels, way.failed)),
    )?;
    page.counters(
        "ballast_alerts_left_out",
        "Changes that came too fast for a message to list them.",
        by().map(|(labels, way)| (labels, way.left_out)),
    )?;
    page.gauges(
        "ballast_alerts_waiting",
        "Changes that wait for the next alert message.",
        by().map(|(labels, way)| (labels, way.waiting)),
    )
}
