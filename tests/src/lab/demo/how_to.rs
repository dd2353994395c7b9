//! The part with a published how-to for keepalived: its files imported, and what it promises.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context, Result, ensure};

use super::{document::Imported, story::Story};
use crate::{
    ballast::binary,
    how_to::{HowTo, VIP},
    lab::Lab,
    wait::wait_for,
};

/// Two balancers with imported files, two web servers that `ballast realserver up` has set up.
pub(super) fn imported(story: &Story, lab: &Lab) -> Result<Imported> {
    let mut site = HowTo::start(lab)?;
    story.say(
        "Web1 and Web2 have the virtual address on lo and say so to nobody: `ballast realserver up`",
    );
    let warnings = import(story, &site)?;
    story.say(&format!("LB01 is master and has {VIP}, LB02 is its backup"));

    let sticking = site.answers(REQUESTS)?;
    story.say(&format!("one client: {}", sticking.join(" ")));
    let sticks = sticking.iter().collect::<BTreeSet<_>>().len() == 1;
    ensure!(sticks, "persistence, and yet it got {sticking:?}");
    site.forget_clients()?;
    let turns = site.answers(REQUESTS)?;
    story.say(&format!(
        "without `persistence`, after a reload: {}",
        turns.join(" ")
    ));
    let alternates = turns.windows(2).all(|pair| pair[0] != pair[1]);
    ensure!(alternates, "round robin, and yet it got {turns:?}");

    let off = Instant::now();
    site.power_off(0)?;
    wait_for("an answer through LB02", super::LIMIT, || site.answers(1))?;
    let silence = off.elapsed();
    story.say(&format!(
        "LB01 loses its power: LB02 has the address, and the page answers after {silence:.1?} (three intervals of a second and the skew)"
    ));
    site.replace_first(lab)?;
    site.wait_for_holder(0)?;
    site.answers(1)?;
    story.say("LB01 is back, and master again");
    Ok(Imported {
        warnings,
        sticks,
        alternates,
        failover_ms: u64::try_from(silence.as_millis())?,
    })
}

/// As an operator does it; how many warnings there are.
fn import(story: &Story, site: &HowTo) -> Result<usize> {
    let host = &site.lbs[0].host;
    let file = host.dir().join("keepalived.conf");
    let output = host.output([binary()?.as_os_str(), "import".as_ref(), file.as_os_str()])?;
    ensure!(output.status.success(), "import: {output:?}");
    let path = format!("{}:", file.display());
    let warnings = String::from_utf8(output.stderr).context("warnings")?;
    for warning in warnings.lines() {
        story.say(&warning.replace(&path, "keepalived.conf:"));
    }
    let yaml = String::from_utf8(output.stdout).context("YAML")?;
    let rest = yaml.lines().skip(1).collect::<Vec<_>>().join("\n");
    story.block(&rest);
    Ok(warnings.lines().count())
}

/// Enough to see turns.
const REQUESTS: usize = 8;
