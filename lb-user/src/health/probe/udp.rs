//! A UDP check: a datagram, and what comes back.

use socket2::{Protocol, Type};
use tokio::time::{Instant, timeout_at};

use super::{
    failure::{Failure, by},
    socket,
};
use crate::{
    config::model::Payload,
    health::{target::Target, text::Text},
};

/// Sends `payload`. With `reply`, the answer must begin with it; without, any answer is good, and so is silence until the deadline:
/// only "unreachable" tells a closed port from a server with nothing to say.
pub(super) async fn attempt(
    target: &Target,
    payload: &[u8],
    reply: Option<&Payload>,
    deadline: Instant,
) -> Result<Text, Failure> {
    let socket = socket::datagram(target, Type::DGRAM, Protocol::UDP)
        .map_err(|error| Failure::ours("no socket", &error))?;
    by(deadline, "cannot send", socket.send(payload))
        .await?
        .map_err(|error| Failure::of("cannot send", &error))?;
    let mut answer = [0; ANSWER];
    let received = match reply {
        Some(_) => by(deadline, "no answer", socket.recv(&mut answer)).await?,
        None => match timeout_at(deadline, socket.recv(&mut answer)).await {
            Ok(received) => received,
            Err(_) => return Ok(Text::new("sent, nothing came back")),
        },
    };
    let length = received.map_err(|error| Failure::of("no answer", &error))?;
    let answer = &answer[..length];
    match reply {
        Some(wanted) if !answer.starts_with(&wanted.0) => Err(Failure::theirs(format_args!(
            "expected an answer with another start than \"{}\"",
            Text::from_bytes(&answer[..length.min(SHOWN)])
        ))),
        _ => Ok(Text::new(format_args!("{length} bytes came back"))),
    }
}

/// Bytes of an answer that are looked at: more than any `reply` has.
const ANSWER: usize = 2048;
/// Bytes of an answer that are shown.
const SHOWN: usize = 60;
