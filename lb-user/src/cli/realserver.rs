//! `ballast realserver`.

use std::fmt::Write as _;

use anyhow::Context as _;
use ipnet::IpNet;

use super::{
    args::{Args, Decapsulation, RealServer, TunnelEnd},
    exit::Refused,
    print, print_json,
};
use crate::{
    agent,
    net::Net,
    realserver::{self, Changes, Checked, Places, Wish},
};

/// Does it, and prints what was changed or found.
pub(super) fn realserver(args: &Args, command: &RealServer) -> anyhow::Result<()> {
    let places = Places::of(&args.config, args.socket.as_deref());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let (net, connection) = Net::open()?;
        tokio::select! {
            result = carry_out(args, command, &net, &places) => result,
            () = connection => anyhow::bail!("the kernel closed the netlink socket"),
        }
    })
}

async fn carry_out(
    args: &Args,
    command: &RealServer,
    net: &Net,
    places: &Places,
) -> anyhow::Result<()> {
    match command {
        RealServer::Up { vips, tunnel } => {
            agent::may_change_the_network(tunnel.tunnel)?;
            let wish = wish(vips, tunnel);
            let undo = "what was done so far is on record; `ballast realserver down` undoes it";
            let changes = realserver::up(net, places, &wish).await;
            let on_record = |error: &realserver::UpError| error.left_something();
            let changes = match changes {
                Err(error) if on_record(&error) => Err(error).context(undo),
                other => other.map_err(Into::into),
            }?;
            report(args, &changes, "everything is up already")
        }
        RealServer::Down { vips, tunnel: _ } => {
            agent::may_change_the_network(false)?;
            let changes = realserver::down(net, places, vips).await?;
            report(args, &changes, "nothing is up that could be undone")
        }
        RealServer::Check { vips, tunnel } => {
            let checked = realserver::check(net, places, &wish(vips, tunnel)).await?;
            if args.json {
                print_json(&checked)?;
            } else {
                print(&text(&checked))?;
            }
            if checked.ok {
                Ok(())
            } else {
                let missing = checked
                    .findings
                    .iter()
                    .filter(|finding| !finding.ok)
                    .count();
                Err(Refused(vec![format!("{missing} missing")]).into())
            }
        }
    }
}

fn wish(vips: &[std::net::IpAddr], end: &TunnelEnd) -> Wish {
    Wish {
        vips: vips.to_vec(),
        tunnel: end.tunnel,
        sources: end.sources.iter().map(IpNet::trunc).collect(),
        decapsulation: match end.decapsulation {
            Decapsulation::Auto => realserver::Decapsulation::Auto,
            Decapsulation::Kernel => realserver::Decapsulation::Kernel,
            Decapsulation::Xdp => realserver::Decapsulation::Xdp,
        },
        interfaces: end.interfaces.clone(),
    }
}

fn report(args: &Args, changes: &Changes, nothing: &str) -> anyhow::Result<()> {
    if args.json {
        return print_json(changes);
    }
    for remark in &changes.remarks {
        eprintln!("{remark}");
    }
    if changes.changes.is_empty() {
        return print(&format!("{nothing}\n"));
    }
    print(&format!("{}\n", changes.changes.join("\n")))
}

fn text(checked: &Checked) -> String {
    let mut out = String::new();
    for finding in &checked.findings {
        let mark = if finding.ok { "ok     " } else { "missing" };
        let why = finding.why.as_ref().map(|why| format!(" ({why})"));
        // Writing to a string does not fail.
        writeln!(out, "{mark}  {}{}", finding.what, why.unwrap_or_default()).ok();
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "           {remedy}").ok();
        }
    }
    if let Some(tunnel) = &checked.tunnel {
        writeln!(
            out,
            "tunnel: {} packets unwrapped, {} bytes; dropped: {} of others, {} fragments, {} malformed, \
             {} congested, {} too short",
            tunnel.packets,
            tunnel.bytes,
            tunnel.source_refused,
            tunnel.fragment,
            tunnel.malformed,
            tunnel.congestion,
            tunnel.no_room
        )
        .ok();
    }
    out
}
