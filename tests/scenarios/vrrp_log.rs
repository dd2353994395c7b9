//! Nobody reads the log: the master goes on.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    pair::{Pair, Setup, has_address},
    topology::VIP,
    vrrp::Adverts,
    wait::wait_for,
};
use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::support::{BALLAST, SOON, front, in_lab, router};

#[test]
fn a_master_whose_log_nobody_reads_goes_on_and_can_be_stopped() {
    in_lab(|lab| {
        let mut pair = Pair::prepare(lab, Setup::new(BALLAST, front))?;
        // The harness lets an agent write to this file, whatever it is.
        let log = pair.net.lbs[0].host.dir().join("ballast.log");
        mkfifo(&log, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let mut pipe = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&log)
            .context("cannot open the pipe")?;
        pair.run(0)?;
        // Both ends are open. A failed test would read it as a file.
        fs::remove_file(&log)?;
        pair.run(1)?;
        ensure!(pair.wait_until_at_rest()? == 0);
        let before = router(&pair, 1)?.transitions;
        fill(&mut pipe)?;
        let adverts = Adverts::of(&pair.net.lbs[0])?;

        // What VRRP's own thread says something about.
        for _ in 0..3 {
            let host = &pair.net.lbs[0].host;
            host.sh(&format!("ip address del {VIP}/32 dev eth0"))?;
            wait_for("the address to be put back", SOON, || {
                has_address(host, VIP.into())
            })?;
            pair.balancer(0)?.agent.reload()?;
        }
        wait_for("more adverts", SOON, || adverts.sent().len() >= 30)?;
        let sent = adverts.sent();
        for two in sent.windows(2) {
            let gap = two[1].at.duration_since(two[0].at)?;
            ensure!(gap < pair.setup.routers[1][0].master_down(), "{gap:?}");
        }
        ensure!(sent.iter().all(|advert| advert.priority == 150));
        ensure!(router(&pair, 0)?.state == "master");
        ensure!(router(&pair, 1)?.transitions == before, "lb2 took over");

        // And it ends as asked, though its last words are not heard.
        pair.stop(0)?;
        pair.wait_for_master(1, Duration::from_secs(5))?;
        ensure!(adverts.sent().last().is_some_and(|last| last.priority == 0));
        Ok(())
    });
}

/// Until nothing more goes in.
fn fill(pipe: &mut File) -> Result<()> {
    for size in [4096, 1] {
        loop {
            match pipe.write(&vec![b'.'; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
