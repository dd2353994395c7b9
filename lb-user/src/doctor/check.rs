//! The table of checks.

use std::fmt;

use serde::Serialize;

use super::{
    facts::{Facts, Seen},
    judge::{backends, datapath, host, segment, virtuals},
};
use crate::config::Config;

/// One trap and how it is seen.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, for scripts; never changes.
    pub id: &'static str,
    /// The trap in a sentence, lower case.
    pub title: &'static str,
    /// What is looked at.
    pub looks_at: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What to do about it.
    pub remedy: &'static str,
    /// Whether it is there. Pure.
    pub(super) judge: fn(&Config, &Facts) -> Judgement,
}

/// How bad a trap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work, or will not after the next change of roles.
    Problem,
    /// Something is slower, or breaks under circumstances.
    Warning,
    /// Worth knowing; no fault.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// What a check found and what it could not look at. Empty: all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// The trap, one sentence for each place where it is.
    pub evidence: Vec<String>,
    /// Why it could not be looked for somewhere.
    pub unknown: Vec<String>,
}

impl Judgement {
    /// The trap is there.
    pub(super) fn found(&mut self, evidence: impl Into<String>) {
        self.evidence.push(evidence.into());
    }

    /// It could not be looked for. Said once for each reason.
    pub(super) fn unknown(&mut self, reason: impl fmt::Display) {
        let reason = reason.to_string();
        if !self.unknown.contains(&reason) {
            self.unknown.push(reason);
        }
    }

    /// The fact; where there is none, that is noted.
    pub(super) fn need<'f, T>(&mut self, fact: &'f Seen<T>) -> Option<&'f T> {
        match fact {
            Ok(value) => Some(value),
            Err(why) => {
                self.unknown(why);
                None
            }
        }
    }
}

const P: Severity = Severity::Problem;
const W: Severity = Severity::Warning;
const N: Severity = Severity::Note;

macro_rules! checks {
    ($($severity:ident $id:literal, $title:literal, $looks_at:literal, $remedy:literal, $judge:path;)+) => {
        /// Every check there is, in the order in which they are reported: host, interfaces, virtual
        /// addresses, virtual routers, real servers.
        pub const CHECKS: &[Check] = &[$(Check {
            id: $id,
            title: $title,
            looks_at: $looks_at,
            severity: $severity,
            remedy: $remedy,
            judge: $judge,
        }),+];
    };
}

checks! {
    P "capabilities", "capabilities are missing",
        "the effective capabilities of this process",
        "run as root, or give CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW (the systemd unit does)",
        host::capabilities;
    P "kernel-version", "the kernel is too old",
        "the kernel's release",
        "install a kernel of at least 6.1, like that of Debian 12 or Ubuntu 24.04",
        host::kernel_version;
    P "locked-memory", "BPF maps would not fit the limit of locked memory",
        "RLIMIT_MEMLOCK, on kernels before 5.11, which charge maps to it",
        "set `LimitMEMLOCK=infinity` in the unit (`ulimit -l unlimited` in a shell), or use a newer kernel",
        host::locked_memory;
    P "bpffs", "maps and links cannot be pinned",
        "the file system at `bpffs_dir`, or above it",
        "mount one with `mount -t bpf bpf /sys/fs/bpf` (systemd does it at boot), writable for root, or change `bpffs_dir`",
        host::bpffs;
    N "clock", "the clock is not synchronised",
        "the kernel's clock state (adjtimex); elections need no clock, logs of two nodes and certificates do",
        "run chrony, ntpd or systemd-timesyncd",
        host::clock;
    W "conntrack-full", "the table of tracked connections is nearly full",
        "nf_conntrack_count and nf_conntrack_max; what XDP forwards is not in there, health checks and NAT are",
        "raise net.netfilter.nf_conntrack_max, or do not track the traffic (`notrack`)",
        host::conntrack_full;
    P "keepalived-running", "keepalived runs on this host, too",
        "processes of this network namespace",
        "stop one of the two: `systemctl disable --now keepalived`",
        host::keepalived_running;
    P "second-agent", "another ballast runs on this host",
        "processes of this network namespace, but for the one behind this configuration's socket",
        "stop it, or put what it does into one configuration: two agents fight for interfaces and addresses",
        host::second_agent;
    P "script-permissions", "a program may not be run",
        "owner and permissions of every program of the configuration and of the directories above it, and its user",
        "let it belong to root and be writable by root alone, with every directory above: `chown root`, `chmod go-w`",
        host::script_permissions;
    P "ipvs-missing", "the kernel has no IPVS",
        "/proc/net/ip_vs and the kernel's modules, where a service is nat or the engine is ipvs",
        "load it with `modprobe ip_vs`, or install the kernel's module package (cloud kernels leave it out)",
        host::ipvs_missing;
    P "ip-forward", "the host does not forward, and NAT needs it to",
        "net.ipv4.ip_forward and net.ipv6.conf.all.forwarding, where a service is nat",
        "set them to 1, or set `datapath.manage_sysctls: true`",
        host::ip_forward;
    W "ipvs-settings", "IPVS is not set as its services want it",
        "net.ipv4.vs.conntrack, expire_nodest_conn and expire_quiescent_template, where a service of IPVS's wants them",
        "set them to 1, or set `datapath.manage_sysctls: true`",
        host::ipvs_settings;
    P "nft-missing", "there is no program nft, and `nat.masquerade` needs it",
        "where distributions have `nft`, where a service is masqueraded",
        "install the package nftables",
        host::nft_missing;

    P "interface-missing", "an interface does not exist",
        "every interface that the configuration names",
        "correct the name (`ip link` lists those there are), or see that the interface is made before ballast starts",
        datapath::interface_missing;
    P "interface-down", "an interface is down",
        "the state and carrier of every interface that the configuration names",
        "set it up with `ip link set NAME up`, or look at its cable and switch",
        datapath::interface_down;
    P "not-ethernet", "an interface carries no Ethernet frames",
        "the interfaces of `datapath.interfaces`",
        "name the Ethernet interface that client traffic arrives on, not lo, a tunnel or a tun",
        datapath::not_ethernet;
    P "foreign-xdp", "another XDP program is on an interface",
        "the XDP program of each of `datapath.interfaces`, and the links that an agent pinned",
        "detach it with `ip link set dev NAME xdp off` or remove its link; to share an interface, name another one",
        datapath::foreign_xdp;
    W "native-xdp", "XDP cannot run in the driver",
        "each of `datapath.interfaces`: kind, driver, MTU, the driver's own word (`xdp-features`, Linux 6.3), the near end of a veth, and the mode of a running program",
        "use an interface whose driver has XDP, on a veth or virtio an MTU of at most 3506; generic mode works, at a fraction of the speed",
        datapath::native_xdp;
    W "receive-offloads", "receive offloads keep XDP out of the driver",
        "large-receive-offload and rx-gro-hw of `datapath.interfaces`",
        "switch them off: `ethtool -K NAME lro off rx-gro-hw off`",
        datapath::receive_offloads;
    W "veth-checksum", "a veth leaves checksums to hardware that it does not have",
        "tx-checksumming of those of `datapath.interfaces` that are veths",
        "switch it off at both ends: `ethtool -K NAME tx off`; packets that XDP forwards arrive with a wrong checksum otherwise",
        datapath::veth_checksum;
    W "rp-filter", "a strict reverse path filter drops replies",
        "rp_filter of `datapath.interfaces` and the routes to the backends, where a service is nat or the engine is ipvs",
        "set net.ipv4.conf.all.rp_filter and that of the interface to 0 or 2",
        datapath::rp_filter;
    W "interface-managed", "a network daemon may take virtual addresses away",
        "the states that systemd-networkd and NetworkManager keep in /run for interfaces with virtual addresses",
        "networkd: `KeepConfiguration=yes` in the [Network] section; NetworkManager: `nmcli device set NAME managed no`; or let neither manage it",
        datapath::interface_managed;

    P "duplicate-address", "a virtual address is claimed twice",
        "who answers ARP or neighbour discovery for each virtual and each service's address",
        "take the address from all but the master; two balancers that both have it do not hear each other's adverts",
        virtuals::duplicate_address;
    P "vip-on-real-server", "a real server answers for a virtual address",
        "the Ethernet addresses of the answers, and those of the backends",
        "run `ballast realserver up --vip ADDRESS` there: it puts the address on lo and sets arp_ignore=1, arp_announce=2",
        virtuals::vip_on_real_server;
    W "address-unowned", "nobody holds a service's address",
        "services' addresses, the instances' `virtual_addresses` and this host's addresses",
        "add it to the `virtual_addresses` of an instance, or to an interface if a router leads to it some other way",
        virtuals::address_unowned;
    W "address-outside-networks", "a virtual address is in no network of its interface",
        "virtual addresses without a prefix of their own, and the interface's networks",
        "correct the address, give it the prefix of its network, or see that a router leads to it",
        virtuals::address_outside;
    W "default-route-virtual", "only the master has a default route",
        "`virtual_routes` to default, and the host's own default routes",
        "give both nodes a default route of their own (with a larger metric): a backup cannot reach its checks, DNS and mail otherwise",
        virtuals::default_route;

    P "no-multicast", "adverts go by multicast, and the interface has none",
        "the MULTICAST flag of interfaces with instances that have no `unicast_peers`",
        "set it with `ip link set NAME multicast on`, or use `unicast_peers`",
        segment::no_multicast;
    P "vrrp-filtered", "the packet filter drops adverts",
        "the rules of nftables and of legacy iptables, played through for a packet of protocol 112 in and out of each instance's interface",
        "accept them: `nft insert rule inet filter input meta l4proto vrrp accept` (iptables: `-I INPUT -p vrrp -j ACCEPT`)",
        segment::filtered;
    P "vrid-conflict", "another virtual router uses the same number",
        "adverts heard for three intervals, 3.6 s at most: VRID and addresses",
        "give one of the two another `virtual_router_id`; routers of one number must list the same addresses",
        segment::vrid_conflict;
    P "vrrp-version-mismatch", "the other router speaks another version",
        "adverts heard for three intervals, 3.6 s at most: version",
        "set the same `version` on all nodes of the virtual router",
        segment::version_mismatch;
    P "vrrp-password-mismatch", "the other router has another password",
        "adverts heard for three intervals, 3.6 s at most: authentication",
        "set the same `authentication` on all nodes; only the first 8 bytes count",
        segment::password_mismatch;
    P "vrrp-interval-mismatch", "the other router has another interval",
        "adverts heard for three intervals, 3.6 s at most: interval; version 2 ignores adverts that differ in it",
        "set the same `advertisement_interval` on all nodes",
        segment::interval_mismatch;
    P "two-masters", "two masters send adverts",
        "adverts heard for three intervals, 3.6 s at most: senders; and whether this host has the addresses",
        "see that both hear each other: packet filters, switches (IGMP snooping), version and password are the usual reasons",
        segment::two_masters;

    P "next-hop", "a backend cannot be reached",
        "the route to each backend and fallback, and who answers ARP or neighbour discovery there",
        "see that the server is up and on that network, or correct its address or the route",
        backends::next_hop;
    P "direct-routing-routed", "a backend of direct routing is behind a router",
        "the route to each backend with `forwarding: direct_routing`",
        "use `forwarding: tunnel`, or give the balancer an interface in the backend's network: a router would send the packet back here",
        backends::routed;
    W "tunnel-mtu", "full-sized packets do not fit a tunnel",
        "the MTU of the way to each backend with `forwarding: tunnel`, less the outer header",
        "raise the MTU towards the backends by 40 bytes (IPv4: 20), or clamp the MSS that real servers offer; clients behind filters of ICMP hang otherwise",
        backends::tunnel_mtu;
    P "vip-missing", "a real server does not take packets for the virtual address",
        "a SYN for each service's address, sent to each backend as the data plane sends it",
        "run `ballast realserver up --vip ADDRESS` there (`--tunnel` for a tunnel), and look at its packet filter and rp_filter",
        backends::vip_missing;
    P "vip-refused", "a real server listens on its own address only",
        "a SYN for each service's address and one for the backend's own",
        "let the server listen on all addresses, or on the virtual one, too",
        backends::vip_refused;
}
