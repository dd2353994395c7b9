//! What `nft -j list ruleset` prints (libnftables-json(5)).

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Chain, ChainKey, Condition, Direction, Rule, Ruleset, Verdict};
use crate::config::model::Family;

/// `None`: it is no such document.
pub(in crate::doctor) fn parse(json: &str) -> Option<Ruleset> {
    let document: Value = serde_json::from_str(json).ok()?;
    let mut ruleset = Ruleset::default();
    for item in document["nftables"].as_array()? {
        if let Some(chain) = item.get("chain") {
            let entry = ruleset.chains.entry(key(chain, "name")?).or_default();
            let rules = std::mem::take(&mut entry.rules);
            *entry = new_chain(chain);
            entry.rules = rules;
        } else if let Some(rule) = item.get("rule") {
            let chain = ruleset.chains.entry(key(rule, "chain")?).or_default();
            chain.rules.push(new_rule(rule));
        }
    }
    Some(ruleset)
}

fn key(item: &Value, name: &str) -> Option<ChainKey> {
    let text = |key: &str| item[key].as_str();
    let table = format!("{} {}", text("family")?, text("table")?);
    Some((table, text(name)?.to_owned()))
}

fn new_chain(chain: &Value) -> Chain {
    Chain {
        // Where bridged frames and those of one device are filtered is another matter.
        hook: match (chain["family"].as_str(), chain["hook"].as_str()) {
            (Some("ip" | "ip6" | "inet"), Some("input" | "prerouting")) => Some(Direction::In),
            (Some("ip" | "ip6" | "inet"), Some("output" | "postrouting")) => Some(Direction::Out),
            _ => None,
        },
        family: match chain["family"].as_str() {
            Some("ip") => Some(Family::V4),
            Some("ip6") => Some(Family::V6),
            _ => None,
        },
        drops: chain["policy"] == "drop",
        rules: Vec::new(),
    }
}

fn new_rule(rule: &Value) -> Rule {
    let mut new = Rule {
        conditions: Vec::new(),
        verdict: None,
        text: String::new(),
    };
    let mut words = Vec::new();
    for statement in rule["expr"].as_array().into_iter().flatten() {
        let Some((name, value)) = statement.as_object().and_then(|o| o.iter().next()) else {
            continue;
        };
        words.push(words_of(name, value));
        let target = || value["target"].as_str().unwrap_or_default().to_owned();
        match name.as_str() {
            "match" => {
                // A field of a header is only in packets that have the header.
                match value["left"]["payload"]["protocol"].as_str() {
                    Some("ip") => new.conditions.push(Condition::Family(Family::V4)),
                    Some("ip6") => new.conditions.push(Condition::Family(Family::V6)),
                    _ => {}
                }
                new.conditions.push(condition(value));
            }
            "accept" => new.verdict = Some(Verdict::Accept),
            "drop" | "reject" => new.verdict = Some(Verdict::Drop),
            "return" => new.verdict = Some(Verdict::Return),
            "jump" | "goto" => {
                let (chain, back) = (target(), name == "jump");
                new.verdict = Some(Verdict::Jump { chain, back });
            }
            "counter" | "log" | "comment" | "notrack" | "mangle" => {}
            // Limits, verdict maps, what iptables brought along: who knows.
            "vmap" => {
                new.conditions.push(Condition::Perhaps);
                new.verdict = Some(Verdict::Accept);
            }
            _ => new.conditions.push(Condition::Perhaps),
        }
    }
    new.text = words.join(" ");
    new
}

fn condition(value: &Value) -> Condition {
    let (left, right) = (&value["left"], &value["right"]);
    let positive = match value["op"].as_str() {
        Some("==" | "in") => true,
        Some("!=") => false,
        _ => return Condition::Perhaps,
    };
    let condition = match (subject(left), list(right)) {
        (Some(subject), Some(values)) => subject_is(&subject, values),
        _ => Condition::Perhaps,
    };
    if positive {
        condition
    } else {
        Condition::Not(Box::new(condition))
    }
}

/// `meta l4proto`, `ip daddr`, `ct state`.
fn subject(left: &Value) -> Option<String> {
    if let Some(key) = left["meta"]["key"].as_str() {
        return Some(format!("meta {key}"));
    }
    if let Some(key) = left["ct"]["key"].as_str() {
        return Some(format!("ct {key}"));
    }
    let payload = &left["payload"];
    let (protocol, field) = (payload["protocol"].as_str()?, payload["field"].as_str()?);
    Some(format!("{protocol} {field}"))
}

fn subject_is(subject: &str, values: Vec<Value>) -> Condition {
    let texts = || values.iter().map(text).collect::<Vec<_>>();
    let first = || values.first().map(text).unwrap_or_default();
    match subject {
        "meta l4proto" | "ip protocol" | "ip6 nexthdr" => Condition::Protocol(texts()),
        "meta iifname" | "meta iif" => Condition::Interface(Direction::In, texts()),
        "meta oifname" | "meta oif" => Condition::Interface(Direction::Out, texts()),
        "meta pkttype" if values.len() == 1 => match first().as_str() {
            "multicast" => Condition::Multicast(true),
            "unicast" | "host" => Condition::Multicast(false),
            _ => Condition::Never,
        },
        "meta nfproto" if values.len() == 1 => match first().as_str() {
            "ipv4" | "2" => Condition::Family(Family::V4),
            "ipv6" | "10" => Condition::Family(Family::V6),
            _ => Condition::Perhaps,
        },
        "ct state" => Condition::State(texts()),
        "ip daddr" | "ip6 daddr" => {
            let networks: Option<Vec<_>> = values.iter().map(network).collect();
            networks.map_or(Condition::Perhaps, Condition::Destination)
        }
        _ => match subject.split(' ').next() {
            // Also where a header's own field is looked at, which an advert does not have.
            Some(
                "tcp" | "udp" | "udplite" | "sctp" | "dccp" | "icmp" | "icmpv6" | "igmp" | "ah"
                | "esp" | "comp" | "gre" | "arp" | "vlan",
            ) => Condition::Never,
            _ => Condition::Perhaps,
        },
    }
}

/// One value, a set, or a list; `None` for named sets and what else is not here.
fn list(right: &Value) -> Option<Vec<Value>> {
    if let Some(set) = right["set"].as_array() {
        return Some(set.clone());
    }
    match right {
        Value::Array(values) => Some(values.clone()),
        Value::String(name) if name.starts_with('@') => None,
        Value::Object(_) if right.get("prefix").is_none() => None,
        value => Some(vec![value.clone()]),
    }
}

fn network(value: &Value) -> Option<IpNet> {
    if let Some(prefix) = value.get("prefix") {
        let address: IpAddr = prefix["addr"].as_str()?.parse().ok()?;
        let length = u8::try_from(prefix["len"].as_u64()?).ok()?;
        return IpNet::new(address, length).ok();
    }
    let address: IpAddr = value.as_str()?.parse().ok()?;
    Some(address.into())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Near enough to what the operator wrote to be found again.
fn words_of(name: &str, value: &Value) -> String {
    if name != "match" {
        return match value["target"].as_str() {
            Some(target) => format!("{name} {target}"),
            None => name.to_owned(),
        };
    }
    let left = subject(&value["left"]).unwrap_or_else(|| "…".to_owned());
    let right = match list(&value["right"]) {
        Some(values) => {
            let values: Vec<_> = values.iter().map(short).collect();
            match values.as_slice() {
                [one] => one.clone(),
                _ => format!("{{ {} }}", values.join(", ")),
            }
        }
        None => text(&value["right"]),
    };
    match value["op"].as_str() {
        Some("!=") => format!("{left} != {right}"),
        _ => format!("{left} {right}"),
    }
}

fn short(value: &Value) -> String {
    network(value)
        .filter(|_| value.is_object())
        .map_or_else(|| text(value), |n| n.to_string())
}
