use std::path::PathBuf;

use super::*;

fn sources(dir: &Path) -> PathBuf {
    let core = dir.join("library/core/src");
    fs::create_dir_all(&core).unwrap();
    fs::write(core.join("lib.rs"), "").unwrap();
    dir.to_owned()
}

#[test]
fn linked_sources_are_found_below_the_sysroot() {
    let dir = tempfile::tempdir().unwrap();
    let sysroot = dir.path().join("sysroot");
    assert!(!is_there(&sysroot));
    link(&sources(&dir.path().join("rustc-1.95.0")), &sysroot).unwrap();
    assert!(is_there(&sysroot));
}

#[test]
fn a_dangling_link_and_an_empty_directory_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let sysroot = dir.path().join("sysroot");
    let gone = dir.path().join("gone");
    link(&gone, &sysroot).unwrap();
    assert!(!is_there(&sysroot));
    let sources = sources(&dir.path().join("rustc-1.95.0"));
    link(&sources, &sysroot).unwrap();
    assert!(is_there(&sysroot));

    fs::remove_file(sysroot.join(PLACE)).unwrap();
    fs::create_dir(sysroot.join(PLACE)).unwrap();
    link(&sources, &sysroot).unwrap();
    assert!(is_there(&sysroot));
}
