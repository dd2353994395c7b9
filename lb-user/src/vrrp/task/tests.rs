use std::{fs, time::Instant};

use super::*;

/// A thread that begins, and then does this with its orders.
async fn thread(
    dir: &Path,
    then: impl FnOnce(&mut Ends) -> Result<(), String> + Send + 'static,
) -> Vrrp {
    let body = move |mut ends: Ends, ready: oneshot::Sender<Result<(), String>>| {
        ready.send(Ok(())).unwrap();
        then(&mut ends)
    };
    Vrrp::with_body(dir, body).await.unwrap()
}

/// The file that lets the next agent go on as master.
fn record(dir: &Path) -> PathBuf {
    fs::create_dir(dir.join("vrrp")).unwrap();
    let record = dir.join("vrrp/front.role");
    fs::write(&record, "master 0000000001.000000000\n").unwrap();
    record
}

#[tokio::test]
async fn the_roles_of_a_thread_that_panicked_are_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let record = record(dir.path());
    let mut vrrp = thread(dir.path(), |_| panic!("on purpose")).await;
    let ended = (&mut vrrp.ended).await.unwrap();
    assert_eq!(ended, "the thread of VRRP panicked");
    assert_eq!(vrrp.hand_over().await, HandOver::Failed);
    assert!(!record.exists(), "the next agent would go on as master");
}

#[tokio::test]
async fn so_are_those_of_one_that_ends_when_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let record = record(dir.path());
    let mut vrrp = thread(dir.path(), |ends| {
        ends.commands.blocking_recv();
        Err("the network cannot be watched".to_owned())
    })
    .await;
    assert_eq!(vrrp.hand_over().await, HandOver::Failed);
    assert!(!record.exists());
    let ended = (&mut vrrp.ended).await.unwrap();
    assert_eq!(ended, "the network cannot be watched");
}

#[tokio::test]
async fn one_that_hangs_holds_up_nobody_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let record = record(dir.path());
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let mut vrrp = thread(dir.path(), move |_| {
        held.recv().map_err(|error| error.to_string())
    })
    .await;
    let began = Instant::now();
    assert_eq!(vrrp.hand_over().await, HandOver::Failed);
    assert!(!record.exists());
    drop(vrrp);
    assert!(began.elapsed() < 3 * (RELEASE_LIMIT + END_LIMIT));
    drop(let_go);
}

#[tokio::test]
async fn one_that_answers_hands_over_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let record = record(dir.path());
    let mut vrrp = thread(dir.path(), |ends| {
        while let Some(command) = ends.commands.blocking_recv() {
            if let Command::Stop(reply) = command {
                reply.send(Duration::ZERO).unwrap();
            }
        }
        Ok(())
    })
    .await;
    assert_eq!(vrrp.hand_over().await, HandOver::NoMaster);
    assert!(record.exists(), "it is the thread's");
}
