//! A reload changes what the file changed, and nothing else.

use anyhow::ensure;
use lb_tests::{
    ballast::{
        Backend,
        Forwarding::{DirectRouting, Tunnel},
    },
    client::{Connection, Load},
};

use crate::support::{PACE, SOON, all_answer, on_site};

#[test]
fn reload_under_load_loses_nothing() {
    on_site(&[DirectRouting, DirectRouting, Tunnel], |site| {
        let load = Load::start(&site.net.client.host, &site.get(), PACE);
        let full = site.config.clone();
        for keep in [2, 1, 3] {
            load.wait_for_more(50, SOON)?;
            let mut config = full.clone();
            for service in &mut config.services {
                service.backends.truncate(keep);
            }
            site.reload(config)?;
        }
        load.wait_for_more(50, SOON)?;
        load.stop()?.all_answered()
    });
}

#[test]
fn reload_moves_new_connections_to_the_backends_of_the_new_file() {
    on_site(&[DirectRouting, DirectRouting], |site| {
        all_answer(site, &site.get(), &["web1", "web2"])?;
        let mut config = site.config.clone();
        config.services[0]
            .backends
            .retain(|backend| backend.name == "web2");
        site.reload(config)?;
        all_answer(site, &site.get(), &["web2"])?;
        // The other service was not touched.
        all_answer(site, &site.get6(), &["web1", "web2"])
    });
}

#[test]
fn reload_with_bad_yaml_keeps_old_services_and_says_where() {
    on_site(&[DirectRouting, DirectRouting], |site| {
        let good = site.config.to_string();
        let bad = good.replace("port: 80\n", "prot: 80\n");
        site.agent.write_config(&bad)?;
        let output = site.agent.ballast(&["reload"])?;
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        // The first service's `port` stands on line 6.
        ensure!(
            message.contains("ballast.yaml:6:"),
            "no place in {message:?}"
        );
        ensure!(message.contains("prot"), "no key in {message:?}");
        all_answer(site, &site.get(), &["web1", "web2"])?;

        site.agent.write_config(&good)?;
        site.agent.reload()
    });
}

#[test]
fn an_open_connection_stays_with_its_backend_when_others_come_and_go() {
    on_site(&[DirectRouting, DirectRouting], |site| {
        let slow = site.get().path("/slow").limit(SOON);
        let client = site.net.client.host.clone();
        let mut open = client.run(|| Connection::open(&slow))?;
        open.request()?;
        let source = open.source()?;
        let explained = site.agent.explain(
            (source.ip(), source.port()),
            (lb_tests::topology::VIP.into(), 80),
        )?;
        let owner = explained["backend"].as_str().unwrap_or_default().to_owned();

        // A third web server that is not there: connections that moved to it would hang.
        let mut config = site.config.clone();
        let absent = site.net.webs[0].v4.octets();
        let absent = [absent[0], absent[1], absent[2], 44];
        config.services[0]
            .backends
            .push(Backend::new("web3", absent, DirectRouting).weight(2));
        let before = site.config.clone();
        site.reload(config)?;
        site.reload(before)?;
        let reply = open.finish()?;
        assert_eq!(reply.server, owner);
        Ok(())
    });
}
