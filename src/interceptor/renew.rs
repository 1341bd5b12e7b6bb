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
use crate::gate::{Injection, Renewal, RequestFacts};

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
        let facts = RequestFacts {
            method: self.head.method.clone(),
            target: site.target().clone(),
            path: self.head.uri.path().to_owned(),
        };
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
