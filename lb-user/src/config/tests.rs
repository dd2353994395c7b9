//! Whole files: the examples, the golden report, and what no text may do.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    model::{HealthCheck, Probe},
    tree::{Node, Value},
    *,
};

const BALLAST: &str = include_str!("../../../config/ballast.yaml");
/// The name and the text of an example.
macro_rules! example {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../config/examples/", $name)),
        )
    };
}

const EXAMPLES: &[(&str, &str)] = &[
    example!("direct-routing.yaml"),
    example!("tunnel.yaml"),
    example!("vrrp-pair.yaml"),
    example!("haproxy-vip.yaml"),
    example!("nat.yaml"),
    example!("cloud-address.yaml"),
    example!("dr-http-digest.yaml"),
    example!("dr-pair.yaml"),
    example!("haproxy-pair.yaml"),
    example!("shared-addresses.yaml"),
];
const MINIMAL: &str = "\
datapath:
  interfaces: [eth0]
services:
  - name: web
    address: 172.16.0.125
    port: 80
    backends:
      - address: 172.16.0.101
";

/// What is wrong with a text, one line each.
fn wrong(text: &str) -> String {
    match validate_str("BAD.yaml", text) {
        Ok(_) => panic!("nothing is wrong with {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_minimal_file_gets_every_documented_default() {
    let loaded = validate_str("t.yaml", MINIMAL).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    insta::assert_debug_snapshot!(loaded.config);
}

#[test]
fn five_mistakes_give_five_lines_at_their_places() {
    let text = "\
datapath:
  interfaces: [eth0]
  xdp_mod: native
services:
  - name: web
    address: 172.16.0.125
    port: 80
    scheduler: magelv
    backends:
      - { name: web1, address: 172.16.0.101, wieght: 2 }
      - { name: web2, address: 172.16.0.102, port: 8080 }
      - name: web3
        address: 172.16.0.300
";
    assert_eq!(
        wrong(text),
        "\
BAD.yaml:3:3: datapath.xdp_mod: unknown key, did you mean `xdp_mode`?
BAD.yaml:8:16: services[0].scheduler: `magelv` is not maglev, rr, wrr, lc, wlc, sed, nq, sh or dh, did you mean `maglev`?
BAD.yaml:10:46: services[0].backends[0].wieght: unknown key, did you mean `weight`?
BAD.yaml:11:52: services[0].backends[1].port: 8080 differs from the service's port 80: direct_routing cannot change it, only `forwarding: nat` can
BAD.yaml:13:18: services[0].backends[2].address: `172.16.0.300` is not an IPv4 or IPv6 address"
    );
}

#[test]
fn a_file_without_content_says_so() {
    for empty in [
        "",
        "\n\n",
        "# only a comment\n",
        "---\n",
        "{}",
        "~",
        "\u{feff}",
        "--- # x\n...\n",
    ] {
        let message = wrong(empty);
        assert!(
            message
                .ends_with(": the file is empty, expected at least `services` or `vrrp_instances`"),
            "{empty:?}: {message}"
        );
        assert!(message.starts_with("BAD.yaml:1:"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_file_with_nothing_to_do_says_so() {
    let message = wrong("router_id: lb1\nservices: []\n");
    assert_eq!(
        message,
        "BAD.yaml:1:1: nothing to do, expected at least one of `services` or `vrrp_instances`"
    );
}

#[test]
fn a_document_that_is_no_mapping_is_refused() {
    assert_eq!(
        wrong("[1, 2]\n"),
        "BAD.yaml:1:1: a list here, expected a mapping of keys to values"
    );
    assert_eq!(
        wrong("hello\n"),
        "BAD.yaml:1:1: `hello` is not a mapping of keys to values"
    );
}

#[test]
fn the_annotated_file_is_valid_and_without_a_warning() {
    let loaded = validate_str("config/ballast.yaml", BALLAST).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
}

#[test]
fn every_example_is_valid_and_warns_of_nothing_but_what_its_setup_is_known_for() {
    for (name, text) in EXAMPLES {
        let loaded = validate_str(name, text).unwrap_or_else(|error| panic!("{error}"));
        let warnings = loaded.warnings.to_string();
        // The published setup gives the default route to the master alone, and says so itself.
        let known = match *name {
            "shared-addresses.yaml" => vec!["virtual_routes[0].to"],
            _ => vec![],
        };
        assert_eq!(warnings.lines().count(), known.len(), "{warnings}");
        for (line, place) in warnings.lines().zip(known) {
            assert!(line.contains(place), "{line}");
        }
    }
}

#[test]
fn every_file_of_the_examples_directory_is_tested() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples");
    let there: BTreeSet<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    let tested: BTreeSet<_> = EXAMPLES
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(there, tested);
}

#[test]
fn the_annotated_file_has_every_key_of_the_schema() {
    let mut cx = Cx::new("config/ballast.yaml");
    let tree = load::parse(&mut cx, BALLAST).unwrap();
    validate::config(&mut cx, &tree).unwrap();
    let mut there = BTreeSet::new();
    keys(&tree, "", &mut there);
    // Rooms that several parents share are written out once.
    let shared = |path: &String| {
        path.replace("services.backends.health_check", "services.health_check")
            .replace("vrrp_sync_groups.notify", "vrrp_instances.notify")
            .replace("health_check.https.p", "health_check.http.p")
    };
    let there: BTreeSet<String> = there.iter().map(shared).collect();
    let asked: BTreeSet<String> = cx.asked().iter().map(shared).collect();
    let missing: Vec<&String> = asked.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(asked.len() > 120, "the walk was cut short: {}", asked.len());
}

/// Every key of a document as a path without indices.
fn keys(node: &Node, path: &str, found: &mut BTreeSet<String>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let path = walk::join_key(path, &entry.key);
                keys(&entry.node, &path, found);
                found.insert(path);
            }
        }
        Value::List(items) => items.iter().for_each(|item| keys(item, path, found)),
        Value::Null | Value::Scalar { .. } => {}
    }
}

/// The annotated file says of most keys "the value shown is the default": taking them out must change nothing.
#[test]
fn the_annotated_file_shows_the_defaults() {
    let shown = [
        "runtime_dir:",
        "bpffs_dir:",
        "  engine:",
        "  xdp_mode:",
        "  connection_table_size:",
        "  ring_memory:",
        "  hash_key:",
        "  manage_sysctls:",
        "    version: 2",
        "    initial_state:",
        "    priority:",
        "    advertisement_interval: 1s",
        "    preempt:",
        "    preempt_delay:",
        "    unicast_ttl_check:",
        "    checksum:",
        "    garp:",
        "    protocol: tcp",
        "    forwarding: direct",
        "    scheduler: maglev",
        "    ring_size:",
        "    grace:",
        "    udp_grace: 30s",
        "    new_flow_budget:",
        "    timeouts:",
        "      up: 1",
        "      hysteresis:",
        "      interval:",
        "      timeout:",
        "      retries:",
        "      retry_delay:",
        "      rise:",
        "        weight: 1",
        "    on_failure:",
        "    nat:",
        "    rise:",
        "    fall:",
        "    weight: 0",
        "    interval: 1s",
        "    timeout: 1s",
    ];
    let is_shown = |line: &&str| shown.iter().any(|s| line.starts_with(s));
    for prefix in shown {
        assert!(
            BALLAST.lines().any(|line| line.starts_with(prefix)),
            "{prefix}"
        );
    }
    let without: String = BALLAST
        .lines()
        .filter(|line| !is_shown(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let full = validate_str("t.yaml", BALLAST).unwrap().config;
    let short = validate_str("t.yaml", &without)
        .unwrap_or_else(|error| panic!("{error}"))
        .config;
    assert!(full == short, "{:#?}", diff::diff(&full, &short));
}

#[test]
fn a_backend_check_starts_from_its_services() {
    let loaded = validate_str("t.yaml", BALLAST).unwrap();
    let backends = &loaded.config.services[0].backends;
    let HealthCheck::Explicit(own) = &backends[0].health_check else {
        panic!()
    };
    assert!(matches!(own.probe, Probe::Tcp { port: Some(port) } if port.get() == 8080));
    assert_eq!(own.interval.as_secs(), 10);
    assert_eq!(own.source, Some("10.0.0.2".parse().unwrap()));
    assert_eq!(backends[1].health_check, HealthCheck::Off);
    let HealthCheck::Explicit(inherited) = &backends[2].health_check else {
        panic!()
    };
    assert!(matches!(inherited.probe, Probe::Http(_)));
    assert_eq!(
        inherited.source, None,
        "a source of the other family is of no use"
    );
}

#[test]
fn warnings_alone_do_not_refuse_a_file() {
    let loaded = validate_str("t.yaml", &format!("{MINIMAL}    nat: {{}}\n")).unwrap();
    assert_eq!(
        (loaded.warnings.errors(), loaded.warnings.warnings()),
        (0, 1)
    );
    assert!(loaded.warnings.only_warnings());
    assert_eq!(
        loaded.warnings.to_string(),
        "t.yaml:9:10: services[0].nat: warning: has no effect without `forwarding: nat`"
    );
}

#[test]
fn a_refused_file_reports_its_warnings_too() {
    let error = validate_str(
        "t.yaml",
        &format!("{MINIMAL}    nat: {{}}\n    grace: never\n"),
    )
    .unwrap_err();
    let found = error.diagnostics().unwrap();
    assert_eq!((found.errors(), found.warnings(), found.len()), (1, 1, 2));
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_file_that_is_wrong_all_over_is_cut_off() {
    let text: String = (0..5000).map(|n| format!("k{n}: 1\n")).collect();
    let message = wrong(&text);
    assert_eq!(message.lines().count(), 1001);
    assert!(
        message.ends_with(": and 4000 more"),
        "{}",
        message.lines().last().unwrap()
    );
}

#[test]
fn a_value_in_a_message_cannot_forge_lines() {
    let message = wrong("services:\n  - { name: \"a\\nBAD.yaml:1:1: b\", \"k\\n\": 1 }\n");
    assert!(
        message.lines().all(|line| line.starts_with("BAD.yaml:2:")),
        "{message}"
    );
}

#[test]
fn load_and_validate_names_the_file_as_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.yaml");
    std::fs::write(&path, "colour: red\n").unwrap();
    let message = load_and_validate(&path).unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("{}:1:1: colour: unknown key", path.display())),
        "{message}"
    );
    std::fs::write(&path, MINIMAL).unwrap();
    assert_eq!(load_and_validate(&path).unwrap().config.services.len(), 1);
}

#[test]
fn a_thousand_services_of_ten_backends_load_quickly() {
    let mut text = "datapath: { interfaces: [eth0] }\nservices:\n".to_owned();
    for s in 0..1000 {
        text += &format!(
            "  - name: s{s}\n    address: 10.1.{}.{}\n    port: 80\n    backends:\n",
            s / 250,
            s % 250 + 1
        );
        for b in 0..10 {
            text += &format!(
                "      - {{ name: b{b}, address: 10.2.0.{}, weight: {b} }}\n",
                b + 1
            );
        }
    }
    let loaded = validate_str("t.yaml", &text).unwrap();
    assert_eq!(
        loaded
            .config
            .services
            .iter()
            .map(|s| s.backends.len())
            .sum::<usize>(),
        10_000
    );
}

/// A place and what to do there: cut off, take out, put in, double a line, swap two lines.
fn mutated(ops: &[(u8, prop::sample::Index, prop::sample::Index, String)]) -> String {
    let mut text: Vec<char> = BALLAST.chars().collect();
    for (op, at, len, new) in ops {
        if text.is_empty() {
            break;
        }
        let at = at.index(text.len());
        let end = (at + len.index(40)).min(text.len());
        match op % 4 {
            0 => text.truncate(at.max(text.len() / 2)),
            1 => drop(text.drain(at..end)),
            2 => drop(text.splice(at..at, new.chars())),
            _ => {
                let piece: Vec<char> = text[at..end].to_vec();
                drop(text.splice(end..end, piece));
            }
        }
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_mutation_of_the_annotated_file_panics(
        ops in prop::collection::vec(
            (any::<u8>(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[-:{}\\[\\]&*!\"'\n\t #|>a-z0-9é~]{0,8}"),
            1..6,
        ),
    ) {
        let text = mutated(&ops);
        match validate_str("m.yaml", &text) {
            Ok(loaded) => prop_assert!(loaded.warnings.only_warnings()),
            Err(error) => {
                let found = error.diagnostics().expect("text can be read");
                prop_assert!(found.errors() > 0);
                let lines = u32::try_from(text.lines().count()).unwrap() + 1;
                for d in found {
                    prop_assert!((1..=lines).contains(&d.line) && d.column >= 1, "{d}");
                    prop_assert_eq!(d.to_string().lines().count(), 1);
                }
            }
        }
    }

    #[test]
    fn no_truncation_of_the_annotated_file_panics(at in any::<prop::sample::Index>()) {
        let at = (0..=at.index(BALLAST.len())).rev().find(|at| BALLAST.is_char_boundary(*at)).unwrap();
        drop(validate_str("m.yaml", &BALLAST[..at]));
    }

    #[test]
    fn no_text_panics(text in "[-:{}\\[\\]&*!\"'\n\t #|>%@?,a-c0-9é~]{0,64}") {
        drop(validate_str("m.yaml", &text));
    }
}
