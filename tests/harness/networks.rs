//! Cables, web servers, clients, captures and the tunnel's end do what the scenarios take for granted.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use lb_tests::{
    capture::Capture,
    client::{Get, Load, Pace, curl, url},
    lab,
    packet::{self, Frame},
    realserver,
    require::Need,
    topology::{VIP, VIP6, one_lb, two_networks},
    wait::wait_for,
    web::Web,
};

const NGINX: Need = Need::Program("nginx");

#[test]
fn hosts_on_a_switch_reach_each_other_until_the_cable_is_cut() {
    lab::test(&[Need::Program("ping")], |lab| {
        let net = one_lb(lab, 1)?;
        let ping = |target: IpAddr| {
            net.client
                .host
                .output(["ping", "-c1", "-W1", &target.to_string()])
                .map(|o| o.status.success())
        };
        assert!(ping(net.webs[0].v4.into())?);
        assert!(ping(net.webs[0].v6.into())?);
        net.webs[0].port.cut()?;
        assert!(!ping(net.webs[0].v4.into())?);
        net.webs[0].port.mend()?;
        wait_for("the mended cable", Duration::from_secs(5), || {
            ping(net.webs[0].v4.into()).unwrap_or(false)
        })?;
        Ok(())
    });
}

#[test]
fn two_networks_meet_only_at_the_hosts_on_both() {
    lab::test(&[Need::Program("ping")], |lab| {
        let net = two_networks(lab, 1)?;
        net.client
            .host
            .sh(&format!("ping -c1 -W1 {}", net.webs_front[0].v4))?;
        net.lb
            .host
            .sh(&format!("ping -c1 -W1 {}", net.webs[0].v4))?;
        assert!(
            net.client
                .host
                .sh(&format!("ping -c1 -W1 {}", net.webs[0].v4))
                .is_err()
        );
        Ok(())
    });
}

#[test]
fn a_web_server_answers_curl_and_the_own_client_with_its_name() {
    lab::test(&[NGINX, Need::Program("curl")], |lab| {
        let net = one_lb(lab, 1)?;
        let web = Web::start(&net.webs[0].host)?;
        for address in [IpAddr::from(net.webs[0].v4), net.webs[0].v6.into()] {
            let target = SocketAddr::new(address, 80);
            assert_eq!(curl(&net.client.host, &url(target))?, "web1\n");
            let reply = Get::new(target).send(&net.client.host)?;
            assert_eq!((reply.status, reply.server.as_str()), (200, web.name()));
            let big = Get::new(target).path("/big").send(&net.client.host)?;
            assert!(big.body.len() > 4_000_000);
        }
        let source = SocketAddr::new(net.client.v4.into(), 33333);
        let reply = Get::new((net.webs[0].v4, 80))
            .from(source)
            .send(&net.client.host)?;
        assert_eq!(reply.source, source);
        Ok(())
    });
}

#[test]
fn a_load_accounts_for_every_request_also_when_the_server_dies() {
    lab::test(&[NGINX], |lab| {
        let net = one_lb(lab, 1)?;
        let mut web = Web::start(&net.webs[0].host)?;
        let get = Get::new((net.webs[0].v4, 80)).limit(Duration::from_millis(500));
        let report = Load::burst(&net.client.host, &get, 4, 200)?;
        assert_eq!((report.sent(), report.failed()), (200, 0), "{report}");
        assert_eq!(report.by_server()["web1"], 200);

        let load = Load::start(
            &net.client.host,
            &get,
            Pace {
                threads: 2,
                rate: 100,
            },
        );
        load.wait_for_more(20, Duration::from_secs(5))?;
        web.process.kill()?;
        load.wait_for_more(20, Duration::from_secs(20))?;
        let report = load.stop()?;
        assert!(
            report.failed() > 0 && report.failed() < report.sent(),
            "{report}"
        );
        assert!(report.all_answered().is_err());
        Ok(())
    });
}

#[test]
fn a_capture_at_the_switch_shows_who_sent_what() {
    lab::test(&[NGINX], |lab| {
        let net = one_lb(lab, 1)?;
        let _web = Web::start(&net.webs[0].host)?;
        let (switch, port) = net.client.port.tap();
        let capture = Capture::start(switch, port)?;
        Get::new((net.webs[0].v4, 80)).send(&net.client.host)?;
        let replies = wait_for("replies", Duration::from_secs(5), || {
            let replies: Vec<_> = capture
                .parsed()
                .into_iter()
                .filter(|(to_client, f)| *to_client && f.ports.is_some_and(|(src, _)| src == 80))
                .map(|(_, frame)| frame)
                .collect();
            (replies.len() > 2).then_some(replies)
        })?;
        for reply in replies {
            assert_eq!(reply.src_mac, net.webs[0].port.mac());
            assert_eq!(reply.l4_checksum_ok, Some(true), "{reply:?}");
        }
        let requests = capture.stop()?;
        assert!(
            requests
                .iter()
                .any(|(to_client, f)| !to_client && f.payload.starts_with(b"GET"))
        );
        Ok(())
    });
}

#[test]
fn a_real_server_of_direct_routing_keeps_quiet_about_the_virtual_address() {
    lab::test(&[Need::Program("ping")], |lab| {
        let net = one_lb(lab, 1)?;
        realserver::direct_routing(&net.webs[0].host, &[VIP.into(), VIP6.into()])?;
        // Without a balancer that owns it, nobody answers.
        net.lb.port.cut()?;
        for vip in [IpAddr::from(VIP), VIP6.into()] {
            let ping = ["ping", "-c1", "-W1", &vip.to_string()].map(str::to_owned);
            assert!(
                !net.client.host.output(ping)?.status.success(),
                "{vip} was answered"
            );
        }
        Ok(())
    });
}

/// The balancer's kernel has no tunnels either: the outer packets are made here and sent by a raw socket.
#[test]
fn a_tunnel_real_server_unwraps_all_four_kinds_and_only_from_its_balancers() {
    lab::test(&[], |lab| {
        let net = one_lb(lab, 1)?;
        let (lb, web) = (&net.lb, &net.webs[0]);
        let vips = [VIP.into(), VIP6.into()];
        realserver::tunnel(&web.host, &vips, &[lb.v4.into(), lb.v6.into()])?;
        let server = web.host.run(|| Ok(std::net::UdpSocket::bind("[::]:53")?))?;
        server.set_read_timeout(Some(Duration::from_secs(5)))?;

        let v4 = |text: &str| {
            packet::ipv4("10.0.0.44", VIP)
                .udp(5353, 53)
                .payload(text)
                .build()
        };
        let v6 = |text: &str| {
            packet::ipv6("fd00::44", VIP6)
                .udp(5353, 53)
                .payload(text)
                .build()
        };
        for (outer, protocol, inner, text) in [
            (IpAddr::from(web.v4), 4, v4("4in4"), "4in4"),
            (web.v4.into(), 41, v6("6in4"), "6in4"),
            (web.v6.into(), 41, v6("6in6"), "6in6"),
            (web.v6.into(), 4, v4("4in6"), "4in6"),
        ] {
            send_raw(&lb.host, outer, protocol, &inner)?;
            let mut buffer = [0; 64];
            let (length, _) = server.recv_from(&mut buffer).context(text)?;
            assert_eq!(&buffer[..length], text.as_bytes());
        }

        send_raw(&net.client.host, web.v4.into(), 4, &v4("forged"))?;
        wait_for("a refusal", Duration::from_secs(5), || {
            let refused = realserver::tunnel_counter(&web.host, "source_refused")?;
            ensure!(refused == 1, "{refused} so far");
            Ok(())
        })?;
        server.set_nonblocking(true)?;
        assert!(
            server.recv_from(&mut [0; 64]).is_err(),
            "a forged packet came through"
        );
        Ok(())
    });
}

fn send_raw(
    host: &lb_tests::netns::Host,
    target: IpAddr,
    protocol: i32,
    inner: &[u8],
) -> anyhow::Result<()> {
    use socket2::{Domain, Protocol, Socket, Type};
    let target = SocketAddr::new(target, 0);
    host.run(|| {
        let protocol = Some(Protocol::from(protocol));
        let socket = Socket::new(Domain::for_address(target), Type::RAW, protocol)?;
        socket.send_to(inner, &target.into())?;
        Ok(())
    })
}

#[test]
fn a_built_frame_reads_back() {
    let frame = packet::eth().ipv4("10.0.0.44", VIP).tcp(1024, 80).build();
    let frame = Frame::parse(&frame).expect("an Ethernet frame");
    assert_eq!(frame.ip[0].dst, IpAddr::from(VIP));
}
