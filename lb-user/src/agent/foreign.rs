//! Programs of others: an interface that has one is left alone, and the operator is told which.

use aya::programs::loaded_programs;

use super::hops::Interface;
use crate::{dataplane::attach::AttachError, net};

/// An interface runs somebody else's program.
#[derive(Debug, thiserror::Error)]
#[error(
    "interface `{interface}` already runs another XDP program (id {id}{}); detach it with \
     `ip link set dev {interface} xdp off` or remove its link",
    .name.as_ref().map(|name| format!(", name {name}")).unwrap_or_default()
)]
struct Foreign {
    interface: String,
    id: u32,
    name: Option<String>,
}

/// Says which program keeps ours off an interface, where that is the error.
pub(super) fn named(error: AttachError, interfaces: &[Interface]) -> anyhow::Error {
    match &error {
        AttachError::Busy(busy) => match foreign(busy.as_str(), interfaces) {
            Some(foreign) => foreign.into(),
            None => error.into(),
        },
        _ => error.into(),
    }
}

fn foreign(busy: &str, interfaces: &[Interface]) -> Option<Foreign> {
    let interface = interfaces.iter().find(|i| i.name.as_str() == busy)?;
    let id = net::xdp_attachment(interface.index).ok()??.program?;
    Some(Foreign {
        interface: busy.to_owned(),
        id,
        name: program_name(id),
    })
}

/// The name of a loaded program, where the kernel lets us look (it wants CAP_SYS_ADMIN).
pub(crate) fn program_name(id: u32) -> Option<String> {
    let program = loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)?;
    program
        .name_as_str()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}
