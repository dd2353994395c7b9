//! `ballast realserver down`.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    Changes, Places,
    facts::{Facts, FactsError},
    kernel,
    program::{self, Program, ProgramFailure},
    record::{Kept, RecordError, Tunnel},
    sysctl,
};
use crate::net::{Net, chain};

/// Why not everything was undone.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// This host could not be looked at.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Some of it stays on record; the same command tries it again.
    #[error("not everything was undone: {}", .0.join("; "))]
    Left(Vec<String>),
}

/// Undoes what [`up`](super::up()) did for `vips`, or for all where none is named. What several
/// addresses share goes with the last of them.
///
/// # Errors
/// [`DownError`]
pub async fn down(net: &Net, places: &Places, vips: &[IpAddr]) -> Result<Changes, DownError> {
    let facts = Facts::read(net).await?;
    let mut down = Down {
        net,
        places,
        kept: Kept::open(&places.runtime_dir)?,
        changes: Changes::default(),
        failures: Vec::new(),
    };
    let wanted = down.wanted(&facts, vips);
    let result = down.all(&facts, &wanted).await;
    down.kept.close();
    result?;
    if down.failures.is_empty() {
        Ok(down.changes)
    } else {
        Err(DownError::Left(down.failures))
    }
}

struct Down<'a> {
    net: &'a Net,
    places: &'a Places,
    kept: Kept,
    changes: Changes,
    failures: Vec<String>,
}

impl Down<'_> {
    /// Those that are up, by the record or by their mark: a record can be lost.
    fn wanted(&self, facts: &Facts, vips: &[IpAddr]) -> BTreeSet<IpAddr> {
        let marked = facts.loopback.iter().filter(|address| address.marked);
        let up = self.kept.record.vips.keys().copied();
        up.chain(marked.map(|address| address.address))
            .filter(|vip| vips.is_empty() || vips.contains(vip))
            .collect()
    }

    /// The addresses first: nothing else may speak of them when the silence ends.
    async fn all(&mut self, facts: &Facts, vips: &BTreeSet<IpAddr>) -> Result<(), DownError> {
        for vip in vips {
            self.address(facts, *vip).await?;
        }
        if !self.kept.record.has_tunnels() {
            self.tunnel().await?;
        } else if self.kept.record.tunnel == Some(Tunnel::Xdp)
            && let Err(error) = self.forget(vips)
        {
            self.failures.push(chain(&error));
        }
        if self.kept.record.vips.is_empty() {
            self.sysctls()?;
        }
        Ok(())
    }

    async fn address(&mut self, facts: &Facts, vip: IpAddr) -> Result<(), DownError> {
        let marked = facts
            .on_loopback(vip)
            .is_some_and(|found| found.marked && found.is_single());
        if marked {
            match self.net.remove_from_loopback(vip).await {
                Ok(removed) if removed => {
                    self.changes.changes.push(format!("removed {vip} from lo"));
                }
                Ok(_) => {}
                Err(error) => {
                    self.failures.push(chain(&error));
                    return Ok(());
                }
            }
        } else if facts.on_loopback(vip).is_some() {
            self.changes
                .remarks
                .push(format!("{vip} stays on lo: it was not added by us"));
        }
        self.kept.record.vips.remove(&vip);
        self.kept.save()?;
        Ok(())
    }

    /// Others still come by tunnel: these no more.
    fn forget(&mut self, vips: &BTreeSet<IpAddr>) -> Result<(), ProgramFailure> {
        let root = &self.places.bpffs_dir;
        let Some(seen) = program::look(root) else {
            return Ok(());
        };
        let mut contents = seen.contents;
        contents.vips.retain(|vip| !vips.contains(vip));
        Program::open(root)?.set(&contents)
    }

    async fn tunnel(&mut self) -> Result<(), DownError> {
        match program::remove(&self.places.bpffs_dir) {
            Ok(true) => self
                .changes
                .changes
                .push("detached the decapsulation program".to_owned()),
            Ok(false) => {}
            Err(error) => {
                self.failures.push(chain(&error));
                return Ok(());
            }
        }
        if let Some(Tunnel::Kernel(mut devices)) = self.kept.record.tunnel.take() {
            let done = &mut self.changes.changes;
            let failures = kernel::undo(self.net, &mut devices, done).await;
            if !failures.is_empty() {
                self.failures.extend(failures);
                self.kept.record.tunnel = Some(Tunnel::Kernel(devices));
            }
        }
        Ok(self.kept.save()?)
    }

    fn sysctls(&mut self) -> Result<(), DownError> {
        let mut left = Vec::new();
        for change in std::mem::take(&mut self.kept.record.sysctls)
            .into_iter()
            .rev()
        {
            let name = sysctl::shown(&change.key);
            match sysctl::read(&change.key) {
                // The interface is gone, or the change never came.
                None => {}
                Some(is) if is == change.before => {}
                Some(is) if is != change.after => self.changes.remarks.push(format!(
                    "{name} stays {is}: somebody changed it after us (it was {} before)",
                    change.before
                )),
                Some(is) => match sysctl::write(&change.key, change.before) {
                    Ok(()) => {
                        let line = format!("{name}: {is} -> {}", change.before);
                        self.changes.changes.push(line);
                    }
                    Err(error) => {
                        self.failures.push(format!("cannot set `{name}`: {error}"));
                        left.push(change);
                    }
                },
            }
        }
        left.reverse();
        self.kept.record.sysctls = left;
        Ok(self.kept.save()?)
    }
}
