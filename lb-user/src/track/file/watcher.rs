//! Hears of changes to one file, through its directory.

use std::{
    ffi::OsString,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::exec::Readable;

/// A watch on the directory of a file, where the kernel has one to give.
pub(super) struct Watcher {
    directory: PathBuf,
    name: Option<OsString>,
    ears: Option<Ears>,
}

struct Ears {
    inotify: Inotify,
    /// A second descriptor of it, for the runtime.
    readable: Readable,
    directory: Option<WatchDescriptor>,
}

impl Watcher {
    pub(super) fn new(path: &Path) -> Self {
        let ears = Ears::new();
        if let Err(error) = &ears {
            tracing::warn!(file = %path.display(), %error, "changes to the file are noticed within a second only");
        }
        Self {
            directory: path.parent().unwrap_or(path).to_owned(),
            name: path.file_name().map(ToOwned::to_owned),
            ears: ears.ok(),
        }
    }

    /// Watches what is at the directory's path now; nothing new if that is what is watched already.
    pub(super) fn arm(&mut self) {
        let Some(ears) = &mut self.ears else {
            return;
        };
        let added = ears.inotify.add_watch(&self.directory, changes()).ok();
        if let Some(old) = ears.directory
            && added != Some(old)
        {
            // It is another directory now. That the old one may be gone, and its watch with it, is fine.
            ears.inotify.rm_watch(old).ok();
        }
        ears.directory = added;
    }

    /// Waits until something happened to the file. Cancel safe.
    pub(super) async fn changed(&self) {
        let Some(ears) = &self.ears else {
            return std::future::pending().await;
        };
        loop {
            let events = ears
                .readable
                .read(|_| ears.inotify.read_events().map_err(io::Error::from));
            match events.await {
                Ok(events) if !events.iter().any(|event| self.concerns(event)) => {}
                Ok(_) => return,
                // The runtime is going away.
                Err(_) => return std::future::pending().await,
            }
        }
    }

    /// Without a name it is about the directory, or about lost events.
    fn concerns(&self, event: &InotifyEvent) -> bool {
        event.name.is_none() || event.name == self.name
    }
}

impl Ears {
    fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let readable = Readable::new(inotify.as_fd().try_clone_to_owned()?)?;
        Ok(Self {
            inotify,
            readable,
            directory: None,
        })
    }
}

fn changes() -> AddWatchFlags {
    AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVE
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
}
