//! The control socket's requests: what is read is written and read again as the same.

use lb_user::control::proto::{self, Request};

/// One input; panics if the code under test is wrong.
pub(crate) fn run(data: &[u8]) {
    match proto::decode::<Request>(data) {
        Ok(request) => {
            let line = proto::encode(&request).expect("a request has a JSON form");
            let newline = line.iter().position(|byte| *byte == b'\n');
            assert_eq!(newline, Some(line.len() - 1), "one line");
            let again: Request = proto::decode(&line).expect("what is sent can be read");
            assert_eq!(again, request);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
