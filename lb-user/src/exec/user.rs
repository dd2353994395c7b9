//! Whom a program runs as.

use std::{
    ffi::CString,
    os::unix::ffi::OsStrExt as _,
    sync::{Arc, OnceLock},
};

use nix::{
    errno::Errno,
    unistd::{self, Gid, Uid},
};

/// A user by name, or by the number of a user who has one. Looked up when first needed and then remembered, by all clones: a user
/// database that fails later does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: String,
    account: Arc<OnceLock<Account>>,
}

/// What the user database says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
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
    pub errno: Option<Errno>,
}

impl User {
    /// Looks nothing up.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            account: Arc::default(),
        }
    }

    /// Whether there is such a user. Blocks: the user database may be on the network.
    ///
    /// # Errors
    /// [`NoSuchUser`].
    pub fn check(&self) -> Result<(), NoSuchUser> {
        self.account().map(|_| ())
    }

    /// The same, with the answer.
    pub(super) fn account(&self) -> Result<&Account, NoSuchUser> {
        match self.account.get() {
            Some(account) => Ok(account),
            None => {
                let account = Account::lookup(&self.name)?;
                Ok(self.account.get_or_init(|| account))
            }
        }
    }
}

impl Account {
    fn lookup(name: &str) -> Result<Self, NoSuchUser> {
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
            home: text(user.dir.as_os_str().as_bytes())?,
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

fn because(errno: Option<Errno>) -> String {
    errno.map_or_else(String::new, |errno| format!(" ({})", errno.desc()))
}
