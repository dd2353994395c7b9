//! A DNS check: a question over UDP has an answer.

use hickory_proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::{Name, RecordType},
};
use socket2::{Protocol, Type};
use tokio::time::Instant;

use super::{
    failure::{Failure, by},
    socket,
};
use crate::{
    config::model::DnsType,
    health::{
        target::{DnsQuestion, Target},
        text::Text,
    },
};

#[cfg(test)]
mod tests;

/// Asks once. Good is NOERROR with a record of the type asked for (or an answer cut off, which has some).
pub(super) async fn attempt(
    target: &Target,
    question: &DnsQuestion,
    deadline: Instant,
) -> Result<Text, Failure> {
    let query = query(question)?;
    let bytes = query
        .to_vec()
        .map_err(|error| Failure::Ours(Text::new(format_args!("cannot be asked: {error}"))))?;
    let socket = socket::datagram(target, Type::DGRAM, Protocol::UDP)
        .map_err(|error| Failure::ours("no socket", &error))?;
    by(deadline, "cannot send", socket.send(&bytes))
        .await?
        .map_err(|error| Failure::of("cannot send", &error))?;
    let mut answer = [0; ANSWER];
    loop {
        let length = by(deadline, "no answer", socket.recv(&mut answer))
            .await?
            .map_err(|error| Failure::of("no answer", &error))?;
        let message = Message::from_vec(&answer[..length])
            .map_err(|error| Failure::theirs(format_args!("the answer is no DNS: {error}")))?;
        // Not to our question: perhaps to one from a port that is ours now.
        if message.metadata.id == query.metadata.id {
            return judge(&message, &query);
        }
    }
}

fn query(question: &DnsQuestion) -> Result<Message, Failure> {
    let mut name = Name::from_utf8(&question.name).map_err(|error| {
        let text = format!("{} is no domain name: {error}", question.name);
        Failure::Ours(Text::new(text))
    })?;
    // As it comes back.
    name.set_fqdn(true);
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name, record_type(question.record)));
    Ok(query)
}

fn judge(answer: &Message, query: &Message) -> Result<Text, Failure> {
    if answer.metadata.message_type != MessageType::Response || answer.queries != query.queries {
        return Err(Failure::theirs("the answer is to another question"));
    }
    let code = answer.metadata.response_code;
    if code != ResponseCode::NoError {
        return Err(Failure::theirs(code));
    }
    if answer.metadata.truncation {
        return Ok(Text::new("an answer too long for UDP"));
    }
    let wanted = query.queries.first().map(Query::query_type);
    let records = answer
        .answers
        .iter()
        .filter(|record| Some(record.record_type()) == wanted)
        .count();
    match records {
        0 => Err(Failure::theirs("the answer has no such record")),
        1 => Ok(Text::new("1 record")),
        records => Ok(Text::new(format_args!("{records} records"))),
    }
}

fn record_type(record: DnsType) -> RecordType {
    match record {
        DnsType::A => RecordType::A,
        DnsType::Aaaa => RecordType::AAAA,
        DnsType::Cname => RecordType::CNAME,
        DnsType::Mx => RecordType::MX,
        DnsType::Ns => RecordType::NS,
        DnsType::Soa => RecordType::SOA,
        DnsType::Txt => RecordType::TXT,
    }
}

/// Bytes of an answer: without EDNS, a server sends 512.
const ANSWER: usize = 4096;
