//! A connection and the conversation over it, in one future.

use std::{
    future::{Future, poll_fn},
    pin::pin,
};

/// Runs `conversation`, and `connection` as long as there is one: no task of its own that could outlive the attempt. What went wrong
/// with the connection, the conversation hears.
pub(super) async fn drive<T>(connection: impl Future, conversation: impl Future<Output = T>) -> T {
    let mut connection = pin!(connection);
    let mut conversation = pin!(conversation);
    let mut open = true;
    poll_fn(|cx| {
        open = open && connection.as_mut().poll(cx).is_pending();
        conversation.as_mut().poll(cx)
    })
    .await
}
