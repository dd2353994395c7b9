use super::*;

fn subject(last: u8) -> Subject {
    let port = NonZeroU16::new(80).unwrap();
    Subject {
        service: ServiceKey {
            address: [192, 0, 2, 1].into(),
            port,
            protocol: Protocol::Tcp,
        },
        backend: BackendKey {
            address: [10, 0, 0, last].into(),
            port,
        },
    }
}

fn asked(mode: Mode, weight: Option<u16>) -> Override {
    let weight = weight.map(Weight::new);
    Override { mode, weight }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_successor_finds_what_was_said_and_since_when() {
    let dir = directory();
    let mut overrides = Overrides::load(dir.path());
    let (drain, heavy) = (asked(Mode::Drain, None), asked(Mode::Disabled, Some(7)));
    assert!(overrides.put(subject(1), drain, 100).unwrap());
    assert!(overrides.put(subject(2), heavy, 200).unwrap());
    let again = Overrides::load(dir.path());
    assert_eq!(again.kept, overrides.kept);
    let second = again.get(subject(2)).unwrap();
    assert_eq!((second.asked, second.since_unix), (heavy, 200));
}

#[test]
fn saying_it_again_changes_nothing_and_enable_ends_it() {
    let dir = directory();
    let mut overrides = Overrides::load(dir.path());
    let drain = asked(Mode::Drain, Some(3));
    assert!(overrides.put(subject(1), drain, 100).unwrap());
    assert!(!overrides.put(subject(1), drain, 900).unwrap());
    assert_eq!(overrides.get(subject(1)).unwrap().since_unix, 100);
    assert!(overrides.put(subject(1), Override::default(), 901).unwrap());
    assert!(!overrides.put(subject(1), Override::default(), 902).unwrap());
    assert!(Overrides::load(dir.path()).all().is_empty());
}

#[test]
fn only_backends_that_are_gone_are_forgotten() {
    let dir = directory();
    let mut overrides = Overrides::load(dir.path());
    for last in [1, 2] {
        overrides
            .put(subject(last), asked(Mode::Drain, None), 1)
            .unwrap();
    }
    overrides.retain(|one| one == subject(2));
    let left: Vec<Subject> = Overrides::load(dir.path()).all().into_keys().collect();
    assert_eq!(left, [subject(2)]);
}

#[test]
fn a_broken_file_is_ignored_and_the_next_word_replaces_it() {
    let dir = directory();
    let long = format!("{{\"version\":1,\"x\":{}", "[".repeat(100_000));
    for broken in ["", "{", "[]", "\0\0\0", "{\"version\":1}", long.as_str()] {
        fs::write(dir.path().join(FILE), broken).unwrap();
        let mut overrides = Overrides::load(dir.path());
        assert!(overrides.all().is_empty(), "{broken:.20}");
        let drain = asked(Mode::Drain, None);
        assert!(overrides.put(subject(1), drain, 1).unwrap());
        assert_eq!(Overrides::load(dir.path()).all().len(), 1);
    }
}

#[test]
fn every_cut_of_a_file_is_an_error_and_no_panic() {
    let kept = Kept {
        asked: asked(Mode::Drain, Some(1)),
        since_unix: 1,
    };
    let whole = render(&BTreeMap::from([(subject(1), kept)]), "boot").unwrap();
    for length in 0..whole.len() {
        assert!(parse(&whole[..length], "boot").is_err(), "{length}");
    }
    assert_eq!(parse(&whole, "boot").unwrap().len(), 1);
}

#[test]
fn a_file_of_another_boot_counts_for_nothing_and_one_of_another_version_is_named() {
    let kept = Kept {
        asked: asked(Mode::Drain, None),
        since_unix: 1,
    };
    let text = render(&BTreeMap::from([(subject(1), kept)]), "before").unwrap();
    assert!(parse(&text, "after").unwrap().is_empty());
    let error = parse(b"{\"version\":2,\"else\":1}", "after").unwrap_err();
    assert_eq!(
        error.to_string(),
        "of version 2, this ballast writes version 1"
    );
}

#[test]
fn what_cannot_be_kept_is_not_done() {
    let dir = directory();
    let mut overrides = Overrides::load(&dir.path().join("missing"));
    let drain = asked(Mode::Drain, None);
    assert!(overrides.put(subject(1), drain, 1).is_err());
    assert!(overrides.get(subject(1)).is_none());
}
