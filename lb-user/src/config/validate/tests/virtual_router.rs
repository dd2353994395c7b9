use super::{SERVICES, VRRP, check, found};

#[test]
fn what_an_instance_must_have() {
    check(
        VRRP,
        &[
            (
                "interface:",
                "",
                "2:5: vrrp_instances[0].interface: missing, must be given",
            ),
            (
                "virtual_router_id:",
                "virtual_router_id: 0",
                "4:24: vrrp_instances[0].virtual_router_id: `0` is not a whole number from 1 to 255",
            ),
            (
                "virtual_router_id:",
                "virtual_router_id: 256",
                "4:24: vrrp_instances[0].virtual_router_id: `256` is not a whole number from 1 to 255",
            ),
            (
                "version:",
                "version: 4",
                "5:14: vrrp_instances[0].version: `4` is not 2 or 3",
            ),
            (
                "priority:",
                "priority: 0",
                "6:15: vrrp_instances[0].priority: `0` is not a whole number from 1 to 255",
            ),
            ("priority:", "priority: 255", ""),
            (
                "priority:",
                "initial_state: MASTER",
                "6:20: vrrp_instances[0].initial_state: `MASTER` is not master or backup, did you mean `master`?",
            ),
            (
                "priority:",
                "state: MASTER",
                "6:5: vrrp_instances[0].state: unknown key, did you mean `initial_state`?",
            ),
            ("virtual_addresses:", "virtual_addresses: []", ""),
            (
                "virtual_addresses:",
                "virtual_ipaddress: [172.16.0.125]",
                "9:5: vrrp_instances[0].virtual_ipaddress: unknown key, did you mean `virtual_addresses`?",
            ),
        ],
    );
}

#[test]
fn one_virtual_router_id_per_interface_and_family() {
    check(
        VRRP,
        &[
            (
                "- { name: B,",
                "- { name: B, interface: eth0, virtual_router_id: 1 }",
                "10:52: vrrp_instances[1].virtual_router_id: 1 is taken on `eth0` for IPv4, by line 4: use another one",
            ),
            (
                "- { name: B,",
                "- { name: B, interface: eth1, virtual_router_id: 1 }",
                "",
            ),
            (
                "- { name: B,",
                "- { name: B, interface: eth0, virtual_router_id: 1, version: 3, virtual_addresses: [\"fd00::1\"] }",
                "",
            ),
            (
                "- { name: B,",
                "- { name: A, interface: eth0, virtual_router_id: 2 }",
                "10:13: vrrp_instances[1].name: `A` is taken, by line 2: names must differ\n12:29: vrrp_sync_groups[0].members[1]: there is no instance `B`, expected a name from `vrrp_instances`",
            ),
        ],
    );
}

#[test]
fn intervals_fit_the_wire() {
    let range = |low, high| format!("a duration from {low} to {high}, like `500ms`, `6s` or `2m`");
    check(
        VRRP,
        &[
            (
                "advertisement_interval:",
                "advertisement_interval: 10ms",
                "",
            ),
            (
                "advertisement_interval:",
                "advertisement_interval: 40.95s",
                "",
            ),
            (
                "advertisement_interval:",
                "advertisement_interval: 41s",
                &format!(
                    "7:29: vrrp_instances[0].advertisement_interval: `41s` is not {}",
                    range("10ms", "40.95s")
                ),
            ),
            (
                "advertisement_interval:",
                "advertisement_interval: 5ms",
                &format!(
                    "7:29: vrrp_instances[0].advertisement_interval: `5ms` is not {}",
                    range("10ms", "40.95s")
                ),
            ),
            (
                "advertisement_interval:",
                "advertisement_interval: 15ms",
                "7:29: vrrp_instances[0].advertisement_interval: version 3 has steps of 10ms",
            ),
        ],
    );
    let v2 = VRRP.replace("version: 3", "version: 2");
    check(
        &v2,
        &[
            (
                "advertisement_interval:",
                "advertisement_interval: 255s",
                "",
            ),
            (
                "advertisement_interval:",
                "advertisement_interval: 500ms",
                "7:29: vrrp_instances[0].advertisement_interval: version 2 has whole seconds only, use `version: 3` for less",
            ),
            (
                "advertisement_interval:",
                "advertisement_interval: 1500ms",
                "7:29: vrrp_instances[0].advertisement_interval: version 2 has whole seconds only, use `version: 3` for less",
            ),
        ],
    );
}

#[test]
fn version_2_has_no_ipv6() {
    check(
        VRRP,
        &[
            (
                "- { name: B,",
                "- { name: B, interface: eth0, virtual_router_id: 2, virtual_addresses: [\"fd00::1\"] }",
                "10:5: vrrp_instances[1].version: the default is 2, which has no IPv6: give `version: 3`",
            ),
            (
                "- { name: B,",
                "- { name: B, interface: eth0, virtual_router_id: 2, version: 2, virtual_addresses: [\"fd00::1\"] }",
                "10:64: vrrp_instances[1].version: version 2 has no IPv6, use `version: 3`",
            ),
            (
                "- { name: B,",
                "- { name: B, interface: eth0, virtual_router_id: 2, unicast_peers: [\"fd00::1\"] }",
                "10:5: vrrp_instances[1].version: the default is 2, which has no IPv6: give `version: 3`",
            ),
        ],
    );
}

#[test]
fn an_instance_has_one_family() {
    check(
        VRRP,
        &[
            (
                "virtual_addresses:",
                "virtual_addresses: [172.16.0.125/25, \"fd00::1\"]",
                "9:42: vrrp_instances[0].virtual_addresses[1]: fd00::1 is IPv6, the instance is IPv4: give it to an instance of its family",
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [\"fd00::1\", 172.16.0.125/25]",
                "9:36: vrrp_instances[0].virtual_addresses[1]: 172.16.0.125 is IPv4, the instance is IPv6: give it to an instance of its family",
            ),
            (
                "preempt:",
                "unicast_source: fd00::1",
                "8:21: vrrp_instances[0].unicast_source: fd00::1 is IPv6, the instance is IPv4",
            ),
            (
                "preempt:",
                "unicast_peers: [\"fd00::1\"]",
                "8:21: vrrp_instances[0].unicast_peers[0]: fd00::1 is IPv6, the instance is IPv4",
            ),
        ],
    );
}

#[test]
fn preemption_fits_priority_and_state() {
    check(
        VRRP,
        &[
            ("priority:", "priority: 255\npreempt_delay: 0s", ""),
            ("preempt:", "preempt: false", ""),
            (
                "preempt:",
                "preempt: false\ninitial_state: master",
                "8:14: vrrp_instances[0].preempt: warning: false with `initial_state: master`: a living master is followed at the start too, whatever its priority; only the wait for one is shorter",
            ),
            (
                "preempt:",
                "preempt: false\npreempt_delay: 5s",
                "9:20: vrrp_instances[0].preempt_delay: warning: has no effect with `preempt: false`",
            ),
            (
                "preempt:",
                "preempt_delay: 2h",
                "8:20: vrrp_instances[0].preempt_delay: `2h` is not a duration from 0s to 1h, like `500ms`, `6s` or `2m`",
            ),
        ],
    );
    let owner = VRRP.replace("priority: 100", "priority: 255");
    check(
        &owner,
        &[(
            "preempt:",
            "preempt: false",
            "8:14: vrrp_instances[0].preempt: false with priority 255: the owner of the addresses always takes over",
        )],
    );
}

#[test]
fn a_checksum_is_chosen_for_version_3_over_ipv4() {
    check(
        VRRP,
        &[
            ("preempt:", "checksum: rfc9568", ""),
            (
                "preempt:",
                "checksum: rfc5798",
                "8:15: vrrp_instances[0].checksum: `rfc5798` is not auto, pseudo_header or rfc9568",
            ),
        ],
    );
    let v2 = VRRP.replace("version: 3", "version: 2");
    check(
        &v2,
        &[(
            "preempt:",
            "checksum: rfc9568",
            "8:15: vrrp_instances[0].checksum: warning: has an effect in version 3 over IPv4 only",
        )],
    );
}

#[test]
fn peers_are_other_nodes() {
    check(
        VRRP,
        &[
            (
                "preempt:",
                "unicast_source: 10.9.0.1\nunicast_peers: [10.9.0.2]\nunicast_ttl_check: false",
                "",
            ),
            (
                "preempt:",
                "unicast_source: 10.9.0.1\nunicast_peers: [10.9.0.1]",
                "9:21: vrrp_instances[0].unicast_peers[0]: 10.9.0.1 is this node's `unicast_source`, expected the other nodes only",
            ),
            (
                "preempt:",
                "unicast_peers: [10.9.0.2, 10.9.0.2]",
                "8:31: vrrp_instances[0].unicast_peers[1]: 10.9.0.2 is listed twice",
            ),
            (
                "preempt:",
                "unicast_peers: [224.0.0.18]",
                "8:21: vrrp_instances[0].unicast_peers[0]: 224.0.0.18 is a multicast address, expected a host's address",
            ),
            (
                "preempt:",
                "unicast_ttl_check: false",
                "8:24: vrrp_instances[0].unicast_ttl_check: warning: has no effect without `unicast_peers`",
            ),
        ],
    );
}

#[test]
fn passwords_belong_to_version_2() {
    check(
        VRRP,
        &[(
            "preempt:",
            "authentication: { pass: x }",
            "8:21: vrrp_instances[0].authentication: version 3 has no authentication, remove it or use `version: 2`",
        )],
    );
    let v2 = VRRP.replace("version: 3", "version: 2");
    check(
        &v2,
        &[
            ("preempt:", "authentication: { pass: 1111 }", ""),
            (
                "preempt:",
                "authentication: { pass: 123456789 }",
                "8:29: vrrp_instances[0].authentication.pass: warning: 9 bytes, only the first 8 are sent",
            ),
            (
                "preempt:",
                "authentication: { pass: \"\" }",
                "8:29: vrrp_instances[0].authentication.pass: must not be empty",
            ),
            (
                "preempt:",
                "authentication: {}",
                "8:21: vrrp_instances[0].authentication.pass: missing, must be given",
            ),
        ],
    );
}

#[test]
fn virtual_addresses_are_addresses_each_held_once() {
    let expected = "is no address, expected one like `172.16.0.125/25` or `fd00::1/64`";
    check(
        VRRP,
        &[
            (
                "virtual_addresses:",
                "virtual_addresses: [172.16.0.125, { address: 10.0.0.1/24, interface: eth1, label: \"eth1:1\" }]",
                "",
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [172.16.0.125/33]",
                &format!(
                    "9:25: vrrp_instances[0].virtual_addresses[0]: `172.16.0.125/33` {expected}"
                ),
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [172.16.0.125/0]",
                &format!(
                    "9:25: vrrp_instances[0].virtual_addresses[0]: `172.16.0.125/0` {expected}"
                ),
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [www]",
                &format!("9:25: vrrp_instances[0].virtual_addresses[0]: `www` {expected}"),
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [127.0.0.1]",
                "9:25: vrrp_instances[0].virtual_addresses[0]: 127.0.0.1 is a loopback address, expected a host's address",
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [172.16.0.1/25, 172.16.0.1]",
                "9:40: vrrp_instances[0].virtual_addresses[1]: 172.16.0.1 is a virtual address already, in line 9",
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [172.16.0.126]",
                "10:75: vrrp_instances[1].virtual_addresses[0]: 172.16.0.126 is a virtual address already, in line 9",
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [{ address: 10.0.0.1, label: averyverylonglabel }]",
                "9:53: vrrp_instances[0].virtual_addresses[0].label: `averyverylonglabel` is no label, expected at most 15 characters like `eth1:1`",
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [{ address: \"fd00::1\", label: a }]",
                "9:54: vrrp_instances[0].virtual_addresses[0].label: only IPv4 addresses have labels",
            ),
            (
                "virtual_addresses:",
                "virtual_addresses: [{ interface: eth1 }]",
                "9:25: vrrp_instances[0].virtual_addresses[0].address: missing, must be given",
            ),
        ],
    );
}

#[test]
fn virtual_routes_lead_somewhere() {
    check(
        VRRP,
        &[
            (
                "preempt:",
                "virtual_routes: [{ to: 10.0.0.0/8, via: 172.16.0.1 }]",
                "",
            ),
            (
                "preempt:",
                "virtual_routes: [{ to: 10.0.0.1, interface: eth1 }]",
                "",
            ),
            (
                "preempt:",
                "virtual_routes: [{ to: 10.0.0.0/8 }]",
                "8:22: vrrp_instances[0].virtual_routes[0]: leads nowhere, expected `via`, `interface` or both",
            ),
            (
                "preempt:",
                "virtual_routes: [{ to: 10.0.0.1/8, interface: eth1 }]",
                "8:28: vrrp_instances[0].virtual_routes[0].to: 10.0.0.1/8 is a host in its network, expected the network `10.0.0.0/8`",
            ),
            (
                "preempt:",
                "virtual_routes: [{ to: 10.0.0.0/8, via: \"fd00::1\" }]",
                "8:45: vrrp_instances[0].virtual_routes[0].via: fd00::1 is IPv6, the target is IPv4",
            ),
            (
                "preempt:",
                "virtual_routes: [{ to: default, via: 172.16.0.1 }]",
                "8:28: vrrp_instances[0].virtual_routes[0].to: warning: a default route that only the master has: a backup can reach nobody outside",
            ),
            (
                "preempt:",
                "virtual_routes: [{ to: 0.0.0.0/0, via: 172.16.0.1 }]",
                "8:28: vrrp_instances[0].virtual_routes[0].to: warning: a default route that only the master has: a backup can reach nobody outside",
            ),
        ],
    );
}

#[test]
fn announcements_are_bounded() {
    check(
        VRRP,
        &[
            (
                "preempt:",
                "garp: { repeat: 0 }",
                "8:21: vrrp_instances[0].garp.repeat: `0` is not a whole number from 1 to 100",
            ),
            (
                "preempt:",
                "garp: { refresh: 10ms }",
                "8:22: vrrp_instances[0].garp.refresh: less than a second, expected `0s` (never) or at least `1s`",
            ),
            ("preempt:", "garp: { delay: 0s, refresh: 60s }", ""),
        ],
    );
}

#[test]
fn what_is_tracked_exists() {
    check(
        VRRP,
        &[
            (
                "preempt:",
                "track: { interfaces: [eth1], scripts: [chk], processes: [haproxy], files: [/run/x] }",
                "",
            ),
            (
                "preempt:",
                "track: { interfaces: [{ name: eth1, weight: 254 }] }",
                "8:49: vrrp_instances[0].track.interfaces[0].weight: `254` is not a whole number from -253 to 253",
            ),
            (
                "preempt:",
                "track: { scripts: [chek] }",
                "8:24: vrrp_instances[0].track.scripts[0]: there is no script `chek`, did you mean `chk`?",
            ),
            (
                "preempt:",
                "track: { scripts: [{ name: haproxy, weight: 2 }] }",
                "8:32: vrrp_instances[0].track.scripts[0].name: there is no script `haproxy`, expected a name from `scripts`",
            ),
            (
                "preempt:",
                "track: { services: [{ name: web, weight: -20 }] }",
                "8:33: vrrp_instances[0].track.services[0].name: there is no service `web`, expected a name from `services`",
            ),
            (
                "preempt:",
                "track: { processes: [/usr/sbin/haproxy] }",
                "8:26: vrrp_instances[0].track.processes[0]: a path, expected the process's name as `ps` shows it",
            ),
            (
                "preempt:",
                "track: { files: [maintenance] }",
                "8:22: vrrp_instances[0].track.files[0]: `maintenance` is not an absolute path",
            ),
            (
                "preempt:",
                "track: { file: [/run/x] }",
                "8:14: vrrp_instances[0].track.file: unknown key, did you mean `files`?",
            ),
        ],
    );
}

#[test]
fn notify_runs_programs() {
    check(
        VRRP,
        &[
            (
                "preempt:",
                "notify: { master: [/etc/m.sh, a b], any: [/etc/a.sh] }",
                "",
            ),
            (
                "preempt:",
                "notify: { master: /etc/m.sh }",
                "8:23: vrrp_instances[0].notify.master: `/etc/m.sh` is not a list of a program and its arguments, like `[/usr/bin/pidof, haproxy]`",
            ),
            (
                "preempt:",
                "notify: { mater: [/etc/m.sh] }",
                "8:15: vrrp_instances[0].notify.mater: unknown key, did you mean `master`?",
            ),
        ],
    );
}

#[test]
fn groups_have_members_that_exist() {
    check(
        VRRP,
        &[
            (
                "- { name: G,",
                "- { name: G, members: [A, C] }",
                "12:29: vrrp_sync_groups[0].members[1]: there is no instance `C`, expected a name from `vrrp_instances`",
            ),
            (
                "- { name: G,",
                "- { name: G, members: [] }",
                "12:25: vrrp_sync_groups[0].members: empty, expected names of instances",
            ),
            (
                "- { name: G,",
                "- { name: G }",
                "12:5: vrrp_sync_groups[0].members: missing, must be given",
            ),
            (
                "- { name: G,",
                "- { name: G, members: [A] }",
                "12:25: vrrp_sync_groups[0].members: warning: a group of one member does nothing",
            ),
            (
                "- { name: G,",
                "- { name: G, members: [A, A] }",
                "12:29: vrrp_sync_groups[0].members[1]: `A` is in a group already, in line 12: it can be in one",
            ),
            (
                "- { name: G,",
                "- { name: G, members: [A, B] }\n- { name: G, members: [A, B] }",
                "13:13: vrrp_sync_groups[1].name: `G` is taken, by line 12: names must differ\n13:26: vrrp_sync_groups[1].members[0]: `A` is in a group already, in line 12: it can be in one\n13:29: vrrp_sync_groups[1].members[1]: `B` is in a group already, in line 12: it can be in one",
            ),
        ],
    );
}

#[test]
fn scripts_say_what_to_run() {
    check(
        VRRP,
        &[
            (
                "- { name: chk,",
                "- { name: chk, command: [/bin/true], interval: 500ms, timeout: 2s, rise: 2, fall: 3, weight: -10, user: nobody }",
                "",
            ),
            (
                "- { name: chk,",
                "- { name: chk, user: nobody }",
                "14:5: scripts[0].command: missing, must be given",
            ),
            (
                "- { name: chk,",
                "- { name: chk, command: [/bin/true] }",
                "14:5: scripts[0].user: warning: the script runs as root, give a `user` with fewer rights",
            ),
            (
                "- { name: chk,",
                "- { name: chk, command: [pidof, haproxy], user: nobody }",
                "14:28: scripts[0].command[0]: `pidof` is not an absolute path",
            ),
            (
                "- { name: chk,",
                "- { name: chk, command: [/bin/true], user: nobody }\n- { name: chk, command: [/bin/true], user: nobody }",
                "15:13: scripts[1].name: `chk` is taken, by line 14: names must differ",
            ),
        ],
    );
}

#[test]
fn a_service_that_no_instance_owns_is_warned_of() {
    let both = format!("{VRRP}{SERVICES}");
    assert_eq!(found(&both).to_string(), "");
    let other = both.replace("172.16.0.125/25", "172.16.0.99/25");
    assert_eq!(
        found(&other).to_string(),
        "f.yaml:22:14: services[0].address: warning: 172.16.0.125 is no instance's virtual address, nobody brings it up\n\
         f.yaml:34:27: services[1].address: warning: 172.16.0.125 is no instance's virtual address, nobody brings it up"
    );
}
