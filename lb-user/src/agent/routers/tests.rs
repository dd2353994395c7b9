use super::{leave::split, *};
use crate::{config::validate_str, types::Priority, vrrp::machine::Reason};

/// Routers on eth0, each with its addresses.
fn config(routers: &[(&str, &[&str])], groups: &str) -> Config {
    let mut text = "vrrp_instances:\n".to_owned();
    for (id, (name, addresses)) in (1..).zip(routers) {
        text += &format!(
            "  - {{ name: {name}, interface: eth0, virtual_router_id: {id}, virtual_addresses: [{}] }}\n",
            addresses.join(", ")
        );
    }
    validate_str("test.yaml", &(text + groups)).unwrap().config
}

/// Instances with the number of their addresses, and groups.
type Left = (Vec<(String, usize)>, Vec<String>);

/// What is between the two, as names with numbers of addresses, and what goes.
fn between(old: &Config, new: &Config) -> Option<Left> {
    let (stays, goes) = split(old, new)?;
    let stays = stays.instances.iter();
    Some((
        stays
            .map(|one| (one.name.to_string(), one.virtual_addresses.len()))
            .collect(),
        goes.iter()
            .map(|(name, address)| format!("{name} {address}"))
            .collect(),
    ))
}

#[test]
fn nothing_is_given_up_first_where_nothing_goes() {
    let old = config(&[("a", &["10.0.0.1"])], "");
    let more = config(
        &[("a", &["10.0.0.1", "10.0.0.2"]), ("b", &["10.0.0.3"])],
        "",
    );
    assert_eq!(between(&old, &old), None);
    assert_eq!(between(&old, &more), None);
}

#[test]
fn what_goes_is_given_up_and_what_comes_is_not_there_yet() {
    let old = config(
        &[("a", &["10.0.0.1", "10.0.0.2"]), ("b", &["10.0.0.3"])],
        "",
    );
    let new = config(
        &[("a", &["10.0.0.1", "10.0.0.9"]), ("c", &["10.0.0.4"])],
        "",
    );
    let (stays, goes) = between(&old, &new).unwrap();
    assert_eq!(stays, [("a".to_owned(), 1)]);
    assert_eq!(goes, ["a 10.0.0.2", "b 10.0.0.3"]);
}

#[test]
fn an_address_that_moves_to_another_router_is_given_up_in_between() {
    let old = config(&[("a", &["10.0.0.1"]), ("b", &["10.0.0.2"])], "");
    let new = config(&[("a", &[]), ("b", &["10.0.0.2", "10.0.0.1"])], "");
    let (stays, goes) = between(&old, &new).unwrap();
    assert_eq!(stays, [("a".to_owned(), 0), ("b".to_owned(), 1)]);
    assert_eq!(goes, ["a 10.0.0.1"]);
}

#[test]
fn a_group_waits_for_its_new_members() {
    let old = config(
        &[("a", &["10.0.0.1"]), ("b", &["10.0.0.2"]), ("x", &[])],
        "",
    );
    let group = "vrrp_sync_groups: [{ name: g, members: [a, c] }, { name: h, members: [d, e] }]\n";
    let new = config(
        &[
            ("a", &["10.0.0.1"]),
            ("c", &["10.0.0.3"]),
            ("d", &[]),
            ("e", &[]),
        ],
        group,
    );
    let (stays, _) = split(&old, &new).unwrap();
    let members: Vec<_> = stays.groups.iter().map(|group| &group.members).collect();
    assert_eq!(members.len(), 1, "{members:?}");
    assert_eq!(members[0].len(), 1, "{members:?}");
}

#[test]
fn scripts_of_a_group_get_priority_0_as_keepalived_s() {
    let config = config(
        &[("a", &[]), ("b", &[])],
        "vrrp_sync_groups: [{ name: g, members: [a, b] }]\n",
    );
    let mut notice = Notice {
        who: Who::Instance(config.vrrp_instances[0].name.clone()),
        role: Role::Master,
        reason: Reason::Resumed,
        priority: Priority::OWNER,
    };
    assert_eq!(told_priority(&notice), 255);
    notice.who = Who::Group(config.vrrp_sync_groups[0].name.clone());
    assert_eq!(told_priority(&notice), 0);
}
