//! What `iptables-save` and `ip6tables-save` print of the filter table.

use super::{Chain, Condition, Direction, Rule, Ruleset, Verdict};
use crate::config::model::Family;

/// Takes the filter table; lines that are no rules of it are left out.
pub(in crate::doctor) fn parse(family: Family, text: &str) -> Ruleset {
    let name = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    let mut ruleset = Ruleset::default();
    let mut table = String::new();
    for line in text.lines() {
        if let Some(new) = line.strip_prefix('*') {
            table = format!("{name} {}", new.trim());
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let (Some(chain), policy) = (words.next(), words.next()) else {
                continue;
            };
            let chain = (table.clone(), chain.to_owned());
            let new = Chain {
                hook: hook(&table, &chain.1),
                family: Some(family),
                drops: policy == Some("DROP"),
                rules: Vec::new(),
            };
            ruleset.chains.insert(chain, new);
        } else if let Some((chain, rule)) = line.strip_prefix("-A ").and_then(|l| l.split_once(' '))
        {
            let chain = (table.clone(), chain.to_owned());
            let chain = ruleset.chains.entry(chain).or_default();
            chain.rules.push(new_rule(rule));
        }
    }
    ruleset
}

fn hook(table: &str, chain: &str) -> Option<Direction> {
    // Other tables may drop, too, but are for other things.
    let filter = table.ends_with(" filter") || table.ends_with(" raw");
    match chain {
        "INPUT" | "PREROUTING" if filter => Some(Direction::In),
        "OUTPUT" if filter => Some(Direction::Out),
        _ => None,
    }
}

fn new_rule(text: &str) -> Rule {
    let mut rule = Rule {
        conditions: Vec::new(),
        verdict: None,
        text: text.to_owned(),
    };
    let mut not = false;
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word == "!" {
            not = true;
            continue;
        }
        let condition = match word {
            "-j" | "-g" => {
                rule.verdict = verdict(words.next(), word == "-j");
                // What comes behind the target is about it.
                break;
            }
            "-p" => {
                let protocol = words.next().unwrap_or_default().to_owned();
                match protocol.as_str() {
                    "all" => continue,
                    _ => Condition::Protocol(vec![protocol]),
                }
            }
            "-i" => Condition::Interface(Direction::In, strings(words.next())),
            "-o" => Condition::Interface(Direction::Out, strings(words.next())),
            "-d" => {
                let to = words.next().unwrap_or_default();
                let network = to
                    .parse::<ipnet::IpNet>()
                    .or_else(|_| to.parse::<std::net::IpAddr>().map(Into::into));
                network.map_or(Condition::Perhaps, |n| Condition::Destination(vec![n]))
            }
            "--ctstate" | "--state" => {
                let states = words.next().unwrap_or_default().to_lowercase();
                Condition::State(states.split(',').map(str::to_owned).collect())
            }
            "--pkt-type" => match words.next() {
                Some("multicast") => Condition::Multicast(true),
                Some("unicast") => Condition::Multicast(false),
                _ => Condition::Never,
            },
            // The name of a module, which asks nothing by itself.
            "-m" => match words.next() {
                Some("comment" | "conntrack" | "state" | "pkttype") => continue,
                Some("tcp" | "udp" | "icmp" | "icmp6" | "multiport") => Condition::Never,
                _ => Condition::Perhaps,
            },
            "--comment" => {
                skip_text(&mut words);
                continue;
            }
            // A source, or an option of a module named before.
            _ => Condition::Perhaps,
        };
        rule.conditions.push(if not {
            Condition::Not(Box::new(condition))
        } else {
            condition
        });
        not = false;
    }
    rule
}

fn strings(word: Option<&str>) -> Vec<String> {
    word.into_iter().map(str::to_owned).collect()
}

/// A comment of several words is in quotes.
fn skip_text<'t>(words: &mut impl Iterator<Item = &'t str>) {
    let first = words.next().unwrap_or_default();
    let ends = |word: &str| word.ends_with('"') && !word.ends_with("\\\"");
    if !first.starts_with('"') || (first.len() > 1 && ends(first)) {
        return;
    }
    words.by_ref().find(|word| ends(word));
}

fn verdict(target: Option<&str>, back: bool) -> Option<Verdict> {
    Some(match target? {
        "ACCEPT" => Verdict::Accept,
        "DROP" | "REJECT" => Verdict::Drop,
        "RETURN" => Verdict::Return,
        // Those that do something and go on.
        "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "CT" | "NOTRACK" | "TRACE" | "SET" => return None,
        chain => Verdict::Jump {
            chain: chain.to_owned(),
            back,
        },
    })
}
