//! The part in which a web server dies and comes back.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{LIMIT, PACE, REQUESTS, document::BackendDeath, get, story::Story};
use crate::{ballast::wait_for_backend, client::Load, pair::Pair, web::Web};

/// The second web server is killed under load, and started again.
pub(super) fn backend(story: &Story, pair: &mut Pair<'_>) -> Result<BackendDeath> {
    let name = pair.webs[VICTIM].name().to_owned();
    let load = Load::start(&pair.net.client.host, &get(), PACE);
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    let killed = Instant::now();
    pair.webs[VICTIM].process.kill()?;
    wait_for_backend(&pair.balancer(0)?.agent, "web", &name, "down", LIMIT)?;
    story.say(&format!(
        "{name} is killed; its checks fail, and its slots of the ring go to the others"
    ));
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    let started = Instant::now();
    pair.webs[VICTIM] = Web::start(&pair.net.webs[VICTIM].host)?;
    wait_for_backend(&pair.balancer(0)?.agent, "web", &name, "up", LIMIT)?;
    load.wait_for_more(REQUESTS / 3, LIMIT)?;
    let report = load.stop()?;
    let lost = || {
        report
            .outcomes
            .iter()
            .filter(|outcome| outcome.result.is_err())
    };
    let last = lost().map(|outcome| outcome.start).max();
    let back = report
        .outcomes
        .iter()
        .filter(|outcome| outcome.start > started && outcome.result.as_ref() == Ok(&name))
        .map(|outcome| outcome.start)
        .min()
        .with_context(|| format!("{name} answered no more"))?;
    let milliseconds = |from: Instant, to: Instant| {
        let micros = to.saturating_duration_since(from).as_micros();
        f64::from(u32::try_from(micros / 100).unwrap_or(u32::MAX)) / 10.0
    };
    let death = BackendDeath {
        last_new_connection_ms: last.map_or(0.0, |last| milliseconds(killed, last)),
        returned_ms: milliseconds(started, back),
        requests_lost: lost().count(),
    };
    ensure!(
        lost().all(|outcome| outcome.start + outcome.took >= killed),
        "a request was lost before anything happened: {report}"
    );
    story.say(&format!(
        "the last connection to it began {}ms after its death, the first after its return {}ms after its start",
        death.last_new_connection_ms, death.returned_ms
    ));
    story.answers(&report);
    Ok(death)
}

/// `web2`.
const VICTIM: usize = 1;
