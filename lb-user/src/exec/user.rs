//! Whom a program runs as.

use std::ffi::CString;

use nix::unistd::{self, Gid, Uid};

/// A user with all groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub(super) name: CString,
    pub(super) home: CString,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

/// There is no such user, or the user database cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no user `{name}`{}, create it with `useradd --system {name}` or name another", because(*errno))]
pub struct NoSuchUser {
    /// As it was asked for.
    pub name: String,
    /// The reason, if it is another than that nobody has this name.
    pub errno: Option<nix::errno::Errno>,
}

impl User {
    /// By name, or by the number of a user who has one. Blocks: the user database may be on the network.
    ///
    /// # Errors
    /// [`NoSuchUser`].
    pub fn lookup(name: &str) -> Result<Self, NoSuchUser> {
        let failed = |errno| NoSuchUser {
            name: name.to_owned(),
            errno,
        };
        let found = match (unistd::User::from_name(name), name.parse()) {
            (Ok(None), Ok(uid)) => unistd::User::from_uid(Uid::from_raw(uid)),
            (found, _) => found,
        };
        let user = found
            .map_err(|errno| failed(Some(errno)))?
            .ok_or_else(|| failed(None))?;
        // The C library gave both, so neither has a NUL byte.
        let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| failed(None));
        let login = text(user.name.as_bytes())?;
        let groups = unistd::getgrouplist(&login, user.gid).map_err(|errno| failed(Some(errno)))?;
        Ok(Self {
            name: login,
            home: text(std::os::unix::ffi::OsStrExt::as_bytes(user.dir.as_os_str()))?,
            uid: user.uid,
            gid: user.gid,
            groups,
        })
    }

    /// Whether the agent is this user already.
    pub(super) fn is_us(&self) -> bool {
        unistd::geteuid() == self.uid && unistd::getuid() == self.uid
    }
}

fn because(errno: Option<nix::errno::Errno>) -> String {
    errno.map_or_else(String::new, |errno| format!(" ({})", errno.desc()))
}
