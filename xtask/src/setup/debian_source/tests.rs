use super::*;

#[test]
fn only_the_package_of_exactly_this_compiler_is_chosen() {
    let madison = "  rust-src | 1.96.1+dfsg1-1~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages\n\
                   \x20 rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages\n\
                   \x20 rust-src | 1.85.0+dfsg3-1 | http://deb.debian.org/debian trixie/main amd64 Packages\n";
    assert_eq!(choose(madison, "1.95.0"), Some("1.95.0+dfsg1-2~bpo13+1"));
    assert_eq!(choose(madison, "1.85.0"), Some("1.85.0+dfsg3-1"));
    assert_eq!(choose(madison, "1.95"), None);
    assert_eq!(choose("", "1.95.0"), None);
}

#[test]
fn an_epoch_is_no_part_of_the_version() {
    assert_eq!(
        choose("rust-src | 2:1.95.0-1 | x", "1.95.0"),
        Some("2:1.95.0-1")
    );
}
