//! Commands about requests that wait for a person.

use std::time::Duration;

use serde_json::Value;

use super::{
    server::Shared,
    session::{LONGEST_LOOK, json},
};
use crate::{
    broker::asks::Approver,
    protocol::{ErrorReply, asks::AsksRequest},
};

/// Answers one. Looking may take up to a minute, and holds no more than the client's own thread.
pub(super) fn answer(shared: &Shared, request: AsksRequest) -> Result<Value, ErrorReply> {
    match request {
        AsksRequest::Await { seen, seconds } => {
            let wait = Duration::from_secs(seconds.min(LONGEST_LOOK).into());
            json(shared.runtime.block_on(shared.common.asks().next(seen, wait)))
        }
        AsksRequest::Answer { id, answer } => {
            json(shared.common.answer_ask(&id, answer, Approver::Cli)?)
        }
    }
}
