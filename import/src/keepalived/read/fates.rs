//! Keywords that nothing follows from, and why.

use crate::report::Fate;

/// Keywords with their fate and the reason.
pub type Table = &'static [(&'static [&'static str], Fate, &'static str)];

/// The fate of a keyword; not known, if the table does not have it.
pub fn find(table: Table, name: &str) -> (Fate, &'static str) {
    let found = table.iter().find(|(names, _, _)| names.contains(&name));
    found.map_or((Fate::Unsupported, "not known"), |(_, fate, why)| (*fate, *why))
}

const LOAD_BALANCING: &str = "load balancing (IPVS) is not done here";
const MAIL: &str = "no mail is sent: `notify` can run a program that does";
const CHOSEN: &str = "chosen by itself";
const REAL_TIME: &str = "real-time priority where it is granted";
const SNMP: &str = "SNMP is not spoken: `evergate status --json`";
const DUMP: &str = "`evergate status` and `evergate events`, on a socket and not in files";
const STATIC: &str = "what does not move is for the network configuration of the machine";
const RELOAD: &str = "`evergate reload`, or SIGHUP";
const NAMES: &str = "the names of processes are fixed";
const FIREWALL: &str = "how it is filtered is chosen by itself";

/// Outside of blocks, and blocks.
pub const ROOT: Table = &[
    (&["net_namespace"], Fate::Unsupported, "start evergated in that namespace: ip netns exec"),
    (&["net_namespace_ipvs", "namespace_with_ipsets"], Fate::Unsupported, LOAD_BALANCING),
    (&["instance"], Fate::Unsupported, "give a second daemon another --socket and --state"),
    (&["use_pid_dir"], Fate::Changed, "there are no pid files"),
    (&["child_wait_time"], Fate::Changed, "the time to stop is bounded by itself"),
    (&["linkbeat_use_polling", "linkbeat_interfaces"], Fate::Unsupported, LINKBEAT),
    (&["interface_up_down_delays"], Fate::Unsupported, "a lost carrier counts at once"),
    (
        &["track_group", "static_ipaddress", "static_routes", "static_rules"],
        Fate::Unsupported,
        STATIC,
    ),
    (&["garp_group"], Fate::Unsupported, "the gap between announcements is one for a router"),
    (&["bfd_instance"], Fate::Unsupported, "BFD is not spoken"),
    (&["virtual_server", "virtual_server_group", "SSL"], Fate::Unsupported, LOAD_BALANCING),
];

const LINKBEAT: &str = "the kernel's word counts for carriers; they are not polled";

/// `global_defs`
pub const GLOBAL: Table = &[
    (&["notification_email", "notification_email_from", "smtp_server"], Fate::Unsupported, MAIL),
    (&["smtp_helo_name", "smtp_connect_timeout", "smtp_alert"], Fate::Unsupported, MAIL),
    (&["smtp_alert_vrrp", "smtp_alert_checker", "no_email_faults"], Fate::Unsupported, MAIL),
    (&["no_checker_emails"], Fate::Unsupported, MAIL),
    (&["startup_script", "startup_script_timeout"], Fate::Unsupported, "ExecStartPre of the unit"),
    (
        &["shutdown_script", "shutdown_script_timeout"],
        Fate::Unsupported,
        "ExecStopPost of the unit",
    ),
    (&["dynamic_interfaces"], Fate::Exactly, "an interface may be missing and come back, always"),
    (&["default_interface"], Fate::Unsupported, STATIC),
    (&["vrrp_garp_extra_if"], Fate::Unsupported, "addresses are announced on their own interface"),
    (&["vrrp_owner_ignore_adverts"], Fate::Unsupported, "an owner hears adverts too"),
    (&["vrrp_skip_check_adv_addr"], Fate::Exactly, "no advert is refused for its addresses"),
    (&["vrrp_iptables", "vrrp_ipsets", "nftables", "nftables_priority"], Fate::Changed, FIREWALL),
    (&["nftables_counters", "nftables_ifindex"], Fate::Changed, FIREWALL),
    (&["vrrp_delay_after_boot"], Fate::Unsupported, "start_delay counts from our start"),
    (&["vrrp_rx_bufs_policy", "vrrp_rx_bufs_multiplier"], Fate::Changed, CHOSEN),
    (&["vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_cmd_rcv_bufs_force"], Fate::Changed, CHOSEN),
    (&["vrrp_netlink_monitor_rcv_bufs"], Fate::Changed, CHOSEN),
    (&["vrrp_netlink_monitor_rcv_bufs_force"], Fate::Changed, CHOSEN),
    (&["process_monitor_rcv_bufs", "process_monitor_rcv_bufs_force"], Fate::Changed, CHOSEN),
    (&["log_unknown_vrids"], Fate::Unsupported, "adverts of unknown numbers are not logged"),
    (
        &["vmac_addr_prefix"],
        Fate::Unsupported,
        "only the router's interface has a virtual MAC address",
    ),
    (&["disable_local_igmp"], Fate::Unsupported, "that sysctl is left as it is"),
    (&["vrrp_priority", "vrrp_no_swap", "vrrp_rt_priority"], Fate::Changed, REAL_TIME),
    (&["vrrp_rlimit_rttime", "vrrp_rlimit_rtime"], Fate::Changed, REAL_TIME),
    (&["max_auto_priority", "min_auto_priority_delay"], Fate::Changed, REAL_TIME),
    (&["vrrp_cpu_affinity"], Fate::Unsupported, "CPUAffinity of the unit"),
    (
        &["checker_priority", "checker_no_swap", "checker_rt_priority"],
        Fate::Unsupported,
        LOAD_BALANCING,
    ),
    (&["checker_rlimit_rttime", "checker_cpu_affinity"], Fate::Unsupported, LOAD_BALANCING),
    (&["checker_log_all_failures", "rs_init_notifies"], Fate::Unsupported, LOAD_BALANCING),
    (&["bfd_priority", "bfd_no_swap", "bfd_rt_priority"], Fate::Unsupported, "BFD is not spoken"),
    (&["bfd_rlimit_rttime", "bfd_cpu_affinity"], Fate::Unsupported, "BFD is not spoken"),
    (&["lvs_notify_fifo", "lvs_notify_fifo_script"], Fate::Unsupported, LOAD_BALANCING),
    (&["vrrp_notify_priority_changes"], Fate::Unsupported, "changes of priority are not told"),
    (&["fifo_write_vrrp_states_on_reload"], Fate::Unsupported, "a reload writes what changes"),
    (
        &["enable_script_security"],
        Fate::Exactly,
        "always so: a script that somebody else could change is refused",
    ),
    (&["use_symlink_paths", "set_supplementary_groups", "umask"], Fate::Unsupported, CHOSEN),
    (&["enable_dbus", "dbus_service_name", "dbus_no_interface_name"], Fate::Unsupported, DBUS),
    (&["snmp_socket", "enable_traps", "enable_snmp_vrrp"], Fate::Unsupported, SNMP),
    (&["enable_snmp_checker", "enable_snmp_rfc", "enable_snmp_rfcv2"], Fate::Unsupported, SNMP),
    (&["enable_snmp_rfcv3", "enable_snmp_keepalived"], Fate::Unsupported, SNMP),
    (&["reload_time_file", "reload_repeat", "reload_file"], Fate::Unsupported, RELOAD),
    (&["reload_check_config"], Fate::Exactly, "a reload with an error changes nothing"),
    (&["state_dump_file", "stats_dump_file", "json_dump_file"], Fate::Changed, DUMP),
    (&["json_version", "data_use_instance"], Fate::Changed, DUMP),
    (&["process_names", "process_name", "vrrp_process_name"], Fate::Unsupported, NAMES),
    (&["checker_process_name", "bfd_process_name"], Fate::Unsupported, NAMES),
    (&["random_seed"], Fate::Changed, "random numbers of the file are fixed here"),
    (
        &["iproute_usr_dir", "iproute_etc_dir"],
        Fate::Unsupported,
        "tables of routes have numbers here",
    ),
    (
        &["tmp_config_directory", "config_save_dir"],
        Fate::Changed,
        "a file is read once, into memory",
    ),
    (&["lvs_sync_daemon", "lvs_timeouts", "lvs_flush"], Fate::Unsupported, LOAD_BALANCING),
    (
        &["lvs_flush_on_stop", "nftables_ipvs", "nftables_ipvs_priority"],
        Fate::Unsupported,
        LOAD_BALANCING,
    ),
    (&["nftables_ipvs_start_fwmark"], Fate::Unsupported, LOAD_BALANCING),
    (
        &["lvs_netlink_cmd_rcv_bufs", "lvs_netlink_cmd_rcv_bufs_force"],
        Fate::Unsupported,
        LOAD_BALANCING,
    ),
    (&["lvs_netlink_monitor_rcv_bufs"], Fate::Unsupported, LOAD_BALANCING),
    (&["lvs_netlink_monitor_rcv_bufs_force"], Fate::Unsupported, LOAD_BALANCING),
];

const DBUS: &str = "there is no D-Bus: `evergate`, on its socket";

/// `vrrp_instance`
pub const INSTANCE: Table = &[
    (&["smtp_alert"], Fate::Unsupported, MAIL),
    (&["notify_priority_changes"], Fate::Unsupported, "changes of priority are not told"),
    (&["garp_extra_if"], Fate::Unsupported, "addresses are announced on their own interface"),
    (&["owner_ignore_adverts"], Fate::Unsupported, "an owner hears adverts too"),
    (&["skip_check_adv_addr"], Fate::Exactly, "no advert is refused for its addresses"),
    (&["old_unicast_checksum"], Fate::Changed, CHECKSUM),
    (&["kernel_rx_buf_size"], Fate::Changed, CHOSEN),
    (&["debug"], Fate::Exactly, "it does nothing there either"),
    (&["lvs_sync_daemon_interface"], Fate::Unsupported, LOAD_BALANCING),
    (&["linkbeat_use_polling"], Fate::Unsupported, LINKBEAT),
    (
        &["use_vmac_addr"],
        Fate::Unsupported,
        "only the router's interface has a virtual MAC address",
    ),
    (&["use_ipvlan"], Fate::Unsupported, "no IPVLAN interface is made"),
    (&["vrf"], Fate::Unsupported, "interfaces are left in their VRF"),
    (&["promote_secondaries"], Fate::Exactly, "set on every interface with IPv4 addresses"),
    (&["timer_expired_backup", "thread_timer_expired"], Fate::Changed, PAUSED),
    (
        &["track_src_ip"],
        Fate::Changed,
        "without it no adverts go out; `status` says so, it is no fault",
    ),
    (&["notify_deleted"], Fate::Unsupported, "a group that a reload removes ends by `stop`"),
];

const CHECKSUM: &str = "every checksum is understood; the one with the real destination is sent";
const PAUSED: &str = "who did not run for longer than the others wait gives everything up, always";

/// `vrrp_sync_group`
pub const GROUP: Table = &[
    (&["smtp_alert"], Fate::Unsupported, MAIL),
    (&["notify_priority_changes"], Fate::Unsupported, "changes of priority are not told"),
    (
        &["notify_deleted", "notify_master_rx_lower_pri"],
        Fate::Unsupported,
        "a group has none there",
    ),
    (&["global_tracking"], Fate::Exactly, "what a member tracks counts for the group"),
];
