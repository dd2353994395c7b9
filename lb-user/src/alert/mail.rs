//! By mail, to a relay that takes it without password and encryption (RFC 5321), as keepalived does.

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::extension::ClientId,
};
use tokio::time::timeout;

use super::{
    text::Message,
    worker::{Deliver, Failure},
};
use crate::config::model::Smtp;

#[derive(Debug)]
pub(super) struct Mail;

impl Deliver for Mail {
    type Target = Smtp;

    async fn deliver(node: String, target: Smtp, message: Message) -> Result<(), Failure> {
        let mail = mail(&node, &target, message)?;
        let mut relay = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&target.host)
            .port(target.port)
            .timeout(Some(target.timeout));
        if let Some(name) = domain(&node) {
            relay = relay.hello_name(ClientId::Domain(name));
        }
        let relay = relay.build();
        // The one limit for everything: the transport's is for each step.
        match timeout(target.timeout, relay.send(mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure(&target, &chain(&error))),
            Err(_) => Err(failure(&target, "timed out")),
        }
    }
}

fn mail(node: &str, target: &Smtp, message: Message) -> Result<lettre::Message, Failure> {
    let bad = |error: &dyn std::error::Error| Failure::new(&chain(error), true);
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|error| Failure::new(&format!("`{text}` is no mail address: {error}"), true))
    };
    let from = Mailbox::new(Some(format!("Ballast on {node}")), address(&target.from)?);
    let mut mail = lettre::Message::builder()
        .from(from)
        .subject(message.subject)
        .date_now()
        .message_id(None)
        // Nobody's holiday is to be answered with (RFC 3834).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .header(ContentType::TEXT_PLAIN);
    for to in &target.to {
        mail = mail.to(Mailbox::new(None, address(to)?));
    }
    mail.body(message.body).map_err(|error| bad(&error))
}

/// The node's name, where it can be a host's; else lettre says an address.
fn domain(node: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    (!node.is_empty() && node.chars().all(fits)).then(|| node.to_owned())
}

fn failure(target: &Smtp, reason: &str) -> Failure {
    let (host, port) = (&target.host, target.port);
    Failure::new(&format!("{host} port {port}: {reason}"), true)
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
