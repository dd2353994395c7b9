use super::{SERVICES, VRRP, check, found};

#[test]
fn services_need_interfaces() {
    let why = "services need the interfaces that client traffic arrives at";
    check(
        SERVICES,
        &[
            (
                "interfaces:",
                "",
                &format!("4:3: datapath.interfaces: missing, {why}"),
            ),
            (
                "interfaces:",
                "interfaces: []",
                &format!("4:15: datapath.interfaces: empty, {why}"),
            ),
            (
                "interfaces:",
                "interfaces:",
                &format!("4:3: datapath.interfaces: missing, {why}"),
            ),
            (
                "interfaces:",
                "interfaces: eth0",
                "4:15: datapath.interfaces: `eth0` is not a list of interface names",
            ),
            (
                "interfaces:",
                "interfaces: [eth0, eth0]",
                "4:22: datapath.interfaces[1]: `eth0` is listed twice",
            ),
            (
                "interfaces:",
                "interfaces: [a/b]",
                "4:16: datapath.interfaces[0]: `a/b` is not an interface name (1 to 15 characters, no '/', ':' or white space)",
            ),
            (
                "interfaces:",
                "interfaces: [e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, ea, eb, ec, ed, ee, ef, eg]",
                "4:15: datapath.interfaces: 17 items, at most 16 are allowed",
            ),
        ],
    );
    let without = SERVICES.replace("datapath:\n  interfaces: [eth0]\n  engine: auto\n", "");
    assert_eq!(
        found(&without).to_string(),
        format!("f.yaml:4:3: datapath.interfaces: missing, {why}")
    );
    assert_eq!(
        found(&format!("datapath: {{ engine: xdp }}\n{VRRP}")).to_string(),
        "",
        "VRRP alone needs none"
    );
}

#[test]
fn settings_are_in_their_ranges() {
    let table = "is not a whole number from 1024 to 67108864";
    let memory = "is not a size from 1MiB to 2047MiB, like `256MiB`, `64KiB` or a number of bytes";
    check(
        SERVICES,
        &[
            (
                "engine:",
                "engine: xpd",
                "5:11: datapath.engine: `xpd` is not auto, xdp or ipvs, did you mean `xdp`?",
            ),
            (
                "engine:",
                "xdp_mode: skb",
                "5:13: datapath.xdp_mode: `skb` is not auto, native or generic, did you mean `generic`?",
            ),
            (
                "engine:",
                "connection_table_size: 1023",
                &format!("5:26: datapath.connection_table_size: `1023` {table}"),
            ),
            (
                "engine:",
                "connection_table_size: 1M",
                &format!("5:26: datapath.connection_table_size: `1M` {table}"),
            ),
            ("engine:", "ring_memory: 1GiB", ""),
            ("engine:", "ring_memory: 1048576", ""),
            (
                "engine:",
                "ring_memory: 64KiB",
                &format!("5:16: datapath.ring_memory: `64KiB` {memory}"),
            ),
            (
                "engine:",
                "ring_memory: 3GiB",
                &format!("5:16: datapath.ring_memory: `3GiB` {memory}"),
            ),
            (
                "engine:",
                "ring_memory: 256MB",
                &format!("5:16: datapath.ring_memory: `256MB` {memory}"),
            ),
            ("engine:", "hash_key: some secret", ""),
            ("engine:", "hash_key: 12345", ""),
            (
                "engine:",
                "hash_key: [a]",
                "5:13: datapath.hash_key: a list here, expected text",
            ),
            (
                "engine:",
                "manage_sysctls: yes",
                "5:19: datapath.manage_sysctls: `yes` is not true or false",
            ),
            (
                "engine:",
                "manage_sysctls: \"true\"",
                "5:19: datapath.manage_sysctls: `true` is not true or false",
            ),
            ("engine:", "manage_sysctls: True", ""),
        ],
    );
}

#[test]
fn nat_needs_ipvs() {
    let nat = SERVICES.replace("forwarding: direct_routing", "forwarding: nat");
    check(
        &nat,
        &[
            (
                "engine:",
                "engine: xdp",
                "11:17: services[0].forwarding: nat goes through IPVS, which `datapath.engine: xdp` rules out, expected `engine: auto` or `ipvs`",
            ),
            ("engine:", "engine: ipvs", ""),
        ],
    );
}

#[test]
fn a_tunnel_source_is_an_address_or_a_network() {
    check(
        SERVICES,
        &[
            ("engine:", "tunnel_source: 10.0.0.2", ""),
            ("engine:", "tunnel_source: 10.0.0.0/24", ""),
            ("engine:", "tunnel_source: fd00::/64", ""),
            ("engine:", "tunnel_source: 10.0.0.2/32", ""),
            (
                "engine:",
                "tunnel_source: 10.0.0.2/24",
                "5:18: datapath.tunnel_source: 10.0.0.2/24 is a host in its network, expected the network `10.0.0.0/24`",
            ),
            (
                "engine:",
                "tunnel_source: 10.0.0.0/33",
                "5:18: datapath.tunnel_source: `10.0.0.0/33` is not a network like `10.0.0.0/24` or `fd00::/64`",
            ),
            (
                "engine:",
                "tunnel_source: eth0",
                "5:18: datapath.tunnel_source: `eth0` is not an IPv4 or IPv6 address",
            ),
            (
                "engine:",
                "tunnel_source: 127.0.0.0/8",
                "5:18: datapath.tunnel_source: 127.0.0.0 is a loopback address, expected a host's address",
            ),
            (
                "engine:",
                "tunnel_source: 0.0.0.0/0",
                "5:18: datapath.tunnel_source: 0.0.0.0 is the unspecified address, expected a host's address",
            ),
        ],
    );
}

#[test]
fn directories_are_absolute() {
    check(
        SERVICES,
        &[
            (
                "runtime_dir:",
                "runtime_dir: run/ballast",
                "1:14: runtime_dir: `run/ballast` is not an absolute path",
            ),
            (
                "runtime_dir:",
                "runtime_dir: \"\"",
                "1:14: runtime_dir: must not be empty",
            ),
            (
                "bpffs_dir:",
                "bpffs_dir: 1",
                "2:12: bpffs_dir: `1` is not an absolute path",
            ),
            (
                "runtime_dir:",
                "router_id: \"\"",
                "1:12: router_id: must not be empty",
            ),
            ("runtime_dir:", "router_id: lb01", ""),
            (
                "runtime_dir:",
                "runtime-dir: /run",
                "1:1: runtime-dir: unknown key, did you mean `runtime_dir`?",
            ),
        ],
    );
}
