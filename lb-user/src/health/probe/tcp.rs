//! A TCP check: somebody accepts.

use std::time::Duration;

use tokio::time::Instant;

use super::{failure::Failure, socket};
use crate::health::{target::Target, text::Text};

/// Connects, and says goodbye with a reset: no port of ours waits out TIME_WAIT, and most servers are never bothered with it.
pub(super) async fn attempt(target: &Target, deadline: Instant) -> Result<Text, Failure> {
    let stream = socket::connect(target, deadline).await?;
    // Without it, the connection is closed in the usual way, which is as good an answer.
    drop(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
    Ok(Text::new("connected"))
}
