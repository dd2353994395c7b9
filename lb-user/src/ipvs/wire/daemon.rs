//! `IPVS_CMD_ATTR_DAEMON`: a thread that copies connections.

use super::{
    Malformed,
    attribute::{self, all, put as put_attribute, put_text},
};
use crate::ipvs::table::{SyncDaemon, SyncRole};

pub(super) fn put(out: &mut Vec<u8>, daemon: &SyncDaemon) {
    let state: u32 = match daemon.role {
        SyncRole::Send => MASTER,
        SyncRole::Receive => BACKUP,
    };
    put_attribute(out, STATE, &state.to_ne_bytes());
    put_text(out, MCAST_IFN, &daemon.interface);
    put_attribute(out, SYNC_ID, &daemon.id.to_ne_bytes());
}

pub(super) fn decode(value: &[u8]) -> Result<SyncDaemon, Malformed> {
    let (mut role, mut interface, mut id) = (None, None, None);
    for one in all(value) {
        let (kind, value) = one?;
        match kind {
            STATE => {
                role = match attribute::u32(value)? {
                    MASTER => Some(SyncRole::Send),
                    BACKUP => Some(SyncRole::Receive),
                    _ => None,
                }
            }
            MCAST_IFN => interface = Some(attribute::text(value)?),
            SYNC_ID => id = Some(attribute::u32(value)?),
            _ => {}
        }
    }
    Ok(SyncDaemon {
        role: role.ok_or(Malformed::Missing)?,
        interface: interface.ok_or(Malformed::Missing)?,
        id: id.ok_or(Malformed::Missing)?,
    })
}

const STATE: u16 = 1;
const MCAST_IFN: u16 = 2;
const SYNC_ID: u16 = 3;
/// `IP_VS_STATE_MASTER`
const MASTER: u32 = 1;
/// `IP_VS_STATE_BACKUP`
const BACKUP: u32 = 2;
