//! The machine and its interfaces.

use super::{YAML, config, healthy, index, ip, noted, only, own, unknown, unseen};
use crate::{
    doctor::{
        facts::{Bpffs, Device, Facts, Manager, XdpProgram},
        gather::testing::{default_routes_v4, default_routes_v6, version},
    },
    ipvs::sysctl,
    net::{Link, XdpPlace, nexthop::Tables, route::RouteAnswer},
};

fn device(facts: &mut Facts) -> &mut Device {
    facts.devices.values_mut().next().unwrap()
}

fn tables(facts: &mut Facts) -> &mut Tables {
    facts.network.as_mut().unwrap()
}

fn link(facts: &mut Facts) -> &mut Link {
    tables(facts).links.get_mut(&index(2)).unwrap()
}

fn ids(yaml: &str, facts: &Facts) -> Vec<&'static str> {
    noted(yaml, facts).iter().map(|check| check.id).collect()
}

#[test]
fn missing_capabilities_are_named() {
    let mut facts = healthy();
    facts.host.missing_capabilities = vec!["CAP_BPF", "CAP_NET_RAW"];
    assert!(only(YAML, &facts, "capabilities").contains("CAP_BPF, CAP_NET_RAW"));
}

#[test]
fn kernels_before_6_1_are_too_old_and_before_5_11_they_limit_memory() {
    let mut facts = healthy();
    facts.host.kernel = Ok((5, 15));
    assert!(only(YAML, &facts, "kernel-version").contains("5.15"));
    facts.host.kernel = Ok((5, 10));
    assert_eq!(ids(YAML, &facts), ["kernel-version", "locked-memory"]);
    facts.host.locked_memory = Ok(None);
    assert!(only(YAML, &facts, "kernel-version").contains("5.10"));
    facts.host.kernel = Ok((10, 0));
    assert!(noted(YAML, &facts).is_empty());
}

#[test]
fn releases_are_read() {
    assert_eq!(version("6.1.0-13-amd64"), Some((6, 1)));
    assert_eq!(version("6.18-rc1"), Some((6, 18)));
    assert_eq!(version("linux"), None);
}

#[test]
fn a_bpffs_that_is_none_or_not_writable_is_found() {
    let mut facts = healthy();
    facts.host.bpffs = Bpffs::NotBpffs("/sys/fs/bpf/ballast".into());
    assert!(only(YAML, &facts, "bpffs").contains("/sys/fs/bpf/ballast"));
    facts.host.bpffs = Bpffs::ReadOnly("/sys/fs/bpf".into());
    assert!(only(YAML, &facts, "bpffs").contains("not writable"));
}

#[test]
fn a_clock_without_a_keeper_is_a_note() {
    let mut facts = healthy();
    facts.host.clock_synchronised = Ok(false);
    only(YAML, &facts, "clock");
    facts.host.clock_synchronised = Err(unseen());
    unknown(YAML, &facts, &["clock"]);
}

#[test]
fn tracked_connections_are_too_many_from_four_fifths_on() {
    let mut facts = healthy();
    facts.host.conntrack = Some((79_000, 100_000));
    assert!(noted(YAML, &facts).is_empty());
    facts.host.conntrack = Some((80_000, 100_000));
    only(YAML, &facts, "conntrack-full");
    facts.host.conntrack = None;
    assert!(noted(YAML, &facts).is_empty());
}

#[test]
fn other_balancers_on_the_host_are_named_by_their_process() {
    let mut facts = healthy();
    facts.host.keepalived = Ok(vec![7, 9]);
    assert!(only(YAML, &facts, "keepalived-running").contains("7, 9"));
    facts.host.keepalived = Ok(vec![]);
    facts.host.agents = Ok(vec![11]);
    assert!(only(YAML, &facts, "second-agent").contains("11"));
    facts.host.agents = Err(unseen());
    unknown(YAML, &facts, &["second-agent"]);
}

#[test]
fn what_only_nat_needs_is_looked_at_only_for_nat() {
    let nat = "
datapath: { interfaces: [eth0] }
services:
  - { name: web, address: 10.0.0.2, port: 80, forwarding: nat, backends: [{ address: 10.0.0.101 }] }
";
    let mut facts = healthy();
    assert_eq!(ids(nat, &facts), ["ipvs-missing", "ip-forward"]);
    facts.host.ipvs = Ok(true);
    assert!(only(nat, &facts, "ip-forward").contains("net.ipv4.ip_forward"));
    let managed = nat.replace("[eth0]", "[eth0], manage_sysctls: true");
    assert!(noted(&managed, &facts).is_empty());
    facts.host.forwards = [Ok(true), Err(unseen())];
    assert!(noted(nat, &facts).is_empty(), "no IPv6 here");
    let direct = "  - { name: v6, address: '2001:db8::2', port: 80, backends: [{ address: '2001:db8::3' }] }\n";
    let both = format!("{nat}{direct}");
    let forwards = noted(&both, &facts);
    assert!(
        forwards.iter().all(|check| check.id != "ip-forward"),
        "IPv6, but no NAT: {forwards:?}"
    );

    let masqueraded = nat.replace(
        "forwarding: nat",
        "forwarding: nat, nat: { masquerade: true }",
    );
    let wanted = sysctl::wanted(&config(&masqueraded).services);
    let conntrack = wanted.iter().find(|one| one.path.ends_with("/conntrack"));
    facts.host.ipvs_settings = vec![(*conntrack.unwrap(), "0".to_owned())];
    assert!(only(&masqueraded, &facts, "ipvs-settings").contains("net.ipv4.vs.conntrack is 0"));
    assert!(noted(&managed, &facts).is_empty());
    assert!(noted(YAML, &facts).is_empty());
    facts.host.ipvs_settings.clear();
    facts.host.nft = false;
    assert!(only(&masqueraded, &facts, "nft-missing").contains("`web`"));
    assert!(noted(nat, &facts).is_empty());

    device(&mut facts).rp_filter = Ok(1);
    assert!(
        noted(nat, &facts).is_empty(),
        "replies come in where they are expected"
    );
    let elsewhere = RouteAnswer::Unicast {
        gateway: None,
        interface: index(3),
        source: None,
        mtu: None,
    };
    tables(&mut facts)
        .routes
        .insert(ip("10.0.0.101"), elsewhere);
    // There is no such interface.
    assert_eq!(ids(nat, &facts), ["rp-filter", "next-hop"]);
    device(&mut facts).rp_filter = Ok(2);
    assert_eq!(ids(nat, &facts), ["next-hop"]);
}

#[test]
fn interfaces_that_are_missing_down_or_no_ethernet_are_found() {
    let two = YAML.replace("[eth0]", "[eth0, eth7]");
    assert!(only(&two, &healthy(), "interface-missing").contains("`eth7`"));
    let mut facts = healthy();
    link(&mut facts).up = false;
    assert_eq!(ids(YAML, &facts), ["interface-down", "next-hop"]);
    let mut facts = healthy();
    link(&mut facts).mac = None;
    assert_eq!(
        ids(YAML, &facts),
        ["not-ethernet", "native-xdp", "next-hop"]
    );
}

#[test]
fn a_foreign_program_is_found_and_ours_is_not() {
    let mut facts = healthy();
    let program = |ours, place| XdpProgram {
        place,
        name: "a program with id 7".to_owned(),
        ours,
    };
    device(&mut facts).xdp = Ok(Some(program(false, XdpPlace::Native)));
    assert!(only(YAML, &facts, "foreign-xdp").contains("id 7"));
    device(&mut facts).xdp = Ok(Some(program(true, XdpPlace::Native)));
    assert!(noted(YAML, &facts).is_empty());
    device(&mut facts).xdp = Ok(Some(program(true, XdpPlace::Generic)));
    assert!(only(YAML, &facts, "native-xdp").contains("generic mode"));
    let asked = YAML.replace("[eth0]", "[eth0], xdp_mode: generic");
    assert!(noted(&asked, &facts).is_empty());
}

#[test]
fn why_there_is_no_native_xdp_is_said() {
    let mut facts = healthy();
    link(&mut facts).kind = Some("bridge".to_owned());
    assert!(only(YAML, &facts, "native-xdp").contains("a bridge has no native XDP"));
    link(&mut facts).kind = Some("veth".to_owned());
    assert!(noted(YAML, &facts).is_empty());
    link(&mut facts).mtu = 9000;
    assert!(only(YAML, &facts, "native-xdp").contains("at most 3506"));
    link(&mut facts).mtu = 1500;
    device(&mut facts).peer_xdp = Some(false);
    assert!(only(YAML, &facts, "native-xdp").contains("other end"));
    device(&mut facts).peer_xdp = Some(true);
    device(&mut facts).xdp_features = Ok(0);
    assert!(only(YAML, &facts, "native-xdp").contains("(ice)"));
}

#[test]
fn on_a_kernel_that_cannot_be_asked_well_known_drivers_count_and_others_are_unknown() {
    let mut facts = healthy();
    device(&mut facts).xdp_features = Err(unseen());
    assert!(noted(YAML, &facts).is_empty());
    device(&mut facts).driver = Some("e1000e".to_owned());
    unknown(YAML, &facts, &["native-xdp"]);
}

#[test]
fn offloads_that_break_xdp_are_found() {
    let mut facts = healthy();
    let Ok(offloads) = &mut device(&mut facts).offloads else {
        panic!()
    };
    (offloads.lro, offloads.gro_hw, offloads.tx_checksum) = (true, true, true);
    let evidence = only(YAML, &facts, "receive-offloads");
    assert!(evidence.contains("large-receive-offload") && evidence.contains("rx-gro-hw"));
    let Ok(offloads) = &mut device(&mut facts).offloads else {
        panic!()
    };
    (offloads.lro, offloads.gro_hw) = (false, false);
    assert!(
        noted(YAML, &facts).is_empty(),
        "hardware does compute checksums"
    );
    link(&mut facts).kind = Some("veth".to_owned());
    only(YAML, &facts, "veth-checksum");
    device(&mut facts).offloads = Err(unseen());
    unknown(YAML, &facts, &["receive-offloads", "veth-checksum"]);
}

#[test]
fn a_daemon_matters_only_where_virtual_addresses_are() {
    let mut facts = healthy();
    device(&mut facts).manager = Some(Manager {
        name: "NetworkManager",
        evidence: "a file".to_owned(),
    });
    assert!(only(YAML, &facts, "interface-managed").contains("NetworkManager (a file)"));
    let without = YAML.split("vrrp_instances").next().unwrap();
    own(tables(&mut facts), "10.0.0.125", 32);
    assert!(noted(without, &facts).is_empty());
}

#[test]
fn default_routes_are_read_from_proc() {
    let v4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
    assert_eq!(default_routes_v4(v4), [Some(ip("192.168.1.1")), None]);
    let nothing = "0".repeat(32);
    let gateway = "fe800000000000000000000000000001";
    let v6 = format!(
        "{nothing} 00 {nothing} 00 {gateway} 00000400 00000001 00000000 00000003 eth0
{nothing} 00 {nothing} 00 {nothing} ffffffff 00000001 00000000 00200200 lo
fd000000000000000000000000000000 40 {nothing} 00 {nothing} 00000100 00000001 00000000 00000001 eth0
"
    );
    assert_eq!(default_routes_v6(&v6), [Some(ip("fe80::1"))]);
}
