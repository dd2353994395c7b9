//! What is wrong with a file is named with its line, and costs no more than itself.

use super::*;

const INSTANCE: &str = "vrrp_instance A {
  interface eth0
  virtual_router_id 1
  virtual_ipaddress {
    10.0.0.1
  }
";
const SERVICE: &str = "virtual_server 10.0.0.1 80 {
  protocol TCP
  lb_kind DR
";
const REAL: &str = "  real_server 10.0.0.2 80 {
  }
";

/// The lines of findings that have `pattern`.
fn found(imported: &Imported, pattern: &str) -> Vec<u32> {
    imported
        .findings
        .iter()
        .filter(|f| f.message.contains(pattern))
        .map(|f| f.at.line)
        .collect()
}

/// One finding about `line` has `pattern`; gives the configuration that came out.
#[track_caller]
fn warned(text: &str, line: u32, pattern: &str) -> config::Config {
    let imported = run("x.conf", text);
    assert_eq!(found(&imported, pattern), [line], "{:#?}", told(&imported));
    accepted(&imported)
}

/// As [`warned`], and nothing came out.
#[track_caller]
fn refused(text: &str, line: u32, pattern: &str) {
    let imported = run("x.conf", text);
    assert_eq!(found(&imported, pattern), [line], "{:#?}", told(&imported));
    assert_eq!(imported.yaml, None);
}

#[test]
fn an_unknown_keyword_is_skipped_with_its_block() {
    let text = format!(
        "{INSTANCE}  nonsense 7 {{\n    state MASTER\n    inner {{\n    }}\n  }}\n  priority 7\n}}\n"
    );
    let config = warned(
        &text,
        7,
        "unknown keyword `nonsense`: left out with its block",
    );
    assert_eq!(config.vrrp_instances[0].priority.get(), 7);
    let text = format!("{INSTANCE}  priorty 7\n}}\n");
    warned(&text, 7, "did you mean `priority`?");
}

#[test]
fn unknown_words_for_a_choice_become_keepalived_s_default() {
    warned(
        &format!("{INSTANCE}  state LEADER\n}}\n"),
        7,
        "`state LEADER` is neither MASTER nor BACKUP",
    );
    let config = warned(
        &format!("{SERVICE}  lb_algo best\n{REAL}}}\n"),
        4,
        "`best` is no scheduler",
    );
    assert_eq!(config.services[0].scheduler.to_string(), "wlc");
    let config = warned(
        &format!("{SERVICE}  lb_kind ROUTE\n{REAL}}}\n"),
        4,
        "`ROUTE` is none of NAT, DR and TUN",
    );
    assert_eq!(config.services[0].forwarding.to_string(), "nat");
}

#[test]
fn numbers_out_of_range_are_named() {
    let config = warned(
        &format!("{INSTANCE}  priority 300\n}}\n"),
        7,
        "`300` is no whole number from 1 to 255",
    );
    assert_eq!(config.vrrp_instances[0].priority.get(), 100);
    refused(
        &format!("{INSTANCE}  virtual_router_id 300\n}}\n"),
        7,
        "`300` is no whole number from 1 to 255",
    );
    warned(
        &format!("{INSTANCE}  advert_int 0.5\n}}\n"),
        7,
        "version 2 has whole seconds only: 1s is written",
    );
    warned(
        &format!("{INSTANCE}  version 3\n  advert_int 60\n}}\n"),
        8,
        "40.95s is written",
    );
    refused(
        "virtual_server 10.0.0.1 99999 {\n}\n",
        1,
        "`99999` is no port",
    );
}

#[test]
fn what_is_there_twice_is_taken_once() {
    let twice = format!("{INSTANCE}}}\n{INSTANCE}}}\n");
    let config = warned(&twice, 8, "`vrrp_instance A` is there already, in line 1");
    assert_eq!(config.vrrp_instances.len(), 1);
    let other = INSTANCE
        .replace(" A ", " B ")
        .replace("10.0.0.1", "10.0.0.9");
    warned(
        &format!("{INSTANCE}}}\n{other}}}\n"),
        10,
        "1 is the identifier of the instance in line 1",
    );
    let other = other
        .replace("10.0.0.9", "10.0.0.1")
        .replace("id 1", "id 2");
    warned(
        &format!("{INSTANCE}}}\n{other}}}\n"),
        12,
        "10.0.0.1 is a virtual address already, in line 5",
    );
    let config = warned(
        &format!("{SERVICE}{REAL}}}\n{SERVICE}{REAL}}}\n"),
        7,
        "is a service already, in line 1",
    );
    assert_eq!(config.services.len(), 1);
    warned(
        &format!("{SERVICE}{REAL}{REAL}}}\n"),
        6,
        "is the real server of line 4 already",
    );
}

#[test]
fn a_real_server_s_port_is_the_service_s_under_direct_routing() {
    let text =
        format!("{SERVICE}  real_server 10.0.0.2 8080 {{\n    TCP_CHECK {{\n    }}\n  }}\n}}\n");
    let config = warned(&text, 4, "port 8080 differs from the service's");
    let backend = &config.services[0].backends[0];
    assert_eq!(backend.port.get(), 80);
    let probe = format!("{:?}", backend.health_check.check().unwrap().probe);
    assert_eq!(probe, "Tcp { port: Some(8080) }");
}

#[test]
fn addresses_that_are_none_are_named() {
    for placeholder in [
        "primary-load-balancer-private-IP-address",
        "10.0.0.300",
        "{{ ip }}",
    ] {
        let text = format!("{INSTANCE}  unicast_src_ip {placeholder}\n}}\n");
        let imported = run("x.conf", &text);
        assert_eq!(imported.yaml, None, "{placeholder}");
        let told = told(&imported);
        assert!(
            told.iter().any(|t| t.starts_with("x.conf:7: error: ")),
            "{told:?}"
        );
    }
    let text = format!("{INSTANCE}  unicast_peer {{\n    other-private-address\n  }}\n}}\n");
    refused(
        &text,
        8,
        "`other-private-address` is no IP address of a peer",
    );
    warned(
        &format!("{SERVICE}{REAL}  real_server web2 80 {{\n  }}\n}}\n"),
        6,
        "`web2` is no IP address",
    );
}

#[test]
fn labels_have_their_length() {
    let text = format!(
        "{INSTANCE}  virtual_ipaddress {{\n    10.0.0.2 label eth0:more-than-fifteen\n  }}\n}}\n"
    );
    let config = warned(&text, 8, "is longer than 15 characters");
    assert_eq!(config.vrrp_instances[0].virtual_addresses[1].label, None);
}

#[test]
fn braces_that_do_not_match_refuse_the_file() {
    refused(
        &format!("{INSTANCE}}}\n{SERVICE}{REAL}"),
        8,
        "`virtual_server 10.0.0.1 80` is never closed",
    );
    refused(
        &format!("{INSTANCE}\n{SERVICE}{REAL}}}\n}}\n"),
        8,
        "`vrrp_instance A` is still open here, since line 1",
    );
    refused(&format!("{INSTANCE}}}\n}}\n"), 8, "`}` closes nothing");
    let lacking = REAL.replace(" {", "");
    refused(
        &format!("{SERVICE}{lacking}}}\n"),
        6,
        "perhaps `real_server 10.0.0.2 80` in line 4 lacks its `{`",
    );
}

#[test]
fn statements_in_one_line_refuse_what_they_are_in() {
    let text = format!(
        "{SERVICE}{REAL}}}\nvrrp_instance B {{ state MASTER interface eth0 virtual_router_id 3 }}\n"
    );
    let config = warned(
        &text,
        7,
        "several statements in one line: `state` is followed by `interface`",
    );
    assert_eq!((config.services.len(), config.vrrp_instances.len()), (1, 0));
    let text = format!("{INSTANCE}  virtual_ipaddress {{ 10.0.0.7 10.0.0.8 }}\n}}\n");
    warned(&text, 7, "`10.0.0.8` is behind another address");
}

#[test]
fn a_service_is_all_nat_or_none() {
    let text =
        format!("{SERVICE}{REAL}  real_server 10.0.0.3 80 {{\n    lvs_method NAT\n  }}\n}}\n");
    let config = warned(&text, 6, "which is all nat or none");
    assert_eq!(config.services[0].backends.len(), 1);
}

#[test]
fn what_has_no_equal_is_named_and_not_half_imported() {
    refused(
        "virtual_server fwmark 3 {\n}\n",
        1,
        "firewall marks have no equal",
    );
    refused(
        "virtual_server 10.0.0.1 {\n}\n",
        1,
        "a service for all ports has no equal",
    );
    let text = SERVICE.replace("TCP", "SCTP");
    refused(
        &format!("{text}{REAL}}}\n"),
        2,
        "`protocol SCTP` has no equal",
    );
    let check = |name: &str| {
        format!("{SERVICE}  real_server 10.0.0.2 80 {{\n    {name} {{\n    }}\n  }}\n}}\n")
    };
    warned(&check("SMTP_CHECK"), 5, "`SMTP_CHECK` has no equal");
    warned(&check("BFD_CHECK"), 5, "`BFD_CHECK` has no equal");
    let config = warned(&check("FILE_CHECK"), 5, "`FILE_CHECK` has no equal");
    assert!(
        config.services[0].backends[0]
            .health_check
            .check()
            .is_none()
    );
}

#[test]
fn what_only_the_checker_refuses_is_left_out_by_it() {
    // The service's own address cannot answer for it.
    let config = warned(
        &format!("{SERVICE}{REAL}  real_server 10.0.0.1 80 {{\n  }}\n}}\n"),
        6,
        "is the service's own address",
    );
    assert_eq!(config.services[0].backends.len(), 1);
    let config = warned(
        &format!("{SERVICE}{REAL}  sorry_server 127.0.0.1 80\n}}\n"),
        6,
        "is a loopback address",
    );
    assert_eq!(config.services[0].fallback, None);
    let everybody = SERVICE.replace("10.0.0.1", "224.0.0.1");
    refused(
        &format!("{everybody}{REAL}}}\n"),
        1,
        "is a multicast address",
    );
}

#[test]
fn an_empty_file_is_nothing_usable() {
    for text in [
        "",
        "\n",
        "# all of it\n",
        "global_defs {\n  router_id a\n}\n",
    ] {
        assert_eq!(run("x.conf", text).yaml, None);
    }
}
