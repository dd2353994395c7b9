//! Path MTU discovery goes on through a tunnel: what the client sends is as long as its own network
//! allows, and does not fit with an outer header in front.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    ballast::{Agent, Backend, Config, Forwarding, Service},
    lab,
    netns::Host,
    realserver,
    topology::{Network, Nic, VIP, VIP6, one_lb},
    wait::wait_for,
};
use serde_json::Value;

use crate::support::{NEEDS, SOON, on_site};

const UPLOAD: usize = 10_000_000;
const PORT: u16 = 81;

/// Takes one connection on a host, reads it to its end and answers with the number of bytes.
fn sink(host: &Host) -> Result<JoinHandle<Result<()>>> {
    let listener = host.run(|| Ok(TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT))?))?;
    Ok(host.thread(move || {
        let (mut connection, _) = listener.accept()?;
        connection.set_read_timeout(Some(SOON))?;
        let mut total = 0u64;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match connection.read(&mut buffer)? {
                0 => break,
                length => total += length as u64,
            }
        }
        connection.write_all(&total.to_be_bytes())?;
        Ok(())
    }))
}

/// Sends [`UPLOAD`] bytes from a host, and expects all of them to arrive.
fn upload(host: &Host, to: IpAddr) -> Result<()> {
    host.run(|| {
        let mut connection = TcpStream::connect_timeout(&SocketAddr::from((to, PORT)), SOON)?;
        connection.set_write_timeout(Some(SOON))?;
        connection.set_read_timeout(Some(SOON))?;
        connection.write_all(&vec![b'x'; UPLOAD])?;
        connection.shutdown(Shutdown::Write)?;
        let mut arrived = [0; 8];
        connection.read_exact(&mut arrived)?;
        let arrived = u64::from_be_bytes(arrived);
        ensure!(arrived == UPLOAD as u64, "only {arrived} bytes arrived");
        Ok(())
    })
}

fn drops(status: &Value, reason: &str) -> u64 {
    status["drops"][reason].as_u64().unwrap_or(0)
}

#[test]
fn a_large_upload_passes_a_tunnel_on_a_path_of_1500_bytes() {
    on_site(&[Forwarding::Tunnel], |site| {
        let mut config = site.config.clone();
        for service in &mut config.services {
            service.port = PORT;
        }
        site.reload(config)?;
        for vip in [VIP.into(), VIP6.into()] {
            let sink = sink(&site.net.webs[0].host)?;
            upload(&site.net.client.host, vip).with_context(|| format!("to {vip}"))?;
            sink.join().expect("the sink does not panic")?;
        }
        let status = site.agent.status()?;
        let told = drops(&status, "too_big_answered");
        ensure!(told > 0, "everything fitted: {}", status["drops"]);
        // The client believes it and keeps to it.
        ensure!(told < 100, "the client was told {told} times");
        ensure!(drops(&status, "too_big") == 0, "{}", status["drops"]);
        Ok(())
    });
}

#[test]
fn what_a_router_says_about_the_tunnel_reaches_the_client() {
    lab::test(NEEDS, |lab| {
        let net = one_lb(lab, 0)?;
        // lb1 — router — 1400 bytes — web1
        let far = Network::new(lab, "far")?;
        let router = lab.host("router")?;
        let web = lab.host("web1")?;
        let nic = |device: &str, address: [u8; 4]| -> Result<Nic> {
            let address = ipnet::Ipv4Net::new(Ipv4Addr::from(address), 24)?;
            Ok(Nic::new(device).address(ipnet::IpNet::from(address)))
        };
        net.network
            .connect(&router, &nic("eth0", [10, 0, 0, 200])?)?;
        far.connect(&router, &nic("eth1", [10, 2, 0, 1])?.mtu(1400))?;
        far.connect(&web, &nic("eth0", [10, 2, 0, 101])?)?;
        router.sysctl("net.ipv4.ip_forward", 1)?;
        web.sh("ip route add default via 10.2.0.1")?;
        for host in [&net.lb.host, &net.client.host] {
            host.sh("ip route add 10.2.0.0/24 via 10.0.0.200")?;
        }
        realserver::tunnel(&web, &[VIP.into()], &[net.lb.v4.into()])?;
        let far_away = Backend::new("web1", Ipv4Addr::new(10, 2, 0, 101), Forwarding::Tunnel);
        let service = Service::new("web", VIP, PORT).backend(far_away);
        let config = Config::on(&["eth0"]).service(service);
        let agent = Agent::start(&net.lb.host, &config.to_string())?;
        let sink = sink(&web)?;
        wait_for("the backend", SOON, || {
            let status = agent.status()?;
            let backend = &status["services"][0]["backends"][0];
            ensure!(backend["state"] == "up", "it is {backend}");
            Ok(())
        })?;
        upload(&net.client.host, VIP.into())?;
        sink.join().expect("the sink does not panic")?;
        let status = agent.status()?;
        let mtu = &status["services"][0]["backends"][0]["path_mtu"];
        ensure!(*mtu == 1400, "the path is {mtu} bytes wide: {status}");
        Ok(())
    });
}
