//! Hosts are separate, and nothing of them stays.

use std::{panic, process::Command, time::Duration};

use lb_tests::{
    lab::{self, Lab},
    process::command,
    require::{self, Need},
    wait::wait_for,
};

#[test]
fn a_host_has_its_own_name_processes_interfaces_and_bpffs() {
    lab::test(&[], |lab| {
        let host = lab.host("solo")?;
        assert_eq!(host.exec(["hostname"])?.trim(), "solo");
        assert_eq!(host.sh("ls /sys/class/net")?.trim(), "lo");
        assert_eq!(host.sh("ls /run")?, "");
        assert_eq!(host.sh("stat -f -c %T /sys/fs/bpf")?.trim(), "bpf_fs");
        assert!(host.read("/proc/1/cmdline")?.contains("pid1"));
        let sleeper = host.spawn("sleep", command("sleep", ["1000"]))?;
        assert_eq!(host.sh("pgrep -c sleep")?.trim(), "1");
        let other = lab.host("other")?;
        assert!(!other.output(["pgrep", "sleep"])?.status.success());
        drop(sleeper);
        assert!(!host.output(["pgrep", "sleep"])?.status.success());
        Ok(())
    });
}

#[test]
fn a_host_is_gone_after_a_panic_with_all_its_processes() {
    lab::test(&[], |lab| {
        let mut pids = Vec::new();
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            let host = lab.host("doomed").expect("a host");
            let sleeper = host
                .spawn("sleep", command("sleep", ["1000"]))
                .expect("sleep");
            // An orphan of the host: nobody but its pid 1 knows it.
            host.exec(["sh", "-c", "sleep 1000 >/dev/null 2>&1 &"])
                .expect("an orphan");
            pids = vec![host.pid(), sleeper.pid()];
            panic!("the test fails (meant to)");
        }));
        assert!(result.is_err());
        wait_for("no process left", Duration::from_secs(5), || {
            all_dead(&pids)
        })?;
        Ok(())
    });
}

#[test]
fn a_host_is_gone_after_the_test_is_killed() {
    // Runs itself as a child that makes a host and hangs, and kills that child.
    if std::env::var_os("HARNESS_HANG").is_some() {
        return hang_with_a_host();
    }
    lab::test(&[], |lab| {
        let log = lab.dir().join("child.log");
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "hosts::a_host_is_gone_after_the_test_is_killed",
                "--nocapture",
            ])
            .env("HARNESS_HANG", "1")
            .env("TMPDIR", lab.dir())
            .stdout(std::fs::File::create(lab.dir().join("child.out"))?)
            .stderr(std::fs::File::create(&log)?)
            .spawn()?;
        let pid: u32 = wait_for("the child's host", Duration::from_secs(20), || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.lines().find_map(|line| {
                line.strip_prefix("hangs with ")?
                    .strip_suffix('.')?
                    .parse()
                    .ok()
            })
        })?;
        assert!(
            all_dead(&[pid]).is_err(),
            "the host lives while its test does"
        );
        child.kill()?;
        child.wait()?;
        wait_for(
            "the host to follow its test",
            Duration::from_secs(5),
            || all_dead(&[pid]),
        )?;
        Ok(())
    });
}

fn hang_with_a_host() {
    if !require::have(Need::LAB) {
        return;
    }
    let lab = Lab::new().expect("a lab");
    let host = lab.host("orphaned").expect("a host");
    let _sleeper = host
        .spawn("sleep", command("sleep", ["1000"]))
        .expect("sleep");
    eprintln!("hangs with {}.", host.pid());
    loop {
        std::thread::park();
    }
}

#[test]
fn a_powered_off_host_answers_nothing() {
    lab::test(&[], |lab| {
        let host = lab.host("off")?;
        let mut sleeper = host.spawn("sleep", command("sleep", ["1000"]))?;
        host.kill_power()?;
        assert!(!sleeper.wait(Duration::from_secs(5))?.success());
        assert!(host.exec(["true"]).is_err());
        Ok(())
    });
}

/// `Err` names the first process that still lives (a zombie does not).
fn all_dead(pids: &[u32]) -> Result<(), String> {
    for pid in pids {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if !status.is_empty() && !status.contains("State:\tZ") {
            return Err(format!("{pid} is alive"));
        }
    }
    Ok(())
}
