//! What holds for any text.

use proptest::{prelude::*, sample::Index};

use super::*;

/// What comes out is what the checker accepts; what is refused has a reason; twice the same is the same.
fn sound(text: &str) -> Imported {
    let imported = run("x.conf", text);
    match &imported.yaml {
        Some(_) => drop(accepted(&imported)),
        None => {
            // In comments anything may stand.
            let mut code = text
                .lines()
                .filter_map(|line| line.split(['#', '!']).next());
            let has_blocks = code.any(|line| line.contains(['{', '}']));
            assert!(!imported.findings.is_empty() || !has_blocks);
        }
    }
    assert_eq!(run("x.conf", text), imported);
    imported
}

/// Services and instances that a text begins with their keyword.
fn begun(text: &str) -> usize {
    let begins = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("virtual_server ") || line.starts_with("vrrp_instance ")
    };
    text.lines().filter(begins).count()
}

#[test]
fn no_truncation_loses_a_service_without_a_word() {
    for (name, text) in &FILES[..6] {
        for end in 0..text.len() {
            let Some(cut) = text.get(..end) else {
                continue;
            };
            let imported = run(name, cut);
            let came_out = match &imported.yaml {
                Some(_) => {
                    let config = accepted(&imported);
                    config.services.len() + config.vrrp_instances.len()
                }
                None => 0,
            };
            let begun = begun(cut);
            assert!(came_out <= begun, "{name}, {end} bytes");
            assert!(
                came_out == begun || !imported.findings.is_empty(),
                "{name}, {end} bytes: {begun} begun, {came_out} came out"
            );
            // What ends within a line is told even where nothing is missing from what is left.
            assert!(cut.is_empty() || cut.ends_with('\n') || !imported.findings.is_empty());
        }
    }
}

/// Text that is made of what keepalived's files are made of.
fn pieces() -> impl Strategy<Value = String> {
    let words: Vec<&'static str> = FILES
        .iter()
        .flat_map(|(_, text)| text.split_inclusive(['\n', ' ', '{', '}']))
        .collect();
    prop::collection::vec(prop::sample::select(words), 0..60).prop_map(|words| words.concat())
}

/// A real file with some of its lines moved, doubled or gone.
fn shuffled() -> impl Strategy<Value = String> {
    let file = prop::sample::select(FILES.to_vec());
    let change = (any::<Index>(), any::<Index>(), 0..3u8);
    (file, prop::collection::vec(change, 1..6)).prop_map(|((_, text), changes)| {
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        for (at, other, kind) in changes {
            if lines.is_empty() {
                break;
            }
            let (at, other) = (at.index(lines.len()), other.index(lines.len()));
            match kind {
                0 => lines.swap(at, other),
                1 => drop(lines.remove(at)),
                _ => lines.insert(at, lines[other]),
            }
        }
        lines.concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_imported_or_refused(text in "\\PC*") {
        sound(&text);
    }

    #[test]
    fn any_pieces_are_imported_or_refused(text in pieces()) {
        sound(&text);
    }

    #[test]
    fn any_change_of_lines_is_imported_or_refused(text in shuffled()) {
        sound(&text);
    }

    #[test]
    fn any_dump_is_imported_or_refused(text in "(-[AaE] )?(-[tufrsw] )?[-a-z0-9.:\\[\\] \n]*") {
        let imported = ipvsadm(Source::text("x", &format!("{IPVSADM}{text}")), &Options::default());
        accepted(&imported);
    }
}
