//! Real servers, set up by hand the way operators do it.

use std::{net::IpAddr, time::Duration};

use anyhow::Result;

use crate::{
    netns::{Host, sibling_binary},
    process::{Process, command},
    topology::host_prefix,
    wait::wait_for,
};

/// Makes `host` a real server for direct routing: it takes packets for the virtual addresses, and
/// says so to nobody.
///
/// # Errors
/// When an address or setting is refused.
pub fn direct_routing(host: &Host, vips: &[IpAddr]) -> Result<()> {
    for scope in ["all", "lo"] {
        // Answer ARP only for addresses of the interface that was asked, and never use a VIP as
        // the sender of an ARP request: otherwise clients find the real server and bypass us.
        host.sysctl(&format!("net.ipv4.conf.{scope}.arp_ignore"), 1)?;
        host.sysctl(&format!("net.ipv4.conf.{scope}.arp_announce"), 2)?;
    }
    for vip in vips {
        host.sh(&format!("ip address add {} dev lo", host_prefix(*vip)))?;
    }
    Ok(())
}

/// The same for a tunnel; the decapsulator accepts packets from `sources` and runs until the returned
/// process is dropped.
///
/// # Errors
/// When an address or setting is refused, or the decapsulator does not start.
pub fn tunnel(host: &Host, vips: &[IpAddr], sources: &[IpAddr]) -> Result<Process> {
    direct_routing(host, vips)?;
    let mut decap = command(sibling_binary("LAB_BIN", "lab")?, ["decap"]);
    for source in sources {
        decap.args(["--from", &source.to_string()]);
    }
    let mut process = host.spawn("decap", decap)?;
    wait_for(
        "the decapsulator",
        Duration::from_secs(10),
        || match process.try_status() {
            Some(status) => Err(format!("it ended with {status}: {}", process.log())),
            None if process.log().contains("ready") => Ok(()),
            None => Err("it is starting".to_owned()),
        },
    )?;
    Ok(process)
}
