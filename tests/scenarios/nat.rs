//! NAT on whatever kernel this is; what it does where there is IPVS is shown in `tests/vm`.

use anyhow::{Context as _, ensure};
use lb_tests::ballast::Forwarding::DirectRouting;

use crate::support::{all_answer, on_site};

#[test]
fn without_ipvs_a_nat_service_names_the_module_and_the_others_run() {
    on_site(&[DirectRouting, DirectRouting], |site| {
        let mut config = site.config.clone();
        config.extra += "  - { name: mail, address: 10.0.0.125, port: 25, forwarding: nat, health_check: none, \
                         backends: [{ name: mx, address: 10.0.0.101, port: 2525 }] }\n";
        site.reload(config)?;
        all_answer(site, &site.get(), &["web1", "web2"])?;

        let status = site.agent.status()?;
        let mut services = status["services"].as_array().into_iter().flatten();
        let mail = services
            .find(|service| service["name"] == "mail")
            .context("no such service")?;
        let backend = &mail["backends"][0];
        let problem = status["ipvs"]["problem"].as_str();
        match problem {
            Some(problem) => {
                ensure!(problem.contains("modprobe ip_vs"), "{problem}");
                ensure!(backend["state"] == "down", "{backend}");
                let log = site.agent.process()?.log();
                ensure!(log.matches("this kernel has no IPVS").count() == 1, "{log}");
            }
            // This kernel has it.
            None => ensure!(backend["state"] == "up", "{backend}"),
        }

        // And it is gone with its service.
        site.reload(site.config.clone())?;
        let mut plain = site.config.clone();
        plain.extra.clear();
        site.reload(plain)?;
        ensure!(
            site.agent.status()?["ipvs"].is_null(),
            "IPVS is still wanted"
        );
        all_answer(site, &site.get(), &["web1", "web2"])
    });
}
