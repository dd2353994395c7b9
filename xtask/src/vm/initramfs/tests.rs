use super::*;

#[test]
fn an_archive_is_made_of_padded_entries_and_a_trailer() {
    let mut archive = Archive::default();
    archive.dir("bin");
    archive.file("init", 0o755, b"hello");
    let bytes = archive.finish();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("07070100000001000041ed"), "{text}");
    assert!(text.contains("07070100000002000081ed"), "{text}");
    assert!(text.contains("init\0\0hello\0\0\x000707"), "{text}");
    assert!(text.ends_with("TRAILER!!!\0\0\0\0"), "{text}");
    assert_eq!(bytes.len() % 4, 0);
}
