//! The numbers are the same whoever reads them.

use anyhow::ensure;
use lb_tests::{
    ballast::{
        Forwarding::{DirectRouting, Tunnel},
        from_pinned_maps, from_status,
    },
    client::Load,
};

use crate::support::on_site;

#[test]
fn pinned_maps_and_status_tell_the_same_numbers() {
    on_site(&[DirectRouting, Tunnel], |site| {
        let report = Load::burst(&site.net.client.host, &site.get(), 4, 200)?;
        report.all_answered()?;
        // Before the agent is asked, and also without it.
        let pinned = from_pinned_maps(&site.net.lb.host, "/sys/fs/bpf/ballast")?;
        let status = from_status(&site.agent.status()?)?;
        assert_eq!(pinned, status);
        for (name, answers) in report.by_server() {
            let counters = status[&("web".to_owned(), name.to_owned())];
            assert_eq!(counters.new_flows, answers as u64, "{name}: {counters:?}");
            ensure!(
                counters.packets >= 4 * counters.new_flows,
                "{name}: {counters:?}"
            );
            ensure!(
                counters.bytes >= 40 * counters.packets,
                "{name}: {counters:?}"
            );
        }
        Ok(())
    });
}
