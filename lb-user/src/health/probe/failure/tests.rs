use super::*;

#[test]
fn the_kernels_error_is_found_inside_of_others() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);
    let refused = || io::Error::from_raw_os_error(Errno::ECONNREFUSED as i32);
    let wrapped = Outer(io::Error::other(Outer(refused())));
    assert_eq!(
        Failure::of("cannot connect", &wrapped),
        Failure::theirs("cannot connect: connection refused")
    );
    let full = Outer(io::Error::from_raw_os_error(Errno::EMFILE as i32));
    assert_eq!(
        Failure::of("cannot connect", &full),
        Failure::Ours(Text::new("cannot connect: too many open files"))
    );
}

#[test]
fn without_the_kernel_in_it_the_peer_is_to_blame() {
    let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the end");
    assert_eq!(
        Failure::of("no answer", &error),
        Failure::theirs("no answer: the end")
    );
}

#[test]
fn a_timeout_noticed_late_is_ours() {
    let deadline = Instant::now();
    let soon = overdue("connecting", deadline, deadline + Duration::from_millis(20));
    assert_eq!(soon, Failure::theirs("connecting: timed out"));
    let late = overdue("connecting", deadline, deadline + Duration::from_secs(2));
    assert!(matches!(late, Failure::Ours(_)));
}
