use std::num::NonZeroU16;

use super::*;

const WINDOW: Duration = Duration::from_secs(10);

fn key(number: u8) -> BackendKey {
    BackendKey {
        address: [10, 0, 0, number].into(),
        port: NonZeroU16::new(80).unwrap(),
    }
}

/// Members 0, 1, …; each down for so many seconds, or not.
fn members(now: Instant, down_for: &[Option<u64>]) -> Vec<Member> {
    down_for
        .iter()
        .zip(0..)
        .map(|(seconds, number)| Member {
            key: key(number),
            down_since: seconds.map(|seconds| now - Duration::from_secs(seconds)),
        })
        .collect()
}

/// A time from which the tests can go back.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn flapped(now: Instant, seconds_ago: u64) -> Link {
    Link {
        up: true,
        changed: Some(now - Duration::from_secs(seconds_ago)),
    }
}

fn kept(now: Instant, down_for: &[Option<u64>], link: Link) -> usize {
    fallen_together(now, &members(now, down_for), link, WINDOW).len()
}

#[test]
fn more_than_half_while_our_link_changed_is_our_link() {
    let now = later();
    let link = flapped(now, 5);
    assert_eq!(kept(now, &[Some(1), Some(2), Some(0), None], link), 3);
    assert_eq!(kept(now, &[Some(1), Some(2), None, None], link), 0, "half");
    assert_eq!(kept(now, &[Some(1), None, None, None], link), 0);
}

#[test]
fn without_a_change_of_our_link_they_are_dead() {
    let now = later();
    let all = [Some(1), Some(1), Some(1)];
    assert_eq!(kept(now, &all, Link::default()), 0);
    assert_eq!(kept(now, &all, flapped(now, 11)), 0, "long ago");
    let down = Link {
        up: false,
        changed: Some(now - 100 * WINDOW),
    };
    assert_eq!(kept(now, &all, down), 3, "it is down still");
}

#[test]
fn who_was_dead_before_is_not_kept_and_does_not_count() {
    let now = later();
    let link = flapped(now, 5);
    let fallen = fallen_together(
        now,
        &members(
            now,
            &[Some(500), Some(500), Some(500), Some(1), Some(1), None],
        ),
        link,
        WINDOW,
    );
    assert_eq!(fallen, BTreeSet::from([key(3), key(4)]));
    assert_eq!(
        kept(now, &[Some(500), Some(500), Some(500), Some(1), None], link),
        0
    );
}

#[test]
fn an_empty_pool_keeps_nobody() {
    let now = later();
    assert_eq!(kept(now, &[], flapped(now, 0)), 0);
    assert_eq!(kept(now, &[None, None], flapped(now, 0)), 0);
}

#[test]
fn the_last_good_set_stays_until_the_link_was_quiet_for_a_window() {
    let now = later();
    let link = flapped(now, 3);
    let mut guard = Guard::default();
    guard.update(now, &members(now, &[Some(1), Some(2), None]), link, WINDOW);
    assert!(guard.keeps(key(0)) && guard.keeps(key(1)) && !guard.keeps(key(2)));
    assert_eq!(guard.next_deadline(), Some(now + WINDOW));

    // The third falls as well: it joins.
    let soon = now + Duration::from_secs(1);
    guard.update(
        soon,
        &members(soon, &[Some(2), Some(3), Some(0)]),
        link,
        WINDOW,
    );
    assert_eq!(guard.kept(), 3);

    // One is back.
    let soon = now + Duration::from_secs(2);
    guard.update(
        soon,
        &members(soon, &[None, Some(4), Some(1)]),
        link,
        WINDOW,
    );
    assert!(!guard.keeps(key(0)) && guard.kept() == 2);

    // The others are not, with a link that works.
    let end = now + WINDOW;
    guard.update(end, &members(end, &[None, Some(12), Some(9)]), link, WINDOW);
    assert_eq!(guard.kept(), 0);
    assert_eq!(guard.next_deadline(), None);
}

#[test]
fn a_link_that_flaps_on_starts_the_wait_again_and_one_that_is_down_ends_it_never() {
    let now = later();
    let mut guard = Guard::default();
    let all = [Some(1), Some(1)];
    guard.update(now, &members(now, &all), flapped(now, 0), WINDOW);
    let again = now + Duration::from_secs(8);
    let link = flapped(again, 0);
    guard.update(again, &members(again, &[Some(9), Some(9)]), link, WINDOW);
    assert_eq!(guard.next_deadline(), Some(again + WINDOW));
    let down = Link { up: false, ..link };
    guard.update(again, &members(again, &[Some(9), Some(9)]), down, WINDOW);
    assert_eq!(guard.next_deadline(), None);
    let much_later = now + 1000 * WINDOW;
    let members = members(much_later, &[Some(9001), Some(9001)]);
    guard.update(much_later, &members, down, WINDOW);
    assert_eq!(guard.kept(), 2);
}
