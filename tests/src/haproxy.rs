//! A real HAProxy on a host: sites that it answers for itself, one for each address.

use std::{fmt::Write as _, fs, net::Ipv4Addr, net::TcpStream, time::Duration};

use anyhow::Result;

use crate::{
    netns::Host,
    process::{Process, command},
    wait::wait_for,
};

/// Starts HAProxy, which answers on port 80: for each address with the name of its site. The process
/// is called `haproxy`.
///
/// # Errors
/// When it does not listen within 10 s.
pub fn start(host: &Host, sites: &[(Ipv4Addr, &str)]) -> Result<Process> {
    let mut config = "global
    maxconn 1000
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend sites
    bind :80
"
    .to_owned();
    for (address, site) in sites {
        writeln!(
            config,
            "    http-request return status 200 content-type text/plain string \"{site}\" if {{ dst {address} }}"
        )?;
    }
    config += "    http-request return status 404\n";
    let file = host.dir().join("haproxy.cfg");
    fs::write(&file, config)?;
    let mut haproxy = command("haproxy", ["-db", "-f"]);
    haproxy.arg(&file);
    let mut process = host.spawn("haproxy", haproxy)?;
    wait_for("haproxy to listen", Duration::from_secs(10), || {
        if let Some(status) = process.try_status() {
            return Err(format!("ended with {status}: {}", process.log()));
        }
        host.run(|| {
            let address = (Ipv4Addr::LOCALHOST, 80).into();
            TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            Ok(())
        })
        .map_err(|error| format!("{error:#}"))
    })?;
    Ok(process)
}
