use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, sync::DropGuard};

use super::{Content, POLL, follow, parse};
use crate::track::{Report, TrackerState};

struct Rig {
    dir: TempDir,
    path: PathBuf,
    report: watch::Receiver<Report>,
    _cancel: DropGuard,
}

/// So that what is seen was heard of.
const NEVER: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(20);

impl Rig {
    fn new(at: &str, poll: Duration, prepare: impl FnOnce(&Path)) -> Self {
        // In memory, as /run is: a disk may take its time between emptying and writing.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = dir.path().join(at);
        prepare(&path);
        let (out, report) = watch::channel(Report::unknown(std::time::Instant::now()));
        let cancel = CancellationToken::new();
        let (followed, cancelled) = (path.clone(), cancel.clone());
        tokio::runtime::Handle::current().spawn(async move {
            tokio::select! {
                () = follow(&followed, &out, poll) => {}
                () = cancelled.cancelled() => {}
            }
        });
        Self {
            dir,
            path,
            report,
            _cancel: cancel.drop_guard(),
        }
    }

    async fn sees(&mut self, state: TrackerState) -> String {
        let reached = self.report.wait_for(|report| report.state == state);
        let reached = timeout(PATIENCE, reached).await;
        reached
            .unwrap_or_else(|_| panic!("never: {state:?}"))
            .unwrap()
            .text
            .clone()
    }
}

#[test]
fn an_integer_is_a_number_and_all_else_is_missing() {
    for (text, number) in [
        ("7", 7),
        (" -12\n", -12),
        ("+3\r\n", 3),
        ("\t0", 0),
        ("9223372036854775807", i64::MAX),
    ] {
        assert_eq!(parse(text.as_bytes()), Content::Number(number), "{text:?}");
    }
    let missing = |why: &str| Content::Missing(why.to_owned());
    assert_eq!(parse(b" \n"), missing("empty"));
    for text in [
        "5 5",
        "5x",
        "0x5",
        "1.5",
        "--1",
        "9223372036854775808",
        "\u{663}",
    ] {
        assert_eq!(parse(text.as_bytes()), missing("not a number"), "{text:?}");
    }
    assert_eq!(parse(b"\xff"), missing("not a number"));
    assert_eq!(
        parse(&[b"5".as_slice(), &[b' '; 64]].concat()),
        missing("not a number")
    );
}

#[tokio::test]
async fn edits_renames_and_deletes_are_seen_at_once() {
    let mut rig = Rig::new("number", NEVER, |path| fs::write(path, "1\n").unwrap());
    assert_eq!(rig.sees(TrackerState::Number(1)).await, "1");
    fs::write(&rig.path, "-5").unwrap();
    rig.sees(TrackerState::Number(-5)).await;
    let new = rig.dir.path().join("new");
    fs::write(&new, "77").unwrap();
    fs::rename(&new, &rig.path).unwrap();
    rig.sees(TrackerState::Number(77)).await;
    fs::rename(&rig.path, &new).unwrap();
    assert_eq!(
        rig.sees(TrackerState::Missing).await,
        "No such file or directory"
    );
    fs::hard_link(&new, &rig.path).unwrap();
    rig.sees(TrackerState::Number(77)).await;
    fs::write(&rig.path, "garbage").unwrap();
    assert_eq!(rig.sees(TrackerState::Missing).await, "not a number");
    fs::write(&rig.path, "3").unwrap();
    rig.sees(TrackerState::Number(3)).await;
    fs::remove_file(&rig.path).unwrap();
    rig.sees(TrackerState::Missing).await;
}

#[tokio::test]
async fn a_file_that_is_written_in_place_is_never_missing() {
    let mut rig = Rig::new("number", NEVER, |path| fs::write(path, "0").unwrap());
    rig.sees(TrackerState::Number(0)).await;
    let (path, mut report) = (rig.path.clone(), rig.report.clone());
    let writer = tokio::task::spawn_blocking(move || {
        for n in 1..=2000 {
            // Emptied by the open, written after.
            let mut file = fs::File::create(&path).unwrap();
            write!(file, "{n}").unwrap();
        }
    });
    let last = async {
        loop {
            let state = report.borrow_and_update().state;
            assert_ne!(state, TrackerState::Missing);
            if state == TrackerState::Number(2000) {
                break;
            }
            report.changed().await.unwrap();
        }
    };
    timeout(PATIENCE, last)
        .await
        .expect("the last number is seen");
    writer.await.unwrap();
}

#[tokio::test]
async fn a_directory_that_comes_later_or_is_replaced_is_found() {
    let mut rig = Rig::new("later/number", POLL, |_| {});
    assert_eq!(
        rig.sees(TrackerState::Missing).await,
        "No such file or directory"
    );
    let directory = rig.dir.path().join("later");
    fs::create_dir(&directory).unwrap();
    fs::write(&rig.path, "4").unwrap();
    rig.sees(TrackerState::Number(4)).await;
    fs::write(&rig.path, "5").unwrap();
    rig.sees(TrackerState::Number(5)).await;
    fs::rename(&directory, rig.dir.path().join("former")).unwrap();
    rig.sees(TrackerState::Missing).await;
    fs::create_dir(&directory).unwrap();
    fs::write(&rig.path, "6").unwrap();
    rig.sees(TrackerState::Number(6)).await;
    fs::write(&rig.path, "7").unwrap();
    rig.sees(TrackerState::Number(7)).await;
}

#[tokio::test]
async fn a_link_is_followed() {
    let mut rig = Rig::new("link", POLL, |path| {
        std::os::unix::fs::symlink("elsewhere/number", path).unwrap();
    });
    rig.sees(TrackerState::Missing).await;
    fs::create_dir(rig.dir.path().join("elsewhere")).unwrap();
    fs::write(&rig.path, "8").unwrap();
    rig.sees(TrackerState::Number(8)).await;
}

#[tokio::test]
async fn what_is_no_file_is_missing_and_does_not_hang() {
    let mut pipe = Rig::new("pipe", NEVER, |path| {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    });
    pipe.sees(TrackerState::Missing).await;
    let mut directory = Rig::new("directory", NEVER, |path| fs::create_dir(path).unwrap());
    directory.sees(TrackerState::Missing).await;
}
