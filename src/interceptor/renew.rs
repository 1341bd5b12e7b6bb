//! A request whose credential was refused: once more, with a newer one.
//!
//! Only where the whole request is still at hand: its head is kept before anything is injected, its
//! body while it passes, if it is small.

use std::rc::Rc;

use http::{Request, Response, request::Parts};

use super::{
    problem::Problem,
    request,
    serve::Site,
    upstream::{Recording, RequestBody, UpstreamBody},
};
use crate::{
    gate::{Injection, Renewal, RequestFacts},
    request_path::canonical,
};

/// What it takes to send a request again.
#[derive(Debug)]
pub(super) struct Spare {
    head: Parts,
    body: Rc<Recording>,
}

impl Spare {
    /// Keeps `head`, which holds no credential yet, and what will pass of `body`.
    pub(super) fn new(head: &Parts, body: &mut RequestBody) -> Self {
        Self { head: head.clone(), body: body.record() }
    }

    /// Asks the gate about the upstream's 401, and does what it says: what the agent is answered with,
    /// and the credential it was asked for with.
    pub(super) async fn renew(
        self,
        site: &Site,
        answer: Response<UpstreamBody>,
        used: Injection,
    ) -> Result<(Response<UpstreamBody>, Injection), Problem> {
        let Ok(path) = canonical(self.head.uri.path()) else { return Ok((answer, used)) };
        let (method, target) = (self.head.method.clone(), site.target().clone());
        let facts = RequestFacts { method, target, path };
        let injection = match site.run.gate.renew(&facts, &used).await {
            Renewal::Keep => return Ok((answer, used)),
            Renewal::Deny(denial) => return Err(Problem::denied(denial)),
            Renewal::Again(injection) => injection,
        };
        let Some(body) = self.body.again() else { return Ok((answer, used)) };
        drop(answer);
        let mut head = self.head;
        request::inject(&mut head, &injection).map_err(|error| Problem::uninjectable(&error))?;
        let sent = site.origin.send(Request::from_parts(head, body)).await;
        let answer = sent.map_err(|failure| request::problem(site, &failure))?;
        Ok((answer, injection))
    }
}
