use std::sync::mpsc;

use tracing_subscriber::layer::SubscriberExt as _;

use super::{super::queue, *};

/// The fields of an entry, in order.
fn fields(mut entry: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = Vec::new();
    while !entry.is_empty() {
        let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
        let (name, rest) = (&entry[..end], &entry[end + 1..]);
        let (length, rest) = rest.split_first_chunk::<8>().unwrap();
        let (value, rest) = rest.split_at(u64::from_le_bytes(*length).try_into().unwrap());
        assert_eq!(rest[0], b'\n');
        fields.push((text(name), text(value)));
        entry = &rest[1..];
    }
    fields
}

fn sent(log: impl FnOnce()) -> Vec<(String, String)> {
    let (out, entries) = mpsc::channel();
    let sink = move |entry: &[u8]| out.send(entry.to_vec()).map_err(io::Error::other);
    let (queue, guard) = queue::start(sink, lines_lost).unwrap();
    let subscriber = tracing_subscriber::registry().with(Journal::new(queue));
    tracing::subscriber::with_default(subscriber, log);
    drop(guard);
    fields(&entries.recv().unwrap())
}

#[test]
fn an_event_is_an_entry_with_its_level_message_and_fields() {
    let fields = sent(|| tracing::warn!(_from.role = "a\nb", count = 3, "both lines"));
    let value = |name: &str| {
        let mut found = fields.iter().filter(|(of, _)| of == name);
        found.next().map(|(_, value)| value.as_str())
    };
    assert_eq!(value("PRIORITY"), Some("4"));
    assert_eq!(value("MESSAGE"), Some("both lines"));
    assert_eq!(value("FROM_ROLE"), Some("a\nb"));
    assert_eq!(value("COUNT"), Some("3"));
    assert_eq!(value("SYSLOG_IDENTIFIER"), Some("ballast"));
    assert_eq!(value("TARGET"), Some(module_path!()));
    assert!(value("CODE_FILE").unwrap().ends_with("tests.rs"));
    assert!(value("CODE_LINE").is_some());
}

#[test]
fn a_long_value_is_cut_between_characters() {
    let long = "ü".repeat(VALUE);
    let fields = sent(|| tracing::info!(long, "long"));
    let (_, value) = fields.iter().find(|(name, _)| name == "LONG").unwrap();
    assert_eq!(value.len(), VALUE);
}

#[test]
fn missing_entries_are_an_entry() {
    let fields = fields(&lines_lost(7));
    assert!(fields.contains(&("MESSAGE".to_owned(), LOST.to_owned())));
    assert!(fields.contains(&("LINES".to_owned(), "7".to_owned())));
}
