use super::*;

const NAMES: &str = "linux-image-7.2.9+deb13-amd64\nlinux-image-7.2.12+deb13-amd64\nlinux-binary-7.2.12+deb13-amd64\n\
    linux-base-7.2.12+deb13-amd64\nlinux-modules-7.2.12+deb13-amd64\nlinux-image-7.2.12+deb13-amd64-dbg\n\
    linux-image-7.2.13+deb13-cloud-amd64\nlinux-image-7.2.14+deb13-rt-amd64\nlinux-image-7.20.1+deb13-amd64\n\
    linux-image-6.1.0-9-amd64\nlinux-image-6.1.0-50-amd64\nlinux-image-6.1.0-51-cloud-amd64\nlinux-image-amd64\n";

#[test]
fn the_newest_plain_kernel_of_a_series_is_chosen() {
    assert_eq!(newest(NAMES, "7.2"), Some("7.2.12+deb13"));
    assert_eq!(newest(NAMES, "6.1"), Some("6.1.0-50"));
    assert_eq!(newest(NAMES, "6.12"), None);
}

#[test]
fn all_packages_of_a_version_are_taken() {
    assert_eq!(packages(NAMES, "6.1.0-50"), ["linux-image-6.1.0-50-amd64"]);
    assert_eq!(packages(NAMES, "7.2.12+deb13").len(), 4);
}
