use super::{VRRP, check};

#[test]
fn alerts_have_a_sender_and_a_recipient() {
    let base = format!("router_id: lb\n{VRRP}");
    let smtp = |rest: &str| format!("alerts: {{ smtp: {{ {rest} }} }}");
    let good = smtp("server: mail.example.com, from: a@b, to: [c@d]");
    let cases = [
        (
            smtp("server: \"192.0.2.1:25\", timeout: 5s, from: a@b, to: [c@d]"),
            "",
        ),
        (smtp("server: \"[fd00::1]:25\", from: a@b, to: [c@d]"), ""),
        (smtp("server: \"fd00::1\", from: a@b, to: [c@d]"), ""),
        (
            smtp("server: \"mail:0\", from: a@b, to: [c@d]"),
            "1:27: alerts.smtp.server: `mail:0` is no server, expected one like `mail.example.com:25`",
        ),
        (
            smtp("server: \"a b\", from: a@b, to: [c@d]"),
            "1:27: alerts.smtp.server: `a b` is no server, expected one like `mail.example.com:25`",
        ),
        (
            smtp("server: m, from: ab, to: [c@d]"),
            "1:36: alerts.smtp.from: `ab` is no mail address, expected one like `ops@example.com`",
        ),
        (
            smtp("server: m, from: a@b, to: [\"c@d>\"]"),
            "1:46: alerts.smtp.to[0]: `c@d>` is no mail address, expected one like `ops@example.com`",
        ),
        (
            smtp("server: m, from: a@b, to: []"),
            "1:45: alerts.smtp.to: empty, expected at least one mail address",
        ),
        (
            smtp("server: m, from: a@b"),
            "1:17: alerts.smtp.to: missing, must be given",
        ),
        ("alerts: { command: [/etc/alert.sh] }".to_owned(), ""),
        (
            "alerts: { mail: {} }".to_owned(),
            "1:11: alerts.mail: unknown key, allowed are smtp or command",
        ),
        (good, ""),
    ];
    let cases: Vec<(&str, &str, &str)> = cases
        .iter()
        .map(|(to, want)| ("router_id:", to.as_str(), *want))
        .collect();
    check(&base, &cases);
}

#[test]
fn synchronisation_needs_an_interface() {
    check(
        &format!("router_id: lb\n{VRRP}"),
        &[
            (
                "router_id:",
                "ipvs: { sync: { interface: eth1, id: 255 } }",
                "",
            ),
            ("router_id:", "ipvs: {}", ""),
            (
                "router_id:",
                "ipvs: { sync: { id: 1 } }",
                "1:15: ipvs.sync.interface: missing, must be given",
            ),
            (
                "router_id:",
                "ipvs: { sync: { interface: eth1, id: 256 } }",
                "1:38: ipvs.sync.id: `256` is not a whole number from 0 to 255",
            ),
        ],
    );
}

#[test]
fn a_listener_is_kept_to_the_host() {
    check(
        &format!("router_id: lb\n{VRRP}"),
        &[
            (
                "router_id:",
                "observability: { listen: \"127.0.0.1:9191\" }",
                "",
            ),
            (
                "router_id:",
                "observability: { listen: \"[::1]:9191\" }",
                "",
            ),
            ("router_id:", "observability: {}", ""),
            (
                "router_id:",
                "observability: { listen: \"0.0.0.0:9191\" }",
                "1:26: observability.listen: warning: reachable from other hosts, and asks nobody for a password",
            ),
            (
                "router_id:",
                "observability: { listen: 9191 }",
                "1:26: observability.listen: `9191` is no listener, expected one like `127.0.0.1:9191`",
            ),
            (
                "router_id:",
                "observability: { listen: \"127.0.0.1:0\" }",
                "1:26: observability.listen: `127.0.0.1:0` is no listener, expected one like `127.0.0.1:9191`",
            ),
        ],
    );
}
