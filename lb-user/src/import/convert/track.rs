//! What instances and sync groups track.

use super::{Cx, Everything, Statement, scripts::Weight};
use crate::import::{
    finding::{Place, quote},
    yaml::{Entry, Map},
};

/// Something that is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tracked {
    pub(super) at: Place,
    pub(super) name: String,
    /// `None`: that of its definition.
    pub(super) weight: Option<Weight>,
}

/// All that an instance or a group tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) interfaces: Vec<Tracked>,
    pub(super) scripts: Vec<Tracked>,
    pub(super) processes: Vec<Tracked>,
    pub(super) files: Vec<Tracked>,
}

/// Reads a `track_…` block: a name in each line, perhaps with a weight.
pub(super) fn read(list: &mut Vec<Tracked>, s: &Statement, cx: &mut Cx<'_>) {
    for item in s.body() {
        if list.len() >= super::MANY {
            return super::too_many(item, "things to track", cx);
        }
        let words: Vec<&str> = item.words().iter().map(String::as_str).collect();
        let weight = match words.as_slice() {
            [_] => None,
            [_, "weight", value, rest @ ..] => {
                let most = crate::config::model::TrackWeight::MAX;
                let parsed = value
                    .parse::<i64>()
                    .ok()
                    .filter(|v| v.unsigned_abs() <= u64::from(most.unsigned_abs()) + 1);
                let Some(value) = parsed else {
                    cx.error(
                        &item.at,
                        format!(
                            "{}: the weight may be -{most} to {most}: left out",
                            item.quoted()
                        ),
                    );
                    continue;
                };
                Some(Weight {
                    value: value.clamp(-i64::from(most), i64::from(most)),
                    reverse: rest.first() == Some(&"reverse"),
                })
            }
            _ => {
                let extra = quote(&words[1..].join(" "));
                cx.warn(
                    &item.at,
                    format!(
                        "{extra} behind {} means nothing: left out",
                        quote(item.keyword())
                    ),
                );
                None
            }
        };
        list.push(Tracked {
            at: item.at.clone(),
            name: item.keyword().to_owned(),
            weight,
        });
    }
}

/// The group that an instance is in, as far as tracking goes.
pub(super) struct InGroup<'a> {
    /// What the group tracks, each member does.
    pub(super) track: &'a Track,
    /// Whether the members' own weights count.
    pub(super) weights_count: bool,
}

/// Writes `track` of an instance whose interface is `own`.
pub(super) fn node(
    track: &Track,
    own: &str,
    group: Option<&InGroup<'_>>,
    all: &Everything,
    cx: &mut Cx<'_>,
) -> Map {
    let mut map = Map::default();
    for (key, kind) in KINDS {
        let mut items: Vec<(&str, Entry)> = Vec::new();
        let shared = group.map_or(&[][..], |g| kind.of(g.track));
        let weightless = group.is_some_and(|g| !g.weights_count);
        let members = kind.of(track).iter().map(|t| (t, weightless));
        for (tracked, weightless) in shared.iter().map(|t| (t, false)).chain(members) {
            if items.iter().any(|(name, _)| *name == tracked.name) {
                continue;
            }
            if kind == Kind::Interface && tracked.name == own {
                if tracked.weight.is_some() {
                    cx.warn(&tracked.at, format!("{} is the instance's own interface, which has no weight: it counts anyway", quote(own)));
                }
                continue;
            }
            if let Some(item) = item(tracked, kind, weightless, all, cx) {
                items.push((&tracked.name, item));
            }
        }
        map.put_filled(
            key,
            items.into_iter().map(|(_, item)| item).collect::<Vec<_>>(),
        );
    }
    map
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interface,
    Script,
    Process,
    File,
}

const KINDS: [(&str, Kind); 4] = [
    ("interfaces", Kind::Interface),
    ("scripts", Kind::Script),
    ("processes", Kind::Process),
    ("files", Kind::File),
];

impl Kind {
    fn of(self, track: &Track) -> &[Tracked] {
        match self {
            Self::Interface => &track.interfaces,
            Self::Script => &track.scripts,
            Self::Process => &track.processes,
            Self::File => &track.files,
        }
    }

    /// What Ballast calls it, and its own weight; `None`: there is no such thing, or it cannot be used.
    fn resolve(self, name: &str, all: &Everything) -> Option<(String, Weight)> {
        match self {
            Self::Interface => Some((name.to_owned(), Weight::default())),
            Self::Script => {
                let script = all
                    .scripts
                    .iter()
                    .find(|s| s.known_as == name && s.usable())?;
                Some((script.name.clone(), script.weight))
            }
            Self::Process => {
                let process = all.processes.iter().find(|p| p.known_as == name)?;
                Some((process.process.clone()?, process.weight))
            }
            Self::File => {
                let file = all.files.iter().find(|f| f.known_as == name)?;
                Some((file.path.clone()?, file.weight))
            }
        }
    }

    /// Whether the name alone says it all.
    fn short(self, given: Option<Weight>, weight: Weight) -> bool {
        match self {
            Self::Interface => weight.value == 0,
            Self::Script => given.is_none(),
            Self::Process | Self::File => false,
        }
    }
}

fn item(
    tracked: &Tracked,
    kind: Kind,
    weightless: bool,
    all: &Everything,
    cx: &mut Cx<'_>,
) -> Option<Entry> {
    let shown = quote(&tracked.name);
    let Some((name, default)) = kind.resolve(&tracked.name, all) else {
        cx.error(
            &tracked.at,
            format!("there is no usable {shown} to track: left out"),
        );
        return None;
    };
    let mut weight = tracked.weight.unwrap_or(default);
    if weight.reverse {
        cx.warn(
            &tracked.at,
            format!("`reverse` has no equal: {shown} is not tracked"),
        );
        return None;
    }
    if weightless && weight.value != 0 {
        if kind == Kind::Script {
            cx.warn(&tracked.at, format!("in a sync group keepalived leaves out a script with a weight, and so is {shown}"));
            return None;
        }
        cx.warn(
            &tracked.at,
            format!(
                "in a sync group {shown} counts without its weight, as in keepalived: 0 is written"
            ),
        );
        weight.value = 0;
    }
    if kind.short(tracked.weight, weight) {
        return Some(Entry::item_at(name, &tracked.at));
    }
    let mut map = Map::default();
    map.put(if kind == Kind::File { "path" } else { "name" }, name);
    map.put("weight", weight.value);
    Some(Entry::item_at(map, &tracked.at))
}
