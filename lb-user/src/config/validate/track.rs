//! What a virtual router tracks. Where there is a weight, an item is `{ name: …, weight: … }`, else it may be the name alone.

use super::names::Names;
use crate::config::{
    model::{
        Script, Track, TrackWeight, TrackedFile, TrackedInterface, TrackedProcess, TrackedScript,
        TrackedService,
    },
    walk::{Cx, Fields, Item},
};

/// Reads `track`.
pub(super) fn read(
    cx: &mut Cx,
    instance: &mut Fields<'_>,
    names: &Names,
    scripts: &[Script],
) -> Track {
    instance.or(cx, "track", Track::default(), |item, cx| {
        let mut fields = item.fields(cx)?;
        let track = Track {
            interfaces: fields.each(cx, "interfaces", "interfaces", |item, cx| {
                let (name, weight) = named(item, cx, "name", |item, cx| item.parsed(cx))?;
                Some(TrackedInterface {
                    name,
                    weight: weight.unwrap_or(TrackWeight::FAULT),
                })
            }),
            scripts: fields.each(cx, "scripts", "scripts", |item, cx| {
                script(item, cx, names, scripts)
            }),
            processes: fields.each(cx, "processes", "processes", |item, cx| {
                let (name, weight) = named(item, cx, "name", process_name)?;
                Some(TrackedProcess {
                    name,
                    weight: weight.unwrap_or(TrackWeight::FAULT),
                })
            }),
            files: fields.each(cx, "files", "files", |item, cx| {
                let (path, weight) = named(item, cx, "path", Item::absolute_path)?;
                Some(TrackedFile {
                    path,
                    weight: weight.or(TrackWeight::new(1))?,
                })
            }),
            services: fields.each(cx, "services", "services", |item, cx| {
                let (name, weight) = named(item, cx, "name", |item, cx| {
                    names.service(cx, item);
                    item.parsed(cx)
                })?;
                Some(TrackedService {
                    name,
                    weight: weight.unwrap_or(TrackWeight::FAULT),
                })
            }),
        };
        fields.close(cx);
        Some(track)
    })
}

/// A weight from -253 to 253.
pub(super) fn weight(item: &Item<'_>, cx: &mut Cx) -> Option<TrackWeight> {
    let most = i64::from(TrackWeight::MAX);
    item.number(cx, -most..=most).and_then(TrackWeight::new)
}

fn script(
    item: &Item<'_>,
    cx: &mut Cx,
    names: &Names,
    scripts: &[Script],
) -> Option<TrackedScript> {
    let (name, weight) = named(item, cx, "name", |item, cx| {
        names.script(cx, item);
        item.parsed(cx)
    })?;
    let own = scripts
        .iter()
        .find(|script| script.name == name)
        .map(|script| script.weight);
    Some(TrackedScript {
        name,
        weight: weight.or(own).unwrap_or(TrackWeight::FAULT),
    })
}

/// The kernel keeps 15 bytes of a process's name (`TASK_COMM_LEN`), but a longer one can be matched by its command line.
fn process_name(item: &Item<'_>, cx: &mut Cx) -> Option<String> {
    let name = item.some_text(cx)?;
    if name.contains('/') {
        item.error(cx, "a path, expected the process's name as `ps` shows it");
    }
    Some(name.to_owned())
}

/// A name alone, or a mapping of a name and a weight.
fn named<'a, T>(
    item: &Item<'a>,
    cx: &mut Cx,
    key: &'static str,
    read: impl Fn(&Item<'a>, &mut Cx) -> Option<T>,
) -> Option<(T, Option<TrackWeight>)> {
    if !item.is_map() {
        return read(item, cx).map(|name| (name, None));
    }
    let mut fields: Fields<'a> = item.fields(cx)?;
    let name = fields.need(cx, key).and_then(|item| read(&item, cx));
    let weight = fields.maybe(cx, "weight", weight);
    fields.close(cx);
    name.map(|name| (name, weight))
}
