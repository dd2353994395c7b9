use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::alert::event::What;

fn event(n: usize) -> Event {
    Event {
        at: SystemTime::UNIX_EPOCH,
        what: What::Kept {
            service: "web".to_owned(),
            backends: n,
        },
    }
}

fn events(range: std::ops::Range<usize>) -> Vec<Event> {
    range.map(event).collect()
}

#[test]
fn what_happens_at_once_goes_into_one_message() {
    let start = Instant::now();
    let mut outbox = Outbox::default();
    assert_eq!(outbox.next_deadline(), None);
    for n in 0..5 {
        outbox.push(start + GATHER / 10, event(n));
    }
    let due = outbox.next_deadline().unwrap();
    assert_eq!(due, start + GATHER / 10 + GATHER);
    assert_eq!(outbox.poll(due - Duration::from_millis(1)), None);
    let batch = outbox.poll(due).unwrap();
    assert_eq!(batch.events, events(0..5));
    assert_eq!(batch.left_out, 0);
    assert_eq!(outbox.next_deadline(), None, "it is on its way");
}

#[test]
fn only_so_many_messages_go_out_in_a_while() {
    let start = Instant::now();
    let mut now = start;
    let mut outbox = Outbox::default();
    for n in 0..BURST {
        outbox.push(now, event(n));
        now = outbox.next_deadline().unwrap();
        assert!(outbox.poll(now).is_some());
        outbox.arrived(now);
    }
    let first = start + GATHER;
    outbox.push(now, event(0));
    assert_eq!(outbox.next_deadline(), Some(first + WINDOW));
    outbox.push(now + WINDOW / 2, event(1));
    assert_eq!(outbox.next_deadline(), Some(first + WINDOW));
    assert_eq!(outbox.poll(first + WINDOW).unwrap().events, events(0..2));
}

#[test]
fn the_oldest_are_left_out_and_counted() {
    let now = Instant::now();
    let mut outbox = Outbox::default();
    for n in 0..WAITING + 10 {
        outbox.push(now, event(n));
    }
    outbox.missed(now, 5);
    let batch = outbox.poll(now + GATHER).unwrap();
    assert_eq!(batch.events, events(10..WAITING + 10));
    assert_eq!(batch.left_out, 15);
    outbox.arrived(now + GATHER);
    assert_eq!(outbox.counts().left_out, 15);
    outbox.push(now + GATHER, event(0));
    assert_eq!(outbox.poll(now + GATHER * 2).unwrap().left_out, 0);
}

#[test]
fn what_did_not_arrive_is_told_again_ever_more_rarely() {
    let mut now = Instant::now();
    let mut outbox = Outbox::default();
    outbox.push(now, event(0));
    now += GATHER;
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=10 {
        let batch = outbox.poll(now).unwrap();
        assert_eq!(batch.events, events(0..attempt));
        outbox.failed(now, true);
        outbox.push(now, event(attempt));
        assert_eq!(outbox.next_deadline(), Some(now + pause.max(GATHER)));
        now += pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    assert_eq!(outbox.counts().failed, 10);
    // Whoever is told now may be reachable.
    outbox.hurry();
    assert!(outbox.next_deadline().unwrap() <= now);
    assert_eq!(outbox.poll(now).unwrap().events, events(0..11));
    outbox.arrived(now);
    assert_eq!(outbox.next_deadline(), None);
}

#[test]
fn what_is_not_to_be_said_twice_is_not() {
    let now = Instant::now();
    let mut outbox = Outbox::default();
    outbox.push(now, event(0));
    assert!(outbox.poll(now + GATHER).is_some());
    outbox.failed(now + GATHER, false);
    assert_eq!((outbox.next_deadline(), outbox.waiting()), (None, 0));
    // Yet whoever fails is not called again at once.
    outbox.push(now + GATHER, event(1));
    assert_eq!(outbox.next_deadline(), Some(now + GATHER + FIRST_PAUSE));
}

proptest! {
    /// However changes come and attempts end, every change is listed in a message that arrived, counted as left out, or waiting;
    /// memory is bounded; and no more messages go out than are allowed.
    #[test]
    fn no_change_is_lost_unsaid(steps in proptest::collection::vec((0usize..40, 0u64..30_000, any::<bool>()), 1..60)) {
        let mut now = Instant::now();
        let mut outbox = Outbox::default();
        let (mut pushed, mut told, mut said_left_out) = (0u64, 0u64, 0u64);
        let mut sent: Vec<Instant> = Vec::new();
        for (count, millis, arrives) in steps {
            for n in 0..count {
                outbox.push(now, event(n));
                pushed += 1;
            }
            now += Duration::from_millis(millis);
            if let Some(batch) = outbox.poll(now) {
                prop_assert!(!batch.events.is_empty());
                if arrives {
                    told += u64::try_from(batch.events.len()).unwrap();
                    said_left_out += batch.left_out;
                    outbox.arrived(now);
                    sent.push(now);
                } else {
                    outbox.failed(now, true);
                }
            }
            prop_assert!(outbox.waiting() <= WAITING);
            let waiting = u64::try_from(outbox.waiting()).unwrap();
            prop_assert_eq!(pushed, told + outbox.counts().left_out + waiting);
            prop_assert_eq!(outbox.counts().left_out, said_left_out + outbox.left_out);
        }
        for window in sent.windows(BURST + 1) {
            prop_assert!(window[BURST] - window[0] >= WINDOW);
        }
    }
}
