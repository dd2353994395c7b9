//! What is answered to which request.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{self, HeaderValue},
};

use super::source::{Source, Unavailable};
use crate::observe::prometheus::{self, Form};

type Answer = Response<Full<Bytes>>;

/// Never an error: that is an answer, too.
pub(super) async fn respond(
    request: Request<Incoming>,
    source: &Source,
) -> Result<Answer, Infallible> {
    let page = match request.uri().path() {
        "/metrics" => Page::Metrics(form(&request)),
        "/api/status" => Page::Status,
        _ => {
            let text = "there are /metrics and /api/status\n";
            return Ok(plain(StatusCode::NOT_FOUND, text));
        }
    };
    // HEAD is GET whose body hyper leaves out.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD, this is for reading\n",
        );
        let allow = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(header::ALLOW, allow);
        return Ok(answer);
    }
    Ok(match write(page, source).await {
        Ok(text) => answer(StatusCode::OK, page.content_type(), text),
        Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, &format!("{error}\n")),
    })
}

#[derive(Clone, Copy)]
enum Page {
    Metrics(Form),
    Status,
}

impl Page {
    fn content_type(self) -> &'static str {
        match self {
            Self::Metrics(form) => form.content_type(),
            Self::Status => "application/json",
        }
    }
}

/// Several `Accept` lines are one list (RFC 9110 section 5.3).
fn form(request: &Request<Incoming>) -> Form {
    let lines = request.headers().get_all(header::ACCEPT).iter();
    let known = lines.filter_map(|line| line.to_str().ok());
    if known
        .map(Form::accepted)
        .any(|form| form == Form::OpenMetrics)
    {
        Form::OpenMetrics
    } else {
        Form::Plain
    }
}

/// On a thread that may take its time: ten thousand backends are some megabytes.
async fn write(page: Page, source: &Source) -> Result<String, Unavailable> {
    let snapshot = source.snapshot().await?;
    let written = tokio::task::spawn_blocking(move || match page {
        Page::Metrics(form) => prometheus::text(&snapshot, form).ok(),
        Page::Status => snapshot.json().ok(),
    });
    written.await.ok().flatten().ok_or(Unavailable)
}

fn plain(status: StatusCode, text: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", text.to_owned())
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
