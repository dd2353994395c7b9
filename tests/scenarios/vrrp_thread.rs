//! The thread of VRRP is one that a busy machine does not delay.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use lb_tests::pair::Setup;

use crate::support::{BALLAST, front, on_pair};

#[test]
fn only_the_thread_of_vrrp_is_real_time_and_memory_is_locked() {
    on_pair(Setup::new(BALLAST, front), |pair| {
        let pid = pair.balancer_mut(0)?.agent.process()?.pid();
        let mut names = Vec::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            // Others may end meanwhile.
            let Ok(name) = fs::read_to_string(task.join("comm")) else {
                continue;
            };
            let name = name.trim().to_owned();
            let Ok((policy, priority)) = scheduling(&task) else {
                continue;
            };
            if name == "vrrp" {
                ensure!(policy == SCHED_RR, "its policy is {policy}");
                ensure!(priority > 0, "its priority is {priority}");
            } else {
                ensure!(policy == SCHED_OTHER, "{name} has policy {policy}");
            }
            names.push(name);
        }
        let count = names.iter().filter(|name| *name == "vrrp").count();
        ensure!(count == 1, "{names:?}");
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
        let locked = locked.context("no VmLck")?.trim();
        let kib: u64 = locked.trim_end_matches(" kB").trim().parse()?;
        ensure!(kib > 0, "no memory is locked");
        Ok(())
    });
}

/// Policy and real-time priority (proc(5), `stat`, fields 41 and 40).
fn scheduling(task: &Path) -> Result<(u32, u32)> {
    let stat = fs::read_to_string(task.join("stat"))?;
    // The name may hold spaces; field 3 is the first after it.
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| -> Result<u32> {
        let value = fields.get(number - 3).context("too few fields")?;
        Ok(value.parse()?)
    };
    Ok((field(41)?, field(40)?))
}

const SCHED_OTHER: u32 = 0;
const SCHED_RR: u32 = 2;
