//! Unsafe door: real-time scheduling and locked memory, which no crate wraps as we need them.
//!
//! A busy machine delays what runs at ordinary priority by tens of milliseconds, and a page that was
//! swapped out by more. An advert that is late by that much is a false take-over at short intervals.

/// Gives the calling thread (only it: threads and programs it starts get ordinary scheduling) a
/// real-time priority, and locks the process's memory as it is touched. Says what was refused: without
/// either, VRRP works, with less certainty at short intervals.
pub fn raise() -> Result<(), String> {
    let memory = lock();
    let scheduling = schedule();
    match (memory, scheduling) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(memory), Ok(())) => Err(format!(
            "memory is not locked ({memory}; it takes CAP_IPC_LOCK)"
        )),
        (Ok(()), Err(scheduling)) => Err(format!(
            "no real-time scheduling ({scheduling}; it takes CAP_SYS_NICE)"
        )),
        (Err(memory), Err(scheduling)) => Err(format!(
            "memory is not locked ({memory}; it takes CAP_IPC_LOCK), no real-time scheduling \
             ({scheduling}; it takes CAP_SYS_NICE)"
        )),
    }
}

#[expect(unsafe_code, reason = "nix's mlockall does not know MCL_ONFAULT")]
fn lock() -> std::io::Result<()> {
    // SAFETY: takes no pointer, and changes nothing that code can see but when pages are loaded.
    let result =
        unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

#[expect(unsafe_code, reason = "sched_setscheduler has no safe wrapper")]
fn schedule() -> std::io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: PRIORITY,
    };
    // SAFETY: the pointer is to a live, whole `sched_param`, which the call only reads.
    let result = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Above everything ordinary, below the kernel's own threads (50).
const PRIORITY: libc::c_int = 10;
