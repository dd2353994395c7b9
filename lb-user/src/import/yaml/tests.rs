use super::{
    write::{scalar, wrap},
    *,
};

fn place(line: u32) -> Place {
    Place {
        file: "x.conf".into(),
        line,
    }
}

fn document() -> Map {
    let mut backend = Map::default();
    backend.put("address", "10.0.0.2").at(&place(7));
    backend.put("weight", 1u16);
    let mut service = Map {
        tall: true,
        ..Map::default()
    };
    service.put("name", "a: b").note("first");
    service.put("port", 80u16);
    service.put(
        "backends",
        vec![
            Entry::item(backend.clone()),
            Entry::item_at(backend, &place(9)),
        ],
    );
    let mut document = Map::default();
    document.put("router_id", "1");
    document
        .put("services", vec![Entry::item_at(service, &place(3))])
        .note("all of them");
    document
}

#[test]
fn documents_are_written_as_people_write_them() {
    insta::assert_snapshot!(document().render(), @r#"
    router_id: '1'

    # all of them
    services:
      # first
      - name: 'a: b'
        port: 80
        backends:
          - { address: 10.0.0.2, weight: 1 }
          - { address: 10.0.0.2, weight: 1 }
    "#);
}

#[test]
fn values_are_found_and_removed_by_path() {
    let mut document = document();
    assert_eq!(document.place("services[0].port"), Some(&place(3)));
    assert_eq!(
        document.place("services[0].backends[0].address"),
        Some(&place(7))
    );
    assert_eq!(
        document.place("services[0].backends[1].weight"),
        Some(&place(9))
    );
    assert_eq!(document.place("services[5]"), None);
    assert!(document.remove("services[0].backends[0]").is_some());
    assert!(document.remove("services[0].backends[1]").is_none());
    assert_eq!(document.place("services[0].backends[0]"), Some(&place(9)));
}

#[test]
fn any_text_survives() {
    for text in [
        "",
        "~",
        "true",
        "0x1f",
        "1e3",
        "a, b",
        "[a]",
        "{",
        "# a",
        "a #b",
        "it's",
        "\"",
        "a\nb",
        "- a",
        "? a",
        "\u{2028}",
        "\u{85}",
        "\\",
        "a:",
        ":a",
        "fd00::1",
        "`",
        "%a",
        "@a",
        "é",
        "1:30",
        "\u{feff}a",
        " a ",
    ] {
        for among_brackets in [false, true] {
            let spelled = scalar(&Value::from(text), among_brackets);
            let document = if among_brackets {
                format!("[{spelled}, x]")
            } else {
                format!("- {spelled}")
            };
            let read: Vec<String> =
                serde_saphyr::from_str(&document).unwrap_or_else(|e| panic!("{document}: {e}"));
            assert_eq!(read[0], text, "{document}");
        }
    }
}

#[test]
fn comments_are_wrapped() {
    assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
    assert_eq!(wrap("aaaaaaaa b", 5), ["aaaaaaaa", "b"]);
}
