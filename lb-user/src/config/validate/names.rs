//! Who is called what: names are collected before anything else is read, so that a reference to a thing with a mistake in it is no
//! second mistake.

use std::collections::HashMap;

use super::items;
use crate::config::{
    suggest,
    tree::{Node, Value},
    walk::{Cx, Item, join_key, quote},
};

/// The names of a document.
pub(super) struct Names {
    instances: HashMap<String, u32>,
    services: HashMap<String, u32>,
    scripts: HashMap<String, u32>,
    instance_items: usize,
    service_items: usize,
}

impl Names {
    /// Collects all names, and reports those given twice.
    pub(super) fn collect(cx: &mut Cx, tree: &Node) -> Self {
        table(cx, tree, "vrrp_sync_groups");
        Self {
            instances: table(cx, tree, "vrrp_instances"),
            services: table(cx, tree, "services"),
            scripts: table(cx, tree, "scripts"),
            instance_items: items(tree, "vrrp_instances").len(),
            service_items: items(tree, "services").len(),
        }
    }

    /// How many services there are, good or bad.
    pub(super) fn services(&self) -> usize {
        self.service_items
    }

    /// How many VRRP instances there are, good or bad.
    pub(super) fn instances(&self) -> usize {
        self.instance_items
    }

    /// Reports a reference to an instance that there is not.
    pub(super) fn instance(&self, cx: &mut Cx, item: &Item<'_>) {
        check(cx, item, &self.instances, "instance", "vrrp_instances");
    }

    /// Reports a reference to a service that there is not.
    pub(super) fn service(&self, cx: &mut Cx, item: &Item<'_>) {
        check(cx, item, &self.services, "service", "services");
    }

    /// Reports a reference to a script that there is not.
    pub(super) fn script(&self, cx: &mut Cx, item: &Item<'_>) {
        check(cx, item, &self.scripts, "script", "scripts");
    }
}

fn check(cx: &mut Cx, item: &Item<'_>, known: &HashMap<String, u32>, what: &str, section: &str) {
    let Some(name) = item.as_scalar() else { return };
    if known.contains_key(name) {
        return;
    }
    let hint = if cx.is_full() {
        String::new()
    } else {
        suggest::hint(name, known.keys().map(String::as_str))
    };
    let hint = if hint.is_empty() {
        format!(", expected a name from `{section}`")
    } else {
        hint
    };
    item.error(cx, format!("there is no {what} {}{hint}", quote(name)));
}

/// The names of a section's items and the lines they are in.
fn table(cx: &mut Cx, tree: &Node, section: &str) -> HashMap<String, u32> {
    let mut lines = HashMap::new();
    for item in items(tree, section) {
        let Value::Map(entries) = &item.node.value else {
            continue;
        };
        let Some(entry) = entries.iter().find(|e| e.key == "name") else {
            continue;
        };
        let Value::Scalar { text, .. } = &entry.node.value else {
            continue;
        };
        match lines.get(text) {
            Some(line) => {
                let message = format!(
                    "{} is taken, by line {line}: names must differ",
                    quote(text)
                );
                cx.error(entry.node.at, &join_key(&item.path, "name"), message);
            }
            None => {
                lines.insert(text.clone(), entry.node.at.line);
            }
        }
    }
    lines
}
