//! Leaving HTTP for another protocol (RFC 9110 §7.8): what the client has to ask for, and the 101.

use super::{Http, Request, Response};
use crate::protocols::output::Output;
use crate::protocols::{Encode as _, Encoded};

impl Http {
    /// Whether this request may be answered by going on in another protocol: nothing of its answer has begun, and nothing
    /// more of it is to come.
    pub(crate) fn may_switch(&self, ticket: u32) -> bool {
        self.awaits(ticket) && !self.is_receiving()
    }

    /// Writes the last answer in HTTP, a 101, and what goes along with it.
    pub(crate) fn switch(&mut self, mut response: Response, output: &mut Output<'_>) -> Encoded {
        if let Some(headers) = output.headers.take() {
            response = response.accompanied(headers);
        }
        self.encode(response, output)
    }

    /// Writes it with the name that the client has for the protocol, if it asks for one.
    pub(crate) fn switch_as_asked(
        &mut self,
        request: &Request,
        scheme: &str,
        output: &mut Output<'_>,
    ) -> Result<(), Response> {
        let Some(name) = request.offered_protocol(scheme) else {
            let headers = [("Upgrade", scheme), ("Connection", "Upgrade, close"), ("Content-Type", "text/plain")];
            return Err(Response::new(426, &headers, "this is for another protocol"));
        };
        self.switch(Response::new(101, &[("Upgrade", name), ("Connection", "Upgrade")], ""), output);
        Ok(())
    }
}

impl Request {
    /// What the client calls the protocol in which it would go on: this name if it is among those it knows, else the first.
    fn offered_protocol(&self, name: &str) -> Option<&str> {
        if self.protocol_version() != "1.1" || !self.names("connection", "upgrade") {
            return None;
        }
        let mut offered = self.header("upgrade")?.split(',').map(str::trim_ascii).filter(|offered| !offered.is_empty());
        let first = offered.next()?;
        Some(offered.find(|offered| offered.eq_ignore_ascii_case(name)).unwrap_or(first))
    }
}
