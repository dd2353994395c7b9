//! The section `scripts`, and whom scripts run as.

use super::{ms, secs, track};
use crate::config::{
    model::{Script, TrackWeight},
    walk::{Cx, Fields, Item},
};

/// Reads `scripts`.
pub(super) fn read(cx: &mut Cx, root: &mut Fields<'_>) -> Vec<Script> {
    root.each(cx, "scripts", "scripts", |item, cx| {
        let mut fields = item.fields(cx)?;
        let name = fields.need(cx, "name").and_then(|item| item.parsed(cx));
        let command = fields.need(cx, "command").and_then(|item| item.command(cx));
        let time = |item: &Item<'_>, cx: &mut Cx| item.duration(cx, ms(10)..=secs(86_400));
        let interval = fields.or(cx, "interval", secs(1), time);
        let timeout = fields.or(cx, "timeout", secs(1), time);
        let rise = fields.or(cx, "rise", 1, |item, cx| item.number(cx, 1..=1000));
        let fall = fields.or(cx, "fall", 1, |item, cx| item.number(cx, 1..=1000));
        let weight = fields.or(cx, "weight", TrackWeight::FAULT, track::weight);
        let user = user(cx, &mut fields);
        fields.close(cx);
        Some(Script {
            name: name?,
            command: command?,
            interval,
            timeout,
            rise,
            fall,
            weight,
            user,
        })
    })
}

/// The user that a script runs as: root, with a warning, unless the file says otherwise.
pub(super) fn user(cx: &mut Cx, script: &mut Fields<'_>) -> String {
    const WARNING: &str = "the script runs as root, give a `user` with fewer rights";
    match script.get("user") {
        None => {
            cx.warn(script.at, &format!("{}.user", script.path), WARNING);
            ROOT.to_owned()
        }
        Some(item) => {
            let user = item.some_text(cx).unwrap_or_default();
            if user == ROOT || user == "0" {
                item.warn(cx, WARNING);
            }
            user.to_owned()
        }
    }
}

const ROOT: &str = "root";
