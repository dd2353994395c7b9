use super::*;

const DEB822: &str = "\
Types: deb
URIs: https://deb.nodesource.com/node_20.x
Suites: nodistro
Components: main

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

# http://snapshot.debian.org/archive/debian/20250520T000000Z
Types: deb deb-src
URIs: http://mirror.example/debian http://other.example/debian
Suites: bookworm bookworm-updates
# a comment between
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
";

#[test]
fn the_machines_own_mirror_is_told_from_a_third_partys() {
    let source = parse_deb822(DEB822, "bookworm").unwrap();
    assert_eq!(source.uri, "http://mirror.example/debian");
    let keyring = source.signed_by.as_deref();
    assert_eq!(
        keyring,
        Some("/usr/share/keyrings/debian-archive-keyring.gpg")
    );
    assert_eq!(parse_deb822(DEB822, "trixie"), None);
}

#[test]
fn a_key_inside_the_stanza_keeps_its_lines() {
    let text = "Types: deb\nURIs: http://m/debian\nSuites: trixie\nComponents: main\n\
                Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY865UxYJKwYB\n";
    let source = parse_deb822(text, "trixie").unwrap();
    assert_eq!(
        source.stanza("trixie-backports"),
        "Types: deb\nURIs: http://m/debian\nSuites: trixie-backports\nComponents: main\n\
         Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY865UxYJKwYB\n"
    );
}

#[test]
fn the_one_line_format_is_read_with_and_without_options() {
    let text = "# deb http://off/debian bookworm main\n\
                deb-src http://src/debian bookworm main\n\
                deb [arch=amd64 signed-by=/k.gpg] https://download.docker.com/linux/debian bookworm stable\n\
                deb [ arch=amd64 signed-by=/usr/share/keyrings/d.gpg ] http://m/debian bookworm main # ours\n";
    let source = parse_one_line(text, "bookworm").unwrap();
    assert_eq!(source.uri, "http://m/debian");
    assert_eq!(
        source.signed_by.as_deref(),
        Some("/usr/share/keyrings/d.gpg")
    );

    let plain =
        parse_one_line("deb\thttp://m/debian/ bookworm main contrib\n", "bookworm").unwrap();
    assert_eq!(
        plain,
        Source {
            uri: "http://m/debian/".into(),
            signed_by: None
        }
    );
}

#[test]
fn without_a_debian_source_its_own_mirror_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let source = Source::of_machine(dir.path(), "bookworm");
    assert_eq!(source.uri, DEBIAN_MIRROR);
}

#[test]
fn the_main_list_comes_before_the_parts() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sources.list.d")).unwrap();
    fs::write(dir.path().join("sources.list.d/debian.sources"), DEB822).unwrap();
    assert_eq!(
        Source::of_machine(dir.path(), "bookworm").uri,
        "http://mirror.example/debian"
    );
    fs::write(
        dir.path().join("sources.list"),
        "deb http://first/debian bookworm main\n",
    )
    .unwrap();
    assert_eq!(
        Source::of_machine(dir.path(), "bookworm").uri,
        "http://first/debian"
    );
}
