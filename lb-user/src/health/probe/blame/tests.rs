use super::*;

#[test]
fn a_peer_or_router_that_refuses_is_to_blame() {
    for errno in [
        Errno::ECONNREFUSED,
        Errno::ECONNRESET,
        Errno::EHOSTUNREACH,
        Errno::ETIMEDOUT,
        Errno::EPIPE,
        Errno::EPROTO,
    ] {
        assert_eq!(blame(errno), Blame::Theirs, "{errno}");
    }
}

#[test]
fn our_limits_links_routes_and_rules_are_ours() {
    for errno in [
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOMEM,
        Errno::ENOBUFS,
        Errno::EAGAIN,
        Errno::ENETDOWN,
        Errno::ENETUNREACH,
        Errno::ENODEV,
        Errno::EADDRNOTAVAIL,
        Errno::EADDRINUSE,
        Errno::EAFNOSUPPORT,
        Errno::EACCES,
        Errno::EPERM,
        Errno::EINVAL,
        Errno::EMSGSIZE,
    ] {
        assert_eq!(blame(errno), Blame::Ours, "{errno}");
    }
}

#[test]
fn what_nobody_thought_of_is_ours() {
    assert_eq!(blame(Errno::EXDEV), Blame::Ours);
    assert_eq!(blame(Errno::UnknownErrno), Blame::Ours);
}
