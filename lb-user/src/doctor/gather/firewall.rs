//! Reading the packet filter by its own tools.

use std::{path::Path, time::Duration};

use tokio::{process::Command, time::timeout};

use super::{genetlink, read};
use crate::{
    config::model::Family,
    doctor::{
        facts::{Firewall, Seen, Unseen},
        firewall::{parse_iptables, parse_nft},
    },
};

/// The rules of nftables, and of iptables where those are not in there, too.
pub(super) async fn firewall() -> Firewall {
    let mut firewall = Firewall::default();
    let (nft, v4, v6) = tokio::join!(nft(), legacy(Family::V4), legacy(Family::V6));
    for rules in [nft, v4, v6] {
        match rules {
            Ok(Some(rules)) => firewall.rules.extend(rules),
            Ok(None) => {}
            Err(why) => firewall.unseen.push(why),
        }
    }
    firewall
}

async fn nft() -> Seen<Option<super::super::firewall::Ruleset>> {
    // Without tables there is nothing to read, and many hosts have no tool to read it with.
    if genetlink::has_nftables() == Ok(false) {
        return Ok(None);
    }
    let Some(nft) = find("nft") else {
        return Err(Unseen(
            "the rules of nftables cannot be read: install `nftables` for its tool".to_owned(),
        ));
    };
    let text = run(&nft, &["-j", "list", "ruleset"]).await?;
    let rules = parse_nft(&text);
    rules
        .map(Some)
        .ok_or_else(|| Unseen(format!("{nft} printed no rules")))
}

/// Rules of the old kind are in tables of their own, which nft does not show.
async fn legacy(family: Family) -> Seen<Option<super::super::firewall::Ruleset>> {
    let (tables, tools) = match family {
        Family::V4 => (
            "/proc/net/ip_tables_names",
            ["iptables-legacy-save", "iptables-save"],
        ),
        Family::V6 => (
            "/proc/net/ip6_tables_names",
            ["ip6tables-legacy-save", "ip6tables-save"],
        ),
    };
    // The file is there where the old kind is, and names the tables in use.
    let in_use = Path::new(tables).exists() && !read(tables)?.is_empty();
    if !in_use {
        return Ok(None);
    }
    let Some(tool) = tools.iter().find_map(|tool| find(tool)) else {
        return Err(Unseen(format!(
            "there are rules of legacy {}, and no tool to read them: install `iptables`",
            tools[1].trim_end_matches("-save")
        )));
    };
    Ok(Some(parse_iptables(family, &run(&tool, &[]).await?)))
}

/// Where root's programs are, whatever `PATH` says.
fn find(program: &str) -> Option<String> {
    let places = ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"].iter();
    places
        .map(|place| format!("{place}/{program}"))
        .find(|path| Path::new(path).is_file())
}

async fn run(program: &str, args: &[&str]) -> Seen<String> {
    let failed = |why: &str| Unseen(format!("`{program}` failed: {}", why.trim()));
    let output = Command::new(program).args(args).kill_on_drop(true).output();
    let output = timeout(LIMIT, output).await;
    let output = output.map_err(|_| failed("it took too long"))?;
    let output = output.map_err(|error| failed(&error.to_string()))?;
    if !output.status.success() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How long a tool may take: as long as we listen for adverts.
const LIMIT: Duration = Duration::from_secs(3);
