//! `ballast realserver up`.

use std::{collections::BTreeSet, io, net::IpAddr};

use super::{
    Changes, Decapsulation, Places, TunnelRefused, Wish,
    balancer::{self, Balancer},
    facts::{Facts, FactsError},
    kernel,
    program::{self, Contents, Program, ProgramFailure},
    record::{Change, Devices, Kept, RecordError, Tunnel, Vip},
    sysctl,
};
use crate::{
    net::{Net, address::AddressError, tunnel::TunnelError},
    types::{IfIndex, IfName},
};

/// Why this host did not become a real server. What was done before is on record: `down` undoes it.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// It is a balancer.
    #[error(transparent)]
    Balancer(#[from] Balancer),
    /// It could not be looked at.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The address makes others local, too.
    #[error(
        "`{address}/{prefix}` is on lo, which makes its whole network local to this host; remove it \
         with `ip address del {address}/{prefix} dev lo`"
    )]
    Wide {
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
    },
    /// An address no real server can serve.
    #[error("`{0}` is no virtual address")]
    NoVip(IpAddr),
    /// A setting.
    #[error("cannot set `{key}` to {value}")]
    Sysctl {
        /// Its name.
        key: String,
        /// What to.
        value: i64,
        /// Why.
        source: io::Error,
    },
    /// The tunnel's end.
    #[error(transparent)]
    Tunnel(#[from] TunnelRefused),
    /// Our own.
    #[error(transparent)]
    Program(#[from] ProgramFailure),
    /// The address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The record.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl UpError {
    /// Whether it came after the first change.
    #[must_use]
    pub fn left_something(&self) -> bool {
        match self {
            Self::Balancer(_) | Self::Facts(_) | Self::Wide { .. } | Self::NoVip(_) => false,
            Self::Tunnel(refused) => matches!(refused, TunnelRefused::Kernel(_)),
            Self::Program(failure) => !matches!(failure, ProgramFailure::Busy(_)),
            Self::Sysctl { .. } | Self::Address(_) | Self::Record(_) => true,
        }
    }
}

/// Makes this host a real server of `wish.vips`, besides those it serves already. Done twice, it does
/// nothing.
///
/// # Errors
/// [`UpError`]
pub async fn up(net: &Net, places: &Places, wish: &Wish) -> Result<Changes, UpError> {
    let facts = Facts::read(net).await?;
    let arrivals = facts.arrivals(&wish.interfaces)?;
    check_addresses(&facts, wish)?;
    balancer::refuse(places, &facts, &wish.vips)?;
    let mut up = Up {
        net,
        places,
        wish,
        facts,
        arrivals,
        kept: Kept::open(&places.runtime_dir)?,
        changes: Changes::default(),
    };
    let result = up.all().await;
    up.kept.close();
    result.map(|()| up.changes)
}

fn check_addresses(facts: &Facts, wish: &Wish) -> Result<(), UpError> {
    for vip in &wish.vips {
        if vip.is_loopback() || vip.is_unspecified() || vip.is_multicast() {
            return Err(UpError::NoVip(*vip));
        }
        if let Some(found) = facts.on_loopback(*vip)
            && !found.is_single()
        {
            return Err(UpError::Wide {
                address: *vip,
                prefix: found.prefix,
            });
        }
    }
    match wish.sources.iter().find(|net| net.prefix_len() == 0) {
        Some(everybody) => Err(TunnelRefused::Everybody(*everybody).into()),
        None => Ok(()),
    }
}

struct Up<'a> {
    net: &'a Net,
    places: &'a Places,
    wish: &'a Wish,
    facts: Facts,
    arrivals: Vec<(IfIndex, IfName)>,
    kept: Kept,
    changes: Changes,
}

impl Up<'_> {
    /// Silence first: an address that is there before it is announced to nobody.
    async fn all(&mut self) -> Result<(), UpError> {
        if self.wish.tunnel {
            self.tunnel().await?;
        }
        if self.wish.vips.iter().any(IpAddr::is_ipv4) {
            self.sysctls()?;
        }
        for vip in &self.wish.vips {
            self.address(*vip).await?;
        }
        Ok(())
    }

    fn sysctls(&mut self) -> Result<(), UpError> {
        let interfaces: Vec<_> = self.arrivals.iter().map(|(_, name)| name.clone()).collect();
        for wanted in sysctl::wanted(&sysctl::read, &interfaces) {
            let (Some(before), Some(after)) = (wanted.is, wanted.becomes) else {
                continue;
            };
            self.set(&wanted.key, before, after)?;
        }
        Ok(())
    }

    /// Changes a setting that is on record before.
    fn set(&mut self, key: &str, before: i64, after: i64) -> Result<(), UpError> {
        let known = &mut self.kept.record.sysctls;
        match known.iter_mut().find(|change| change.key == key) {
            // Somebody set it back: what was there at first is still what to leave behind.
            Some(change) => change.after = after,
            None => known.push(Change {
                key: key.to_owned(),
                before,
                after,
            }),
        }
        self.kept.save()?;
        let name = sysctl::shown(key);
        let refused = |source| UpError::Sysctl {
            key: sysctl::shown(key),
            value: after,
            source,
        };
        sysctl::write(key, after).map_err(refused)?;
        self.changes
            .changes
            .push(format!("{name}: {before} -> {after}"));
        Ok(())
    }

    async fn address(&mut self, vip: IpAddr) -> Result<(), UpError> {
        let there = self.facts.on_loopback(vip).is_some();
        let known = self.kept.record.vips.get(&vip).copied();
        let entry = Vip {
            tunnel: self.wish.tunnel || known.is_some_and(|known| known.tunnel),
        };
        if known != Some(entry) {
            self.kept.record.vips.insert(vip, entry);
            self.kept.save()?;
        }
        if !there && self.net.add_to_loopback(vip).await? {
            self.changes.changes.push(format!("added {vip} to lo"));
        }
        Ok(())
    }

    /// All addresses that come by tunnel, with those wished for.
    fn tunnelled(&self) -> BTreeSet<IpAddr> {
        let known = self.kept.record.vips.iter();
        let known = known.filter(|(_, vip)| vip.tunnel).map(|(vip, _)| *vip);
        known.chain(self.wish.vips.iter().copied()).collect()
    }

    async fn tunnel(&mut self) -> Result<(), UpError> {
        match (&self.kept.record.tunnel, self.wish.decapsulation) {
            (Some(Tunnel::Xdp), Decapsulation::Kernel) => {
                Err(TunnelRefused::Other("in the XDP program").into())
            }
            (Some(Tunnel::Kernel(_)), Decapsulation::Xdp) => {
                Err(TunnelRefused::Other("in devices of the kernel").into())
            }
            (Some(Tunnel::Xdp), _) | (None, Decapsulation::Xdp) => self.own(),
            (Some(Tunnel::Kernel(devices)), _) => {
                let devices = devices.clone();
                self.kernel(devices).await
            }
            (None, Decapsulation::Kernel) => self.kernel(Devices::default()).await,
            (None, Decapsulation::Auto) => self.either().await,
        }
    }

    async fn either(&mut self) -> Result<(), UpError> {
        if !kernel::can_name(&self.wish.sources) {
            return self.own();
        }
        if let Some(is) = kernel::refused_by_all()
            && self.tunnelled().iter().any(IpAddr::is_ipv4)
            && !self.wish.sources.is_empty()
        {
            self.changes.remarks.push(format!(
                "net.ipv4.conf.all.rp_filter is {is}: our own program unwraps, not the kernel's devices"
            ));
            return self.own();
        }
        match self.kernel(Devices::default()).await {
            Err(UpError::Tunnel(TunnelRefused::Kernel(TunnelError::NoDriver(kind)))) => {
                // What was made of the other kinds goes again.
                if let Some(Tunnel::Kernel(mut devices)) = self.kept.record.tunnel.take() {
                    kernel::undo(self.net, &mut devices, &mut self.changes.changes).await;
                }
                self.changes.changes.clear();
                self.kept.save()?;
                let name = kind.name();
                self.changes.remarks.push(format!(
                    "this kernel has no {name} devices; our own program unwraps"
                ));
                self.own()
            }
            other => other,
        }
    }

    async fn kernel(&mut self, mut devices: Devices) -> Result<(), UpError> {
        let vips = self.tunnelled();
        if let Some(is) = kernel::refused_by_all()
            && vips.iter().any(IpAddr::is_ipv4)
        {
            return Err(TunnelRefused::ReversePath(is).into());
        }
        if !self.wish.sources.is_empty() && devices.sources != self.wish.sources {
            if !kernel::can_name(&self.wish.sources) {
                return Err(TunnelRefused::NoPrefixes.into());
            }
            // Names count the balancers: another list has other names.
            let failures = kernel::undo(self.net, &mut devices, &mut self.changes.changes).await;
            self.changes.remarks.extend(failures);
            devices.sources.clone_from(&self.wish.sources);
        }
        kernel::plan(&self.facts, &vips, &mut devices);
        self.kept.record.tunnel = Some(Tunnel::Kernel(devices.clone()));
        self.kept.save()?;
        // Devices that are there already keep their settings when we are gone.
        for name in &devices.raised {
            let key = sysctl::rp_filter(name);
            if let Some(is) = sysctl::read(&key).filter(|is| *is != 0) {
                self.set(&key, is, 0)?;
            }
        }
        let done = &mut self.changes.changes;
        kernel::ensure(self.net, &self.facts, &vips, &devices, done)
            .await
            .map_err(TunnelRefused::Kernel)?;
        Ok(())
    }

    fn own(&mut self) -> Result<(), UpError> {
        let root = &self.places.bpffs_dir;
        let before = program::look(root).unwrap_or_default();
        let sources = if self.wish.sources.is_empty() {
            before.contents.sources.clone()
        } else {
            self.wish.sources.iter().map(ipnet::IpNet::trunc).collect()
        };
        if sources.is_empty() {
            return Err(TunnelRefused::NoSources.into());
        }
        for (index, name) in &self.arrivals {
            if !program::is_free(root, *index) {
                return Err(ProgramFailure::Busy(name.clone()).into());
            }
        }
        self.kept.record.tunnel = Some(Tunnel::Xdp);
        self.kept.save()?;
        let vips = self.tunnelled();
        let mut hosts = self.facts.hosts();
        hosts.retain(|host| !vips.contains(host));
        let contents = Contents {
            hosts,
            vips,
            sources,
        };
        let mut program = Program::open(root)?;
        program.set(&contents)?;
        for name in program.attach(&self.arrivals)? {
            self.changes
                .changes
                .push(format!("attached the decapsulation program to {name}"));
        }
        self.note_tables(&before.contents, &contents);
        Ok(())
    }

    fn note_tables(&mut self, before: &Contents, after: &Contents) {
        let done = &mut self.changes.changes;
        for net in after.sources.difference(&before.sources) {
            done.push(format!("tunnelled packets from {net} are taken"));
        }
        for net in before.sources.difference(&after.sources) {
            done.push(format!("tunnelled packets from {net} are refused"));
        }
        for vip in after.vips.difference(&before.vips) {
            done.push(format!("tunnelled packets for {vip} are unwrapped"));
        }
        if before.hosts != after.hosts && !before.hosts.is_empty() {
            done.push("this host's addresses were read again".to_owned());
        }
    }
}
