//! The entries of a mapping, asked for by key.

use super::{Cx, Item, join_key, one_of, quote};
use crate::config::{
    Pos, suggest,
    tree::{Entry, Value},
};

/// The entries of a mapping while they are read. [`close`](Self::close) reports those nobody asked for.
pub(in crate::config) struct Fields<'a> {
    pub(in crate::config) at: Pos,
    pub(in crate::config) path: String,
    entries: &'a [Entry],
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(at: Pos, path: String, entries: &'a [Entry]) -> Self {
        Self {
            at,
            path,
            entries,
            asked: Vec::new(),
        }
    }

    /// The value of `key`, even if it is nothing.
    pub(in crate::config) fn get_even_null(&mut self, key: &'static str) -> Option<Item<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let entry = self.entries.iter().find(|e| e.key == key)?;
        Some(Item {
            node: &entry.node,
            path: join_key(&self.path, key),
        })
    }

    /// The value of `key`; a key with nothing behind it is as good as none.
    pub(in crate::config) fn get(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.get_even_null(key)
            .filter(|item| item.node.value != Value::Null)
    }

    /// The value of `key`, which must be there.
    pub(in crate::config) fn need(&mut self, cx: &mut Cx, key: &'static str) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() {
            cx.error(
                self.at,
                &join_key(&self.path, key),
                "missing, must be given",
            );
        }
        item
    }

    /// What `read` makes of the value of `key`, or the default. Also the default where `read` fails, which it has reported.
    pub(in crate::config) fn or<T>(
        &mut self,
        cx: &mut Cx,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Item<'a>, &mut Cx) -> Option<T>,
    ) -> T {
        self.get(key)
            .and_then(|item| read(&item, cx))
            .unwrap_or(default)
    }

    /// What `read` makes of the value of `key`, if there is one.
    pub(in crate::config) fn maybe<T>(
        &mut self,
        cx: &mut Cx,
        key: &'static str,
        read: impl FnOnce(&Item<'a>, &mut Cx) -> Option<T>,
    ) -> Option<T> {
        self.get(key).and_then(|item| read(&item, cx))
    }

    /// What `read` makes of each item of the list at `key`, those it can read.
    pub(in crate::config) fn each<T>(
        &mut self,
        cx: &mut Cx,
        key: &'static str,
        of: &str,
        mut read: impl FnMut(&Item<'a>, &mut Cx) -> Option<T>,
    ) -> Vec<T> {
        let items = self
            .get(key)
            .and_then(|item| item.list(cx, of))
            .unwrap_or_default();
        items.iter().filter_map(|item| read(item, cx)).collect()
    }

    /// An error about the mapping as a whole.
    pub(in crate::config) fn error(&self, cx: &mut Cx, message: impl Into<String>) {
        cx.error(self.at, &self.path, message);
    }

    /// Reports every key that was not asked for.
    pub(in crate::config) fn close(self, cx: &mut Cx) {
        for entry in self
            .entries
            .iter()
            .filter(|e| !self.asked.contains(&e.key.as_str()))
        {
            if cx.is_full() {
                cx.error(entry.at, "", "");
                continue;
            }
            let hint = suggest::hint(&entry.key, self.asked.iter().copied());
            let allowed = match (hint.is_empty(), self.asked.is_empty()) {
                (false, _) => hint,
                (true, true) => ", there are none here".to_owned(),
                (true, false) => format!(", allowed are {}", one_of(self.asked.iter().copied())),
            };
            let path = join_key(&self.path, &sanitized(&entry.key));
            cx.error(entry.at, &path, format!("unknown key{allowed}"));
        }
        if cfg!(test) {
            let without_indices: String = self
                .path
                .split('[')
                .map(|s| s.split_once(']').map_or(s, |(_, s)| s))
                .collect();
            cx.asked
                .extend(self.asked.iter().map(|key| join_key(&without_indices, key)));
        }
    }
}

/// A key in a path: as [`quote`], without the quotes.
fn sanitized(key: &str) -> String {
    quote(key).trim_matches('`').to_owned()
}
