//! One request, once, and its answer.

use crate::{
    RequestError, RequestErrorKind,
    client::Client,
    explain,
    refusal::{self, Refusal},
    server::MediaTypes,
};
use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION},
};

/// The largest answer that is read, in bytes, where a call does not say otherwise: a page of 10,000
/// ids is at most 7 MiB.
const LARGEST_ANSWER: usize = 32 << 20;

/// A request, as often as needed.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    /// What it is for, to follow "cannot" in a message.
    pub(crate) what: &'a str,
    /// Whether it may be sent again when it may have been carried out.
    pub(crate) repeatable: bool,
    pub(crate) largest_answer: usize,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, path: String, what: &'a str) -> Self {
        Self {
            method,
            path,
            body: None,
            what,
            repeatable: true,
            largest_answer: LARGEST_ANSWER,
        }
    }

    pub(crate) fn get(path: String, what: &'a str) -> Self {
        Self::new(Method::GET, path, what)
    }

    pub(crate) fn post(path: String, what: &'a str) -> Self {
        Self::new(Method::POST, path, what)
    }

    pub(crate) fn put(path: String, what: &'a str) -> Self {
        Self::new(Method::PUT, path, what)
    }

    pub(crate) fn delete(path: String, what: &'a str) -> Self {
        Self::new(Method::DELETE, path, what)
    }

    pub(crate) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(Bytes::from(body.to_string()));
        self
    }

    pub(crate) fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) body: Bytes,
    pub(crate) headers: HeaderMap,
}

impl Client {
    /// Sends a request once.
    pub(crate) async fn send_once(&self, request: &Request<'_>) -> Result<Reply, RequestError> {
        let media = self.info().await?.media_types();
        self.exchange(request, media).await
    }

    /// Sends a request once, without knowing the server.
    pub(crate) async fn exchange(
        &self,
        request: &Request<'_>,
        media: MediaTypes,
    ) -> Result<Reply, RequestError> {
        let mut builder = self
            .builder(request.method.clone(), &request.path)
            .header(ACCEPT, media.json);
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, media.json).body(body.clone());
        }
        let response = builder
            .send()
            .await
            .map_err(|error| self.fault(&error, request.what, false))?;
        self.read(response, request.what, request.largest_answer)
            .await
    }

    /// Reads an answer whole; anything but a 2xx is an error.
    pub(crate) async fn read(
        &self,
        mut response: Response,
        what: &str,
        largest: usize,
    ) -> Result<Reply, RequestError> {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = self.body(response, what, largest).await;
        if status.is_success() {
            return Ok(Reply {
                body: body?,
                headers,
            });
        }
        // What the status says counts, even if the text that explains it did not arrive.
        Err(self.refused(status, &headers, &body.unwrap_or_default(), what))
    }

    async fn body(
        &self,
        mut response: Response,
        what: &str,
        largest: usize,
    ) -> Result<Bytes, RequestError> {
        let fault = |error: reqwest::Error| self.fault(&error, what, true);
        let Some(first) = response.chunk().await.map_err(fault)? else {
            return Ok(Bytes::new());
        };
        let Some(second) = response.chunk().await.map_err(fault)? else {
            return Ok(first);
        };
        let mut body = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if body.len() + chunk.len() > largest {
                return Err(RequestError {
                    uncertain: true,
                    ..RequestError::new(
                        RequestErrorKind::Rejected,
                        format!(
                            "cannot {what} at {}: the answer is larger than {} MiB",
                            self.address(),
                            largest >> 20
                        ),
                    )
                });
            }
            body.extend_from_slice(&chunk);
            next = response.chunk().await.map_err(fault)?;
        }
        Ok(body.freeze())
    }

    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        what: &str,
    ) -> RequestError {
        let status_number = status.as_u16();
        if status.is_redirection() {
            let to = headers
                .get(LOCATION)
                .and_then(|to| to.to_str().ok())
                .and_then(|to| url::Url::parse(to).ok());
            let to = to.map_or("another address".to_owned(), |url| {
                url.origin().ascii_serialization()
            });
            return RequestError {
                status: Some(status_number),
                ..RequestError::new(
                    RequestErrorKind::Rejected,
                    format!(
                        "cannot {what} at {}: the server redirects to {to} ({status_number}); put \
                         the address where the server really is into the configuration",
                        self.address()
                    ),
                )
            };
        }
        let refusal = Refusal::of_body(body);
        let kind = refusal::with_wait(refusal.meaning(status_number), headers, self.clock().utc());
        let words = refusal.in_words(status_number, self.signed_by());
        RequestError {
            status: Some(status_number),
            server_kind: refusal.kind,
            reason: refusal.reason,
            ..RequestError::new(
                kind,
                format!("cannot {what} at {}: {words}", self.address()),
            )
        }
    }

    /// A fault of the transport.
    pub(crate) fn fault(
        &self,
        error: &reqwest::Error,
        what: &str,
        answering: bool,
    ) -> RequestError {
        explain::transport(error, what, self.address(), self.is_proxied(), answering)
    }

    /// Sends a request, and again as the settings allow.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Reply, RequestError> {
        let retry = self.retry();
        let mut uncertain = false;
        let mut attempt = 0;
        loop {
            let error = match self.send_once(request).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            uncertain |= error.uncertain;
            attempt += 1;
            let again = error.may_pass()
                && attempt <= retry.max_retries
                && (retry.on_timeout || !error.is(RequestErrorKind::TimedOut))
                && (request.repeatable || !error.uncertain);
            if !again {
                return Err(RequestError { uncertain, ..error });
            }
            let wait = match error.kind {
                RequestErrorKind::Busy {
                    retry_after: Some(wait),
                } => wait,
                _ => retry.interval.saturating_mul(attempt),
            };
            tracing::debug!(attempt, ?wait, error = %error, "request failed, trying again");
            self.clock().sleep(wait).await;
        }
    }
}
