use hickory_proto::rr::{RData, Record, rdata};

use super::*;

fn asked() -> Message {
    query(&DnsQuestion {
        name: "www.example.com".to_owned(),
        record: DnsType::A,
    })
    .unwrap()
}

fn answer(to: &Message) -> Message {
    let mut answer = Message::response(to.metadata.id, to.metadata.op_code);
    answer.add_queries(to.queries.clone());
    answer
}

fn address(to: &Message) -> Record {
    let name = to.queries[0].name().clone();
    Record::from_rdata(name, 60, RData::A(rdata::A::new(192, 0, 2, 1)))
}

#[test]
fn a_record_of_the_type_is_good() {
    let query = asked();
    let mut message = answer(&query);
    message.add_answer(address(&query));
    assert_eq!(judge(&message, &query), Ok(Text::new("1 record")));
}

#[test]
fn an_alias_that_leads_nowhere_is_bad() {
    let query = asked();
    let mut message = answer(&query);
    let alias = RData::CNAME(rdata::CNAME(Name::from_ascii("a.example").unwrap()));
    message.add_answer(Record::from_rdata(
        query.queries[0].name().clone(),
        60,
        alias,
    ));
    assert_eq!(
        judge(&message, &query),
        Err(Failure::theirs("the answer has no such record"))
    );
}

#[test]
fn an_error_code_is_named() {
    let query = asked();
    let mut message = answer(&query);
    message.metadata.response_code = ResponseCode::ServFail;
    let Err(Failure::Theirs(text)) = judge(&message, &query) else {
        panic!("SERVFAIL is bad")
    };
    assert_eq!(text.as_str(), "Server Failure");
}

#[test]
fn a_cut_answer_is_good() {
    let query = asked();
    let mut message = answer(&query);
    message.metadata.truncation = true;
    assert!(judge(&message, &query).is_ok());
}

#[test]
fn an_echo_of_the_question_is_bad() {
    let query = asked();
    assert!(judge(&query, &query).is_err());
    let mut other = answer(&query);
    other.queries[0].set_query_type(RecordType::MX);
    assert!(judge(&other, &query).is_err());
}
