use super::*;

fn some_change() -> Change {
    Change {
        key: "net/ipv4/conf/all/arp_ignore".to_owned(),
        before: 0,
        after: 1,
    }
}

#[test]
fn a_record_is_found_again_and_an_empty_one_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("run");
    let mut kept = Kept::open(&place).unwrap();
    kept.record.sysctls.push(some_change());
    kept.save().unwrap();
    kept.close();

    let mut kept = Kept::open(&place).unwrap();
    assert_eq!(kept.record.sysctls, [some_change()]);
    kept.record.sysctls.clear();
    kept.save().unwrap();
    kept.close();
    assert!(!place.exists());
}

#[test]
fn a_directory_that_was_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(dir.path()).unwrap();
    // The agent's lock is another one.
    File::open(dir.path()).unwrap().try_lock().unwrap();
    kept.close();
    assert!(dir.path().exists() && !dir.path().join(DIR).exists());
}

#[test]
fn a_record_of_an_earlier_boot_is_about_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(DIR)).unwrap();
    let mut record = Record {
        boot: "another".to_owned(),
        ..Record::default()
    };
    record.sysctls.push(some_change());
    fs::write(path(dir.path()), serde_json::to_vec(&record).unwrap()).unwrap();
    assert_eq!(read(dir.path()).unwrap(), Record::default());
}

#[test]
fn a_file_that_is_no_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(DIR)).unwrap();
    fs::write(path(dir.path()), "{").unwrap();
    let error = read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("record.json"), "{error}");
}
