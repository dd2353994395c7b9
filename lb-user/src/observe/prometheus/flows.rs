//! Flows that are remembered, and clients that stay with their backend.

use std::fmt;

use super::{
    Labels, Page,
    services::{self, Named},
};
use crate::observe::snapshot::{Backend, BackendFlows, Service, ServiceFlows, Snapshot};

pub(super) fn write(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let named = services::named(snapshot);
    page.gauges(
        "ballast_service_moved_slots",
        "Slots of a service's ring that have moved lately: older flows are looked after.",
        named
            .iter()
            .map(|one| (one.labels(), one.service.moved_slots)),
    )?;
    page.gauges(
        "ballast_service_remembered_clients",
        "Clients that persistence keeps with their backend, as of the last sweep.",
        named
            .iter()
            .map(|one| (one.labels(), one.service.flows.clients)),
    )?;
    page.counters(
        "ballast_service_flow_packets",
        "Packets for which remembered flows were asked, by what was found.",
        with(&named, |flows| {
            [("hit", flows.hits), ("miss", flows.misses)]
        }),
    )?;
    page.counters(
        "ballast_service_previous_owner_packets",
        "Packets of flows that were not remembered and went to a slot's previous owner.",
        named
            .iter()
            .map(|one| (one.labels(), one.service.flows.to_previous)),
    )?;
    page.counters(
        "ballast_service_flow_inserts",
        "Flows that were to be remembered, by how that went.",
        with(&named, |flows| {
            [
                ("free_place", flows.inserts),
                ("evicted_another", flows.evictions),
                ("over_budget", flows.over_budget),
                ("table_full", flows.table_full),
            ]
        }),
    )?;
    page.gauges(
        "ballast_backend_flows",
        "Remembered flows of a backend as of the last sweep, by state.",
        snapshot.services.iter().flat_map(|service| {
            let backends = service.backends.iter();
            backends.flat_map(move |backend| of_backend(service, backend))
        }),
    )?;
    table(page, snapshot)
}

/// One series for each result of each service.
fn with<'a, const N: usize>(
    named: &'a [Named<'_>],
    of: impl Fn(&ServiceFlows) -> [(&'static str, u64); N],
) -> impl Iterator<Item = (Labels<'a, 5>, u64)> {
    named.iter().flat_map(move |one| {
        let [service, vip, port, proto] = one.labels();
        of(&one.service.flows)
            .map(|(result, count)| ([service, vip, port, proto, ("result", result)], count))
    })
}

fn of_backend<'a>(service: &'a Service, backend: &'a Backend) -> [(Labels<'a, 3>, u32); 3] {
    let BackendFlows {
        active,
        new,
        closing,
        clients: _,
    } = backend.flows;
    let [service, backend] = services::labels(service, backend);
    [("established", active), ("new", new), ("closing", closing)]
        .map(|(state, count)| ([service, backend, ("state", state)], count))
}

fn table(page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
    let Some(datapath) = &snapshot.datapath else {
        return Ok(());
    };
    let table = datapath.connection_table;
    page.gauges(
        "ballast_connection_table_entries",
        "Entries of the connection table as of the last sweep.",
        [
            ([("kind", "flow")], table.flows),
            ([("kind", "client")], table.clients),
        ],
    )?;
    page.gauge(
        "ballast_connection_table_max_entries",
        "Entries that the connection table has room for.",
        table.places,
    )
}
