//! Packet logging (`--trace-packets`): hands the program's log records to the agent's log.

use anyhow::Context as _;
use aya_log::EbpfLogger;

use crate::dataplane::bpf::Bpf;

/// Reads the ring that the logging build writes to.
pub(super) struct Reader(EbpfLogger<&'static dyn log::Log>);

impl Reader {
    /// `None` unless packets are to be logged.
    pub(super) fn open(bpf: &mut Bpf, wanted: bool) -> anyhow::Result<Option<Self>> {
        if !wanted {
            return Ok(None);
        }
        let logger = bpf
            .logger()
            .context("the logging build of the XDP program has no log ring")?;
        tracing::warn!("packets are being logged; this costs forwarding rate");
        Ok(Some(Self(logger)))
    }

    /// Passes on what has come in.
    pub(super) fn flush(&mut self) {
        self.0.flush();
    }
}
