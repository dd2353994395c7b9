//! What `global_defs` can say that has no equal, and what Ballast does instead.

const PROCESS: &str = "there is one process; systemd sets priority, CPUs and memory of its unit (`Nice=`, `CPUAffinity=`, `LimitMEMLOCK=`)";
const SNMP: &str = "there is no SNMP; `observability.listen` serves metrics to Prometheus";
const DBUS: &str = "there is no D-Bus; `ballast status --json` tells the state";
const FIFO: &str = "there are no FIFOs; `notify` of the instance and `alerts.command` run programs";
const FIREWALL: &str =
    "virtual addresses are not closed to other traffic, and no firewall rules are made";
const BUFFERS: &str = "buffers have their size";
const GROUP: &str =
    "adverts go to the standard's group (224.0.0.18, ff02::12); other routers must use it, too";
const GARP: &str = "announcements are sent as `garp` says";
const DUMP: &str = "`ballast status --json` tells the state at any time";
const RELOAD: &str = "`ballast reload` checks the file first, and a bad one changes nothing";
const NAMES: &str = "there is one process, called `ballast`";
const TIMES: &str = "a slow or busy machine is not answered with a higher priority; systemd sets that of the unit (`CPUSchedulingPolicy=`)";
const HOOKS: &str =
    "systemd runs programs before the start and after the stop (`ExecStartPre=`, `ExecStopPost=`)";
const VMAC: &str = "the addresses are on the interface itself, with its own MAC, and are announced at each takeover";
const INCLUDE: &str = "what is included was put into one file, and missing files were named";
const MAIL: &str = "who gets mail gets all of it";

/// Keywords and what is done instead.
pub(super) const WITHOUT: &[(&str, &str)] = &[
    ("bfd_cpu_affinity", PROCESS),
    ("bfd_no_swap", PROCESS),
    ("bfd_priority", PROCESS),
    ("bfd_process_name", NAMES),
    ("bfd_rlimit_rtime", PROCESS),
    ("bfd_rlimit_rttime", PROCESS),
    ("bfd_rt_priority", PROCESS),
    ("checker_cpu_affinity", PROCESS),
    ("checker_no_swap", PROCESS),
    ("checker_priority", PROCESS),
    ("checker_process_name", NAMES),
    ("checker_rlimit_rtime", PROCESS),
    ("checker_rlimit_rttime", PROCESS),
    ("checker_rt_priority", PROCESS),
    ("config_save_dir", DUMP),
    ("data_use_instance", DUMP),
    ("dbus_service_name", DBUS),
    ("dbus_no_interface_name", DBUS),
    ("disable_local_igmp", "the kernel's IGMP is left as it is"),
    (
        "dynamic_interfaces",
        "an interface that is missing puts its instances into FAULT until it comes",
    ),
    ("enable_dbus", DBUS),
    ("enable_snmp_checker", SNMP),
    ("enable_snmp_rfc", SNMP),
    ("enable_snmp_rfcv2", SNMP),
    ("enable_snmp_rfcv3", SNMP),
    ("enable_snmp_vrrp", SNMP),
    ("enable_traps", SNMP),
    ("fifo_write_vrrp_states_on_reload", FIFO),
    ("include_check", INCLUDE),
    ("lvs_flush", "only what Ballast made itself is ever removed"),
    (
        "lvs_flush_on_stop",
        "what was made is removed on a clean stop",
    ),
    ("lvs_netlink_cmd_rcv_bufs", BUFFERS),
    ("lvs_netlink_cmd_rcv_bufs_force", BUFFERS),
    ("lvs_netlink_monitor_rcv_bufs", BUFFERS),
    ("lvs_netlink_monitor_rcv_bufs_force", BUFFERS),
    ("lvs_notify_fifo", FIFO),
    ("lvs_notify_fifo_script", FIFO),
    ("max_auto_priority", TIMES),
    ("min_auto_priority_delay", TIMES),
    ("nftables", FIREWALL),
    ("nftables_counters", FIREWALL),
    ("nftables_ifindex", FIREWALL),
    (
        "nftables_ipvs",
        "each address of a group is a service of its own, without firewall marks",
    ),
    (
        "nftables_ipvs_priority",
        "each address of a group is a service of its own, without firewall marks",
    ),
    (
        "nftables_ipvs_start_fwmark",
        "each address of a group is a service of its own, without firewall marks",
    ),
    ("nftables_priority", FIREWALL),
    ("no_checker_emails", MAIL),
    ("no_email_faults", MAIL),
    ("notify_fifo", FIFO),
    ("notify_fifo_script", FIFO),
    ("process_monitor_rcv_bufs", BUFFERS),
    ("process_monitor_rcv_bufs_force", BUFFERS),
    ("process_name", NAMES),
    ("process_names", NAMES),
    (
        "random_seed",
        "`${_RANDOM}` was replaced when the file was imported",
    ),
    ("reload_file", RELOAD),
    (
        "reload_repeat",
        "a timer of systemd can run `ballast reload`",
    ),
    (
        "reload_time_file",
        "a timer of systemd can run `ballast reload`",
    ),
    (
        "rs_init_notifies",
        "`alerts.command` tells changes, not the state at the start",
    ),
    (
        "set_supplementary_groups",
        "a script has all groups of its user",
    ),
    ("shutdown_script", HOOKS),
    ("shutdown_script_timeout", HOOKS),
    ("smtp_helo_name", "mail is sent in the host's own name"),
    ("snmp_rs_stats_update_interval", SNMP),
    ("snmp_socket", SNMP),
    ("snmp_vs_stats_update_interval", SNMP),
    ("startup_script", HOOKS),
    ("startup_script_timeout", HOOKS),
    (
        "tmp_config_directory",
        "the file is read at once, by one process",
    ),
    ("umask", "systemd sets it (`UMask=`)"),
    (
        "use_symlink_paths",
        "scripts are looked at where they really are",
    ),
    ("vmac_addr_prefix", VMAC),
    ("vmac_prefix", VMAC),
    ("vrrp_cpu_affinity", PROCESS),
    (
        "vrrp_delay_after_boot",
        "order the unit after the network instead (`After=network-online.target`)",
    ),
    (
        "vrrp_down_timer_adverts",
        "a master counts as dead after three adverts and the skew, as the standard says: other routers must do so, too",
    ),
    ("vrrp_garp_extra_if", GARP),
    ("vrrp_garp_interval", GARP),
    ("vrrp_garp_lower_prio_delay", GARP),
    ("vrrp_garp_lower_prio_repeat", GARP),
    ("vrrp_garp_master_refresh_repeat", GARP),
    ("vrrp_gna_interval", GARP),
    (
        "vrrp_higher_prio_send_advert",
        "a master that hears a higher priority is silent, as the standard says",
    ),
    ("vrrp_ipsets", FIREWALL),
    ("vrrp_iptables", FIREWALL),
    (
        "vrrp_lower_prio_no_advert",
        "a master that hears a lower priority goes on, as the standard says",
    ),
    ("vrrp_mcast_group4", GROUP),
    ("vrrp_mcast_group6", GROUP),
    ("vrrp_netlink_cmd_rcv_bufs", BUFFERS),
    ("vrrp_netlink_cmd_rcv_bufs_force", BUFFERS),
    ("vrrp_netlink_monitor_rcv_bufs", BUFFERS),
    ("vrrp_netlink_monitor_rcv_bufs_force", BUFFERS),
    ("vrrp_no_swap", PROCESS),
    ("vrrp_notify_fifo", FIFO),
    ("vrrp_notify_fifo_script", FIFO),
    ("vrrp_notify_priority_changes", FIFO),
    ("vrrp_priority", PROCESS),
    ("vrrp_process_name", NAMES),
    ("vrrp_rlimit_rtime", PROCESS),
    ("vrrp_rlimit_rttime", PROCESS),
    ("vrrp_rt_priority", PROCESS),
    ("vrrp_rx_bufs_multiplier", BUFFERS),
    ("vrrp_rx_bufs_policy", BUFFERS),
    (
        "vrrp_skip_check_adv_addr",
        "addresses in adverts are compared each time, which is cheap",
    ),
    (
        "vrrp_startup_delay",
        "order the unit after the network instead (`After=network-online.target`)",
    ),
    (
        "vrrp_strict",
        "adverts follow the standard; `check` refuses what it forbids, and virtual addresses answer on a master that does not own them",
    ),
];
