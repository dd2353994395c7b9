//! S3: unicast in a cloud, no address of ours; a script moves the provider's.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    endpoint::Endpoint,
    haproxy,
    imported::{Elector, Machine, fixture, import, replaced},
    lab::{self, Lab},
    netns::Host,
    pair::Stack,
    process::Process,
    require::Need,
    topology::Network,
    vrrp::instances,
    wait::{pause, wait_for},
};

use super::{PAIRS, SLACK, SOON};

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 0, 2)];
const NEEDS: &[Need] = &[
    Need::Program("haproxy"),
    Need::Program("pidof"),
    Need::Program("killall"),
    Need::Program("curl"),
    Need::Program("keepalived"),
];
/// Asks who it is, and calls the API up to five times.
const MASTER: &str = "#!/bin/sh
API=http://10.9.0.100
ID=$(/usr/bin/curl -s --max-time 2 $API/id)
n=0
while [ $n -lt 5 ]; do
    /usr/bin/curl -s -f --max-time 2 -X POST $API/assign/$ID && break
    n=$((n + 1))
    sleep 0.2
done
";

struct Cloud {
    endpoint: Endpoint,
    _provider: Machine,
    machines: [Machine; 2],
    proxies: [Option<Process>; 2],
    electors: [Elector; 2],
}

impl Cloud {
    fn start(lab: &Lab, stacks: [Stack; 2]) -> Result<Self> {
        let network = Network::new(lab, "switch")?;
        let plug = |name: &str, address: Ipv4Addr| {
            Machine::plug(lab, &network, name, "eth1", &format!("{address}/24"))
        };
        let provider = plug("provider", Ipv4Addr::new(10, 9, 0, 100))?;
        let machines = [
            plug("primary", ADDRESSES[0])?,
            plug("secondary", ADDRESSES[1])?,
        ];
        let endpoint = Endpoint::start(&provider.host)?;
        // The first call fails, as a real one may.
        endpoint.fail(1);
        let first = fixture("s3-primary")?;
        let proxies = [
            Some(haproxy::start(&machines[0].host, &[])?),
            Some(haproxy::start(&machines[1].host, &[])?),
        ];
        for machine in &machines {
            install(&machine.host)?;
        }
        let second = secondary(&first)?;
        let primary = Elector::start(stacks[0], &machines[0].host, &script(stacks[0], &first)?)?;
        let secondary = Elector::start(stacks[1], &machines[1].host, &script(stacks[1], &second)?)?;
        let cloud = Self {
            electors: [primary, secondary],
            endpoint,
            _provider: provider,
            machines,
            proxies,
        };
        Ok(cloud)
    }

    /// Who was made the owner, in order, by number.
    fn owners(&self) -> Vec<usize> {
        let index = |(from, id): (IpAddr, String)| {
            assert_eq!(from.to_string(), id);
            ADDRESSES
                .iter()
                .position(|address| IpAddr::from(*address) == from)
        };
        self.endpoint
            .assigned()
            .into_iter()
            .filter_map(index)
            .collect()
    }

    /// Waits for the next assignment, and expects exactly these in all; returns when it came.
    fn wait_for_owners(&self, expected: &[usize]) -> Result<Instant> {
        wait_for("the next owner", SOON, || {
            let owners = self.owners();
            ensure!(owners.len() >= expected.len(), "{owners:?}");
            Ok(())
        })?;
        let at = Instant::now();
        assert_eq!(self.owners(), expected);
        Ok(at)
    }

    fn expect_state(&self, index: usize, state: &str) -> Result<()> {
        let Some(agent) = self.electors[index].agent() else {
            return Ok(());
        };
        wait_for(state, SOON, || {
            let routers = instances(agent)?;
            ensure!(routers[0].state == state, "{routers:?}");
            Ok(())
        })?;
        Ok(())
    }
}

fn secondary(first: &str) -> Result<String> {
    let second = replaced(first, "state MASTER", "state BACKUP")?;
    let second = replaced(&second, "priority 255", "priority 254")?;
    let second = replaced(
        &second,
        "unicast_src_ip 10.9.0.1",
        "unicast_src_ip 10.9.0.9",
    )?;
    let second = replaced(&second, "        10.9.0.2", "        10.9.0.1")?;
    replaced(&second, "10.9.0.9", "10.9.0.2")
}

/// keepalived 2.2.7 follows symbolic links to a script's file, and Debian's `pidof` is one to `killall5`,
/// which then runs under its own name and fails for ever: a keepalived looks for HAProxy otherwise.
fn script(stack: Stack, conf: &str) -> Result<String> {
    match stack {
        Stack::Ballast => Ok(conf.to_owned()),
        Stack::Keepalived => replaced(conf, "pidof haproxy", "killall -0 haproxy"),
    }
}

/// The script, in the place that the file names; `/etc` is the machine's own otherwise.
fn install(host: &Host) -> Result<()> {
    let dir = host.dir().join("etc-keepalived");
    fs::create_dir(&dir)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
    let script = dir.join("master.sh");
    fs::write(&script, MASTER)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    host.bind_mount(&dir, "/etc/keepalived".as_ref())
}

#[test]
fn the_script_moves_the_address_once_for_each_new_master() {
    for stacks in PAIRS {
        lab::test(NEEDS, |lab| plays(&mut Cloud::start(lab, stacks)?));
    }
}

fn plays(cloud: &mut Cloud) -> Result<()> {
    cloud.wait_for_owners(&[0])?;
    ensure!(cloud.endpoint.failures() == 0, "it was not called again");
    cloud.expect_state(0, "master")?;
    cloud.expect_state(1, "backup")?;

    let killed = Instant::now();
    cloud.proxies[0] = None;
    let moved = cloud.wait_for_owners(&[0, 1])?;
    // The script's interval, a skew of 2 / 256 s, and the calls themselves.
    super::within(
        "the move",
        killed,
        moved,
        Duration::from_millis(2010) + CALLS,
    )?;
    cloud.expect_state(0, "fault")?;

    cloud.proxies[0] = Some(haproxy::start(&cloud.machines[0].host, &[])?);
    cloud.wait_for_owners(&[0, 1, 0])?;
    cloud.expect_state(1, "backup")?;

    let killed = Instant::now();
    cloud.electors[0].kill()?;
    let moved = cloud.wait_for_owners(&[0, 1, 0, 1])?;
    super::within(
        "after the kill",
        killed,
        moved,
        Duration::from_millis(3010) + CALLS,
    )?;
    cloud.electors[0].run()?;
    cloud.wait_for_owners(&[0, 1, 0, 1, 0])?;

    // And nobody calls once more.
    pause(SLACK);
    assert_eq!(cloud.owners(), [0, 1, 0, 1, 0]);
    Ok(())
}

#[test]
fn a_placeholder_for_an_address_gets_an_error_with_its_line() {
    lab::test(&[], |lab| {
        let host = lab.host("import")?;
        let conf = fixture("s3-primary")?;
        let placeholder = "primary-load-balancer-private-IP-address";
        let conf = replaced(
            &conf,
            "unicast_src_ip 10.9.0.1",
            &format!("unicast_src_ip {placeholder}"),
        )?;
        let line = conf.lines().position(|line| line.contains(placeholder));
        let line = line.context("the line")? + 1;
        let told = match import(&host, &conf) {
            Err(error) => format!("{error:#}"),
            Ok(yaml) => {
                ensure!(!yaml.contains(placeholder), "{yaml}");
                let file = host.dir().join("keepalived.conf");
                let output = host.output([
                    lb_tests::ballast::binary()?.as_os_str(),
                    "import".as_ref(),
                    file.as_os_str(),
                ])?;
                String::from_utf8_lossy(&output.stderr).into_owned()
            }
        };
        ensure!(
            told.contains(&format!("keepalived.conf:{line}:")) && told.contains(placeholder),
            "{told}"
        );
        Ok(())
    });
}

/// Two programs and two requests.
const CALLS: Duration = Duration::from_millis(300);
