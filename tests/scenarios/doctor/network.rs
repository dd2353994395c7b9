//! Traps of interfaces and addresses.

use anyhow::{Result, ensure};
use lb_tests::{
    ballast::{Agent, Backend, Config, Forwarding, Service},
    site::Site,
    topology::{VIP, VIP6, attach_xdp_pass, two_networks},
    vrrp::vrrp_yaml,
};

use super::{examine, finds, finds_with, on_prepared, with_instance};
use crate::support::{front, in_lab};

#[test]
fn an_interface_that_is_not_there_is_found() {
    on_prepared(|site| finds_on(site, &["eth0", "eth7"], &["interface-missing"]));
}

#[test]
fn an_interface_that_is_down_is_found() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        host.sh("ip link add eth1 type veth peer name far")?;
        host.sh("ethtool -K eth1 tx off")?;
        let _passes = host.run(|| attach_xdp_pass("far"))?;
        finds_on(site, &["eth0", "eth1"], &["interface-down"])
    });
}

#[test]
fn an_interface_without_ethernet_is_found() {
    on_prepared(|site| finds_on(site, &["eth0", "lo"], &["native-xdp", "not-ethernet"]));
}

#[test]
fn a_foreign_xdp_program_is_found_by_its_name() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        let _foreign = host.run(|| attach_xdp_pass("eth0"))?;
        let examined = examine(host, site.agent.config())?;
        examined.found(&["foreign-xdp"])?;
        ensure!(examined.document.to_string().contains("lab_pass"));
        Ok(())
    });
}

#[test]
fn what_keeps_xdp_out_of_the_driver_is_found() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        host.sh("ip link add mv0 link eth0 type macvlan mode bridge")?;
        host.sh("ip link set mv0 up")?;
        finds_on(site, &["eth0", "mv0"], &["native-xdp"])?;
        // Generic mode where that is asked for is no trap.
        let config = Config {
            interfaces: ["eth0", "mv0"].map(str::to_owned).to_vec(),
            ..site.config.clone()
        };
        let generic = config
            .to_string()
            .replace("datapath:", "datapath:\n  xdp_mode: generic");
        site.agent.write_config(&generic)?;
        finds(host, site.agent.config(), &[])
    });
}

#[test]
fn a_veth_whose_far_end_has_no_program_is_found() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        host.sh("ip link add eth1 type veth peer name far")?;
        host.sh("ethtool -K eth1 tx off")?;
        host.sh("ip link set eth1 up")?;
        host.sh("ip link set far up")?;
        finds_on(site, &["eth0", "eth1"], &["native-xdp"])
    });
}

#[test]
fn checksums_left_to_a_veth_are_found() {
    on_prepared(|site| {
        site.net.lb.host.sh("ethtool -K eth0 tx on")?;
        finds_on(site, &["eth0"], &["veth-checksum"])
    });
}

#[test]
fn a_strict_reverse_path_filter_is_found_where_replies_come_another_way() {
    in_lab(|lab| {
        let net = two_networks(lab, 1)?;
        let host = &net.lb.host;
        host.sysctl("net.ipv4.ip_forward", 1)?;
        let backend = net.webs[0].v4;
        let yaml = format!(
            "datapath:\n  interfaces: [eth0]\nservices:\n  - {{ name: web, address: {VIP}, port: 80, forwarding: nat, backends: [{{ name: web1, address: {backend} }}] }}\n"
        );
        let agent = Agent::prepare(host, &yaml)?;
        let found =
            || -> Result<bool> { Ok(examine(host, agent.config())?.faults.contains("rp-filter")) };
        ensure!(!found()?, "without a filter");
        host.sysctl("net.ipv4.conf.eth0.rp_filter", 1)?;
        ensure!(found()?, "with a strict one");
        host.sysctl("net.ipv4.conf.all.rp_filter", 2)?;
        ensure!(!found()?, "with a loose one");
        Ok(())
    });
}

#[test]
fn a_daemon_that_manages_the_interface_is_found_unless_it_keeps_addresses() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        let index = host.read("/sys/class/net/eth0/ifindex")?;
        let index = index.trim();
        let write = |path: &str, text: &str| {
            let staged = host.dir().join("staged");
            std::fs::write(&staged, text)?;
            let directory = path
                .rsplit_once('/')
                .map_or("/", |(directory, _)| directory);
            host.exec(["mkdir", "-p", directory])?;
            host.exec(["cp", &staged.display().to_string(), path])
                .map(drop)
        };
        site.agent.write_config(&with_instance(site).to_string())?;
        let config = site.agent.config();
        finds(host, config, &[])?;

        let state = "ADMIN_STATE=configured\nNETWORK_FILE=/run/10-eth0.network\n";
        write(&format!("/run/systemd/netif/links/{index}"), state)?;
        write("/run/10-eth0.network", "[Network]\nDHCP=yes\n")?;
        finds(host, config, &["interface-managed"])?;
        write(
            "/run/10-eth0.network",
            "[Network]\nDHCP=yes\nKeepConfiguration=yes\n",
        )?;
        finds(host, config, &[])?;

        let device = format!("/run/NetworkManager/devices/{index}");
        write(&device, "[device]\nmanaged=false\n")?;
        finds(host, config, &[])?;
        write(&device, "[device]\nmanaged=true\n")?;
        finds(host, config, &["interface-managed"])
    });
}

#[test]
fn a_virtual_address_that_two_stations_have_is_found() {
    on_prepared(|site| {
        let client = &site.net.client.host;
        let config = site.agent.config().to_owned();
        client.sh(&format!("ip address add {VIP}/32 dev eth0"))?;
        finds(&site.net.lb.host, &config, &["duplicate-address"])?;
        client.sh(&format!("ip address del {VIP}/32 dev eth0"))?;
        client.sh(&format!("ip address add {VIP6}/128 dev eth0 nodad"))?;
        finds(&site.net.lb.host, &config, &["duplicate-address"])
    });
}

#[test]
fn a_service_address_that_nobody_holds_is_found() {
    on_prepared(|site| {
        let host = &site.net.lb.host;
        host.sh(&format!("ip address del {VIP}/32 dev eth0"))?;
        finds(host, site.agent.config(), &["address-unowned"])?;
        // An instance will.
        let config = with_instance(site).to_string();
        site.agent.write_config(&config)?;
        finds(host, site.agent.config(), &[])
    });
}

#[test]
fn a_virtual_address_in_no_network_of_its_interface_is_found() {
    on_prepared(|site| {
        let outside = vrrp_yaml(&[front(0).address([192, 0, 2, 7])]);
        finds_with(site, &outside, &["address-outside-networks"])
    });
}

#[test]
fn a_default_route_that_only_the_master_has_is_found() {
    on_prepared(|site| {
        let mut router = front(0);
        router.yaml = vec!["virtual_routes: [{ to: default, via: 10.0.0.44 }]".to_owned()];
        let yaml = vrrp_yaml(&[router]);
        finds_with(site, &yaml, &["default-route-virtual"])?;
        let host = &site.net.lb.host;
        host.sh("ip route add default via 10.0.0.44")?; // As while master.
        finds_with(site, &yaml, &["default-route-virtual"])?;
        host.sh("ip route add default via 10.0.0.101 metric 100")?;
        finds_with(site, &yaml, &[])
    });
}

#[test]
fn a_tunnel_that_full_packets_do_not_fit_is_found() {
    in_lab(|lab| {
        let site = Site::prepare(lab, &[Forwarding::Tunnel])?;
        finds(&site.net.lb.host, site.agent.config(), &["tunnel-mtu"])?;
        site.net.lb.host.sh("ip link set eth0 mtu 1540")?;
        finds(&site.net.lb.host, site.agent.config(), &[])
    });
}

#[test]
fn a_backend_of_direct_routing_behind_a_router_is_found() {
    on_prepared(|site| {
        site.net
            .lb
            .host
            .sh("ip route add 10.9.0.0/24 via 10.0.0.44")?;
        let far = Backend::new("far", [10, 9, 0, 5], Forwarding::DirectRouting);
        let config = Config::on(&["eth0"]).service(Service::new("web", VIP, 80).backend(far));
        site.agent.write_config(&config.to_string())?;
        finds(
            &site.net.lb.host,
            site.agent.config(),
            &["direct-routing-routed"],
        )
    });
}

/// Expects these faults with other `datapath.interfaces`.
fn finds_on(site: &Site, interfaces: &[&str], ids: &[&str]) -> Result<()> {
    let mut config = site.config.clone();
    config.interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
    site.agent.write_config(&config.to_string())?;
    finds(&site.net.lb.host, site.agent.config(), ids)
}
