use super::*;

const HEAD: &str = "*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n";

/// A multicast advert that comes in by `eth0`.
fn advert(family: Family) -> Packet<'static> {
    Packet {
        direction: Direction::In,
        interface: "eth0",
        family,
        destination: Some(crate::vrrp::socket::multicast(family)),
    }
}

fn iptables(rules: &str) -> Option<String> {
    let text = format!("{HEAD}{rules}\nCOMMIT\n");
    parse_iptables(Family::V4, &text).dropped_by(&advert(Family::V4))
}

/// A chain of hook input with these rules, each the inside of an `expr`.
fn nft(policy: &str, rules: &[&str]) -> Option<String> {
    nft_ruleset(policy, rules).dropped_by(&advert(Family::V4))
}

fn nft_ruleset(policy: &str, rules: &[&str]) -> Ruleset {
    let chain = format!(
        r#"{{"chain":{{"family":"inet","table":"t","name":"in","type":"filter","hook":"input","prio":0,"policy":"{policy}"}}}}"#
    );
    let rules = rules.iter().map(|rule| {
        format!(r#"{{"rule":{{"family":"inet","table":"t","chain":"in","expr":[{rule}]}}}}"#)
    });
    let items: Vec<_> = std::iter::once(chain).chain(rules).collect();
    parse_nft(&format!(r#"{{"nftables":[{}]}}"#, items.join(","))).unwrap()
}

fn is(key: &str, right: &str) -> String {
    format!(r#"{{"match":{{"op":"==","left":{{"meta":{{"key":"{key}"}}}},"right":{right}}}}}"#)
}

fn field(protocol: &str, field: &str, right: &str) -> String {
    format!(
        r#"{{"match":{{"op":"==","left":{{"payload":{{"protocol":"{protocol}","field":"{field}"}}}},"right":{right}}}}}"#
    )
}

const ACCEPT: &str = r#"{"accept":null}"#;
const DROP: &str = r#"{"drop":null}"#;

#[test]
fn an_empty_filter_drops_nothing() {
    assert_eq!(Ruleset::default().dropped_by(&advert(Family::V4)), None);
    assert_eq!(nft("accept", &[]), None);
    assert_eq!(iptables(""), None);
}

#[test]
fn a_policy_of_drop_needs_a_rule_that_accepts() {
    assert!(nft("drop", &[]).unwrap().contains("policy"));
    let tcp = format!("{},{ACCEPT}", field("tcp", "dport", r#"{"set":[22,80]}"#));
    let established = r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}},{"accept":null}"#;
    let lo = format!("{},{ACCEPT}", is("iifname", r#""lo""#));
    assert!(nft("drop", &[&tcp, established, &lo]).is_some());
    let vrrp = format!("{},{ACCEPT}", is("l4proto", r#""vrrp""#));
    assert_eq!(nft("drop", &[&tcp, established, &lo, &vrrp]), None);
}

#[test]
fn a_rule_that_drops_adverts_is_quoted() {
    let rule = format!("{},{DROP}", field("ip", "protocol", "112"));
    let told = nft("accept", &[&rule]).unwrap();
    assert_eq!(told, "`ip protocol 112 drop` in chain `inet t in`");
    let network = field("ip", "daddr", r#"{"prefix":{"addr":"224.0.0.0","len":4}}"#);
    let told = nft(
        "accept",
        &[&format!(r#"{network},{{"counter":null}},{DROP}"#)],
    )
    .unwrap();
    assert!(told.contains("ip daddr 224.0.0.0/4 counter drop"), "{told}");
}

#[test]
fn the_first_rule_that_decides_counts() {
    let accept = format!("{},{ACCEPT}", is("l4proto", r#"{"set":["ospf","vrrp"]}"#));
    let drop = format!("{},{DROP}", is("pkttype", r#""multicast""#));
    assert_eq!(nft("drop", &[&accept, &drop]), None);
    assert!(nft("accept", &[&drop, &accept]).is_some());
}

#[test]
fn every_base_chain_has_its_say() {
    let mut rules = nft_ruleset("accept", &[ACCEPT]);
    rules.extend(parse_iptables(
        Family::V4,
        &format!("{HEAD}-A INPUT -p vrrp -j DROP\n"),
    ));
    assert!(rules.dropped_by(&advert(Family::V4)).is_some());
}

#[test]
fn what_only_perhaps_fits_is_no_evidence() {
    let limited = r#"{"limit":{"rate":5,"per":"second"}},{"drop":null}"#;
    let source = format!("{},{DROP}", field("ip", "saddr", r#""10.0.0.9""#));
    let named = format!("{},{DROP}", is("l4proto", r#""@blocked""#));
    assert_eq!(nft("accept", &[limited, &source, &named]), None);
    let accepted = format!("{},{ACCEPT}", field("ip", "saddr", r#""10.0.0.9""#));
    assert_eq!(nft("drop", &[&accepted]), None, "it may well be the peer");
}

#[test]
fn families_are_told_apart_in_an_inet_table() {
    let rule = format!("{},{DROP}", field("ip6", "nexthdr", "112"));
    let rules = nft_ruleset("accept", &[&rule]);
    assert_eq!(rules.dropped_by(&advert(Family::V4)), None);
    assert!(rules.dropped_by(&advert(Family::V6)).is_some());
}

#[test]
fn negations_and_interfaces_are_understood() {
    let not_ssh =
        r#"{"match":{"op":"!=","left":{"meta":{"key":"l4proto"}},"right":"tcp"}},{"drop":null}"#;
    assert!(nft("accept", &[not_ssh]).is_some());
    let other = format!("{},{DROP}", is("iifname", r#""wlan*""#));
    assert_eq!(nft("accept", &[&other]), None);
    let ours = format!("{},{DROP}", is("iifname", r#""eth*""#));
    assert!(nft("accept", &[&ours]).is_some());
    assert!(iptables("-A INPUT ! -p tcp -i eth+ -j DROP").is_some());
    assert_eq!(iptables("-A INPUT ! -i eth0 -j DROP"), None);
}

#[test]
fn jumps_are_followed_and_end() {
    let text = "
:BLOCK - [0:0]
-A INPUT -i eth0 -j BLOCK
-A BLOCK -p tcp -j RETURN
-A BLOCK -j REJECT --reject-with icmp-port-unreachable
";
    assert!(iptables(text.trim()).unwrap().contains("-j REJECT"));
    let around = ":A - [0:0]\n:B - [0:0]\n-A INPUT -j A\n-A A -j B\n-A B -j A";
    assert_eq!(iptables(around), None);
    let returns =
        ":A - [0:0]\n-A INPUT -j A\n-A INPUT -j ACCEPT\n-A A -p 112 -j RETURN\n-A A -j DROP";
    assert_eq!(iptables(returns), None);
    let rules = [r#"{"jump":{"target":"nowhere"}}"#];
    assert_eq!(nft("accept", &rules), None);
}

#[test]
fn the_rules_of_a_common_iptables_host_are_read() {
    let ufw = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"let me in\" -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP";
    assert_eq!(iptables(ufw), None);
    let drop = format!("{ufw}\n-A INPUT -j DROP");
    assert!(iptables(&drop).unwrap().contains("-j DROP"));
    let open = format!("{ufw}\n-A INPUT -d 224.0.0.18/32 -p vrrp -j ACCEPT\n-A INPUT -j DROP");
    assert_eq!(iptables(&open), None);
    let policy = format!("*filter\n:INPUT DROP [0:0]\n{ufw}\n");
    let rules = parse_iptables(Family::V4, &policy);
    assert!(rules.dropped_by(&advert(Family::V4)).is_some());
    assert_eq!(rules.dropped_by(&advert(Family::V6)), None);
}

#[test]
fn unicast_adverts_are_not_multicast() {
    let unicast = Packet {
        destination: None,
        ..advert(Family::V4)
    };
    let rule = format!("{},{DROP}", is("pkttype", r#""multicast""#));
    assert_eq!(nft_ruleset("accept", &[&rule]).dropped_by(&unicast), None);
    let rule = format!("{},{DROP}", field("ip", "daddr", r#""224.0.0.18""#));
    assert_eq!(nft_ruleset("accept", &[&rule]).dropped_by(&unicast), None);
}

#[test]
fn text_that_is_no_ruleset_is_refused() {
    assert_eq!(parse_nft("what"), None);
    assert_eq!(parse_nft("{}"), None);
    assert_eq!(parse_nft(r#"{"nftables":[]}"#), Some(Ruleset::default()));
}
