use super::*;

fn tools(packages: &[&str]) -> Vec<&'static Tool> {
    TOOLS
        .iter()
        .filter(|tool| packages.contains(&tool.package))
        .collect()
}

#[test]
fn a_package_with_two_binaries_is_installed_once() {
    let debian = Distro::Debian {
        codename: "bookworm".into(),
    };
    assert_eq!(
        choose(&tools(&["procps", "curl"]), &debian, &|_| true),
        ["procps", "curl"]
    );
}

#[test]
fn ubuntu_without_a_bpftool_package_gets_the_one_per_kernel() {
    let tools = tools(&["bpftool", "curl"]);
    let old = choose(&tools, &Distro::Ubuntu, &|name| name != "bpftool");
    assert_eq!(old, ["linux-tools-common", "linux-tools-generic", "curl"]);
    assert_eq!(
        choose(&tools, &Distro::Ubuntu, &|_| true),
        ["bpftool", "curl"]
    );
    assert_eq!(
        choose(&tools, &Distro::DebianLike, &|_| false),
        ["bpftool", "curl"]
    );
}

#[test]
fn only_the_daemons_of_the_lab_are_disabled() {
    let daemons: Vec<_> = TOOLS.iter().filter_map(|tool| tool.daemon).collect();
    assert_eq!(daemons, ["prometheus", "nginx", "haproxy", "keepalived"]);
}

#[test]
fn a_build_needs_no_lab() {
    assert_eq!(binaries(&[Part::Build]), ["cc", "/usr/include/stdio.h"]);
}
