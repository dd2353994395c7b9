use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::Instant,
};

use super::{
    queue::{LAST_LINES, LINES},
    *,
};

/// A sink that writes a line each time it is let; and says before that it has one.
#[expect(clippy::type_complexity, reason = "four ends, each used once")]
fn held() -> (
    impl FnMut(&[u8]) -> io::Result<()> + Send,
    Sender<()>,
    Receiver<()>,
    Receiver<String>,
) {
    let (let_go, gate) = channel::<()>();
    let (has_one, taken) = channel();
    let (out, written) = channel();
    let sink = move |line: &[u8]| {
        has_one.send(()).map_err(io::Error::other)?;
        gate.recv().map_err(io::Error::other)?;
        let line = String::from_utf8_lossy(line).into_owned();
        out.send(line).map_err(io::Error::other)
    };
    (sink, let_go, taken, written)
}

/// One line for the writer, as many as may wait, and a hundred more.
fn fill(queue: &Queue, taken: &Receiver<()>) {
    queue.put(b"0\n".to_vec());
    taken.recv().unwrap();
    for line in 1..=LINES + 100 {
        queue.put(format!("{line}\n").into_bytes());
    }
}

#[test]
fn who_logs_does_not_wait_for_a_sink_that_takes_nothing() {
    let (sink, let_go, taken, written) = held();
    let (queue, guard) = queue::start(sink, lines_lost).unwrap();
    fill(&queue, &taken);
    for _ in 0..2 * LINES {
        let_go.send(()).unwrap();
    }
    drop(guard);
    drop(queue);
    let lines: Vec<String> = written.iter().collect();
    let [kept @ .., last] = lines.as_slice() else {
        panic!("nothing was written");
    };
    // One was in the writer's hands.
    assert_eq!(kept.len(), LINES + 1);
    assert_eq!(kept[LINES], format!("{LINES}\n"));
    assert!(
        last.contains(LOST) && last.ends_with("lines=100\n"),
        "{last}"
    );
}

#[test]
fn lines_after_a_gap_say_how_many_are_missing() {
    let (sink, let_go, taken, written) = held();
    let (queue, guard) = queue::start(sink, lines_lost).unwrap();
    fill(&queue, &taken);
    let_go.send(()).unwrap();
    let_go.send(()).unwrap();
    written.recv().unwrap();
    written.recv().unwrap();
    // Now there is room.
    queue.put(b"after\n".to_vec());
    for _ in 0..2 * LINES {
        let_go.send(()).unwrap();
    }
    drop(guard);
    drop(queue);
    let lines: Vec<String> = written.iter().collect();
    let [.., missing, after] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(missing.contains(LOST), "{missing}");
    assert!(missing.ends_with("lines=100\n"), "{missing}");
    assert_eq!(after, "after\n");
}

#[test]
fn the_last_lines_are_written_at_the_end() {
    let (out, written) = channel();
    let sink = move |line: &[u8]| out.send(line.to_vec()).map_err(io::Error::other);
    let (queue, guard) = queue::start(sink, lines_lost).unwrap();
    for _ in 0..1000 {
        queue.put(b"line\n".to_vec());
    }
    drop(guard);
    assert_eq!(written.try_iter().count(), 1000);
}

#[test]
fn the_end_does_not_wait_for_a_sink_that_takes_nothing() {
    let (sink, let_go, taken, _written) = held();
    let (queue, guard) = queue::start(sink, lines_lost).unwrap();
    fill(&queue, &taken);
    let began = Instant::now();
    drop(guard);
    assert!(began.elapsed() < 3 * LAST_LINES, "{:?}", began.elapsed());
    drop(let_go);
}

#[test]
fn what_says_that_lines_are_missing_looks_like_a_line() {
    let line = lines_lost_json(3);
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["lines"], 3);
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}
