use super::*;

const BOOT: &str = "f0e2-4d6b";

fn example() -> Owned {
    let daemon = |role| SyncDaemon {
        role,
        interface: "eth1".to_owned(),
        id: 7,
    };
    Owned {
        services: [("10.0.0.1:80", TCP), ("[2001:db8::1]:53", UDP)]
            .map(|(at, protocol)| {
                let at: SocketAddr = at.parse().unwrap();
                ServiceKey::Address {
                    protocol,
                    address: at.ip(),
                    port: at.port(),
                }
            })
            .into(),
        daemons: [daemon(SyncRole::Send), daemon(SyncRole::Receive)].into(),
        sysctls: [
            ("net/ipv4/ip_forward".to_owned(), "0".to_owned()),
            ("net/ipv4/vs/sync_threshold".to_owned(), "3 50 0".to_owned()),
        ]
        .into(),
        masquerade: true,
    }
}

#[test]
fn what_is_ours_is_read_as_it_was_written() {
    let text = example().write(BOOT);
    assert!(text.contains("service udp [2001:db8::1]:53\n"), "{text}");
    assert_eq!(Owned::read(&text, BOOT), example());
    let nothing = Owned::default();
    assert_eq!(Owned::read(&nothing.write(BOOT), BOOT), nothing);
}

#[test]
fn what_was_ours_before_a_reboot_is_not_ours() {
    let text = example().write("another");
    assert_eq!(Owned::read(&text, BOOT), Owned::default());
}

#[test]
fn a_line_that_is_none_of_ours_says_nothing() {
    let text =
        "service\nservice sctp 10.0.0.1:80\nservice tcp 10.0.0.1\nsync both eth0 1\nsysctl x\n\0\n";
    assert_eq!(Owned::read(text, BOOT), Owned::default());
}
