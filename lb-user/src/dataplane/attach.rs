//! Links: which interface runs the program, in which mode, and how that is handed over.
//!
//! A link is pinned, so it outlives the agent. The next agent finds the pin and replaces the link's
//! program in one step: at no time does a packet meet an interface without a program.

use std::{collections::BTreeMap, io};

use aya::programs::{
    ProgramError, XdpMode as AyaMode,
    links::{FdLink, PinnedLink},
    xdp::{XdpLink, XdpLinkId},
};

use super::{
    bpf::{Bpf, OpenError},
    pins,
};
use crate::types::{IfIndex, IfName};

/// What the configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedMode {
    /// Native where the driver can, else generic.
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the network stack.
    Generic,
}

/// How an interface got its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Attached anew, in the driver.
    Native,
    /// Attached anew, in the network stack; with the reason.
    Generic(String),
    /// An existing link was given our program; its mode is what it was.
    TakenOver,
}

/// Why an interface has no program.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Another program is attached, and it is not ours to replace.
    #[error("interface `{0}` already runs another XDP program")]
    Busy(IfName),
    /// The kernel or the driver refused.
    #[error("cannot attach XDP to `{interface}` in {mode} mode: {reason}")]
    Refused {
        /// Where.
        interface: IfName,
        /// `native` or `generic`.
        mode: &'static str,
        /// The kernel's word, with the remedy where we know one.
        reason: String,
    },
    /// The link could not be pinned.
    #[error("cannot pin the XDP link of `{interface}`: {reason}")]
    Pin {
        /// Where.
        interface: IfName,
        /// Why.
        reason: String,
    },
    /// The object.
    #[error(transparent)]
    Object(#[from] OpenError),
}

/// The links held by this agent, by interface. Dropping them detaches nothing: they are pinned.
#[derive(Debug, Default)]
pub struct Links {
    held: BTreeMap<IfIndex, Held>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for their file descriptors")]
enum Held {
    New(PinnedLink),
    TakenOver(XdpLink),
}

impl Links {
    /// Gives every interface the program of `bpf`. Interfaces that have it already are left alone.
    ///
    /// # Errors
    ///
    /// [`AttachError`] of the first interface that failed; links made by this call are gone again.
    pub fn attach(
        &mut self,
        bpf: &mut Bpf,
        interfaces: &[(IfIndex, IfName)],
        mode: WantedMode,
    ) -> Result<BTreeMap<IfIndex, How>, AttachError> {
        let mut how = BTreeMap::new();
        let mut made = Vec::new();
        for (index, name) in interfaces {
            if self.held.contains_key(index) {
                continue;
            }
            match attach_one(bpf, *index, name, mode) {
                Ok((held, way)) => {
                    if matches!(held, Held::New(_)) {
                        made.push(*index);
                    }
                    self.held.insert(*index, held);
                    how.insert(*index, way);
                }
                Err(error) => {
                    for index in made {
                        self.detach(bpf, index);
                    }
                    return Err(error);
                }
            }
        }
        Ok(how)
    }

    /// Takes the program from an interface.
    pub fn detach(&mut self, bpf: &Bpf, index: IfIndex) {
        self.held.remove(&index);
        if let Err(error) = pins::remove(&bpf.pins.link(index.get())) {
            tracing::warn!(%error, "an XDP link stays attached");
        }
    }

    /// Takes the program from every interface that has it by a pinned link but is not in `wanted`,
    /// also from those that only a predecessor knew.
    pub fn detach_others(&mut self, bpf: &Bpf, wanted: &[IfIndex]) {
        self.held.retain(|index, _| wanted.contains(index));
        for (index, path) in bpf.pins.links() {
            if !wanted.iter().any(|w| w.get() == index)
                && let Err(error) = pins::remove(&path)
            {
                tracing::warn!(%error, "an XDP link stays attached");
            }
        }
    }

    /// Gives every held interface the program that `bpf` has now.
    ///
    /// # Errors
    ///
    /// [`AttachError`]
    pub fn switch(
        &mut self,
        bpf: &mut Bpf,
        names: &[(IfIndex, IfName)],
    ) -> Result<(), AttachError> {
        for (index, name) in names {
            if let Some((held, _)) = take_over(bpf, *index, name)? {
                self.held.insert(*index, held);
            }
        }
        Ok(())
    }
}

fn attach_one(
    bpf: &mut Bpf,
    index: IfIndex,
    name: &IfName,
    mode: WantedMode,
) -> Result<(Held, How), AttachError> {
    if let Some(taken) = take_over(bpf, index, name)? {
        return Ok(taken);
    }
    let (link, how) = match mode {
        WantedMode::Native => (try_mode(bpf, index, name, AyaMode::Driver)?, How::Native),
        WantedMode::Generic => {
            let asked = "the configuration asks for it".to_owned();
            (
                try_mode(bpf, index, name, AyaMode::Skb)?,
                How::Generic(asked),
            )
        }
        WantedMode::Auto => match try_mode(bpf, index, name, AyaMode::Driver) {
            Ok(link) => (link, How::Native),
            Err(AttachError::Refused { reason, .. }) => (
                try_mode(bpf, index, name, AyaMode::Skb)?,
                How::Generic(reason),
            ),
            Err(error) => return Err(error),
        },
    };
    let path = bpf.pins.link(index.get());
    let pinned = link.pin(&path).map_err(|error| AttachError::Pin {
        interface: name.clone(),
        reason: error.to_string(),
    })?;
    Ok((Held::New(pinned), how))
}

/// Puts our program behind a link that a predecessor pinned. A link whose interface is gone is
/// removed.
fn take_over(
    bpf: &mut Bpf,
    index: IfIndex,
    name: &IfName,
) -> Result<Option<(Held, How)>, AttachError> {
    let pinned = bpf
        .pins
        .links()
        .into_iter()
        .find(|(found, _)| *found == index.get());
    let Some((_, path)) = pinned else {
        return Ok(None);
    };
    let link = PinnedLink::from_pin(&path)
        .map_err(|e| e.to_string())
        .and_then(|pinned| XdpLink::try_from(FdLink::from(pinned)).map_err(|e| e.to_string()));
    let link = match link {
        Ok(link) => link,
        Err(error) => {
            tracing::warn!(interface = %name, %error, "a pinned link cannot be used");
            return discard(name, &path);
        }
    };
    let program = bpf.program()?;
    match program.attach_to_link(link) {
        Ok(id) => {
            let link = take(program, id, name)?;
            let place = bpf.pins.link(index.get());
            if path != place {
                // Pinned under another layout: keep the link, under our path.
                std::fs::rename(&path, &place).map_err(|error| AttachError::Pin {
                    interface: name.clone(),
                    reason: error.to_string(),
                })?;
            }
            Ok(Some((Held::TakenOver(link), How::TakenOver)))
        }
        // ENOLINK: the interface the link was for is gone; the index was given again.
        Err(ProgramError::SyscallError(e)) if e.io_error.raw_os_error() == Some(libc::ENOLINK) => {
            discard(name, &path)
        }
        Err(error) => Err(refused(name, "its present", &error)),
    }
}

fn discard(name: &IfName, path: &std::path::Path) -> Result<Option<(Held, How)>, AttachError> {
    pins::remove(path).map_err(|error| AttachError::Pin {
        interface: name.clone(),
        reason: error.to_string(),
    })?;
    Ok(None)
}

fn take(
    program: &mut aya::programs::Xdp,
    id: XdpLinkId,
    name: &IfName,
) -> Result<XdpLink, AttachError> {
    program
        .take_link(id)
        .map_err(|error| refused(name, "its present", &error))
}

fn try_mode(
    bpf: &mut Bpf,
    index: IfIndex,
    name: &IfName,
    mode: AyaMode,
) -> Result<FdLink, AttachError> {
    let text = if mode == AyaMode::Driver {
        "native"
    } else {
        "generic"
    };
    let program = bpf.program()?;
    let id = program
        .attach_to_if_index(index.get(), mode)
        .map_err(|error| match &error {
            // EEXIST: one runs in the other mode.
            ProgramError::SyscallError(e)
                if matches!(e.io_error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)) =>
            {
                AttachError::Busy(name.clone())
            }
            _ => refused(name, text, &error),
        })?;
    let link = take(program, id, name)?;
    // aya falls back to netlink where the kernel refuses a link with EINVAL; such an attachment
    // would go with this process, so it is no use.
    FdLink::try_from(link).map_err(|_| AttachError::Refused {
        interface: name.clone(),
        mode: text,
        reason: "the kernel gives no BPF link for this interface".to_owned(),
    })
}

fn refused(name: &IfName, mode: &'static str, error: &ProgramError) -> AttachError {
    let reason = match error {
        ProgramError::SyscallError(e) => explain(&e.io_error),
        other => other.to_string(),
    };
    AttachError::Refused {
        interface: name.clone(),
        mode,
        reason,
    }
}

/// What drivers mean by their error numbers.
fn explain(error: &io::Error) -> String {
    let hint = match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => "the driver has no native XDP",
        Some(libc::EINVAL | libc::ERANGE) => {
            "the driver cannot with the present settings; try an MTU of at most 3506 and fewer queues"
        }
        Some(libc::ENOMEM) => "the driver has no memory for it",
        Some(libc::ENODEV) => "the interface is gone",
        Some(libc::EPERM) => "not permitted: needs CAP_NET_ADMIN",
        _ => return error.to_string(),
    };
    format!("{hint} ({error})")
}
