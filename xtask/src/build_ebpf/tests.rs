use super::*;

#[test]
fn the_out_dir_is_taken_from_lb_users_build_script_only() {
    let message = |package: &str| {
        format!(
            r#"{{"reason":"build-script-executed","package_id":"path+file:///src/{package}#0.1.0","linked_libs":[],"out_dir":"/t/out"}}"#
        )
    };
    assert_eq!(out_dir(&message("lb-user")), Some("/t/out".into()));
    assert_eq!(out_dir(&message("lb-tests")), None);
    assert_eq!(
        out_dir(r#"{"reason":"build-finished","success":true}"#),
        None
    );
    assert_eq!(out_dir("a build script's own words"), None);
}
