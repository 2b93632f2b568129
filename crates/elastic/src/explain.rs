//! What went wrong on the way to the server, in plain words.

use crate::{RequestError, RequestErrorKind};
use std::{error::Error, io};

/// Puts a fault of the transport into words. `what` is what was tried, `address` where;
/// `answering` says that the answer had begun.
pub(crate) fn transport(
    error: &reqwest::Error,
    what: &str,
    address: &str,
    proxied: bool,
    answering: bool,
) -> RequestError {
    let chain = chain(error);
    let (kind, words) = words(error, &chain, address, proxied, answering);
    RequestError::new(kind, format!("cannot {what} at {address}: {words}"))
}

fn words(
    error: &reqwest::Error,
    chain: &str,
    address: &str,
    proxied: bool,
    answering: bool,
) -> (RequestErrorKind, String) {
    use RequestErrorKind::{Interrupted, TimedOut, Unreachable};
    if let Some(words) = tributary_tls::explain(error) {
        return (Unreachable, words);
    }
    let fault = io_kind(error);
    if error.is_timeout() && error.is_connect() {
        let words = "no connection within the time limit; check the address, the port, and \
                     firewalls on the way";
        return (Unreachable, words.to_owned());
    }
    if error.is_timeout() {
        return (
            TimedOut,
            "no complete answer within request_timeout".to_owned(),
        );
    }
    if error.is_connect() {
        return (Unreachable, connect_words(fault, chain, proxied));
    }
    if answering {
        return (
            Interrupted,
            "the connection ended in the middle of the answer".to_owned(),
        );
    }
    let closed = chain.contains("connection closed before message completed")
        || matches!(
            fault,
            Some(
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::UnexpectedEof
            )
        );
    if closed {
        let mut words = "the connection was closed before an answer came".to_owned();
        if address.starts_with("http:") {
            words.push_str(
                "; if this happens each time, the server may expect https:// in the address",
            );
        }
        return (Interrupted, words);
    }
    if chain.contains("invalid HTTP version") || chain.contains("invalid HTTP") {
        let words = "what answers there does not speak HTTP; check the port, and whether the address \
                     should begin with https://";
        return (Interrupted, words.to_owned());
    }
    (Interrupted, innermost(error))
}

fn connect_words(fault: Option<io::ErrorKind>, chain: &str, proxied: bool) -> String {
    // The same words begin a connection to the proxy itself that does not come about.
    if chain.contains("tunnel") && !chain.contains("underlying connection") {
        return if chain.contains("authorization") || chain.contains("407") {
            "the proxy demands a user name and a password (407); put them into its address, as in \
             http://user:password@proxy:3128"
                .to_owned()
        } else {
            "the proxy refuses to connect to it; check the proxy's rules and the address".to_owned()
        };
    }
    let place = if proxied { "the proxy" } else { "the host" };
    if chain.contains("dns error") || chain.contains("failed to lookup address") {
        return if proxied {
            "the name of the proxy is unknown; check its spelling and the name server".to_owned()
        } else {
            "the host name is unknown; check its spelling and the name server".to_owned()
        };
    }
    match fault {
        Some(io::ErrorKind::ConnectionRefused) => format!(
            "{place} refused the connection: nothing listens on that port; check that it runs, and \
             the port"
        ),
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            format!("{place} cannot be reached on the network")
        }
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe,
        ) => format!(
            "{place} ended the connection during the handshake; check the port, and whether the \
             address should begin with http:// or https://"
        ),
        _ => format!(
            "no connection to {place}: {}",
            chain.rsplit(": ").next().unwrap_or(chain)
        ),
    }
}

/// All messages of an error and of those below it.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut current: Option<&dyn Error> = Some(error);
    while let Some(error) = current {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        current = error.source();
    }
    text
}

/// The message of the error at the bottom: those above repeat the address, credentials included.
fn innermost(error: &reqwest::Error) -> String {
    let mut current: &dyn Error = error;
    while let Some(deeper) = current.source() {
        current = deeper;
    }
    if current.is::<reqwest::Error>() {
        "the connection failed".to_owned()
    } else {
        current.to_string()
    }
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut current: Option<&dyn Error> = Some(error);
    let mut kind = None;
    while let Some(error) = current {
        if let Some(fault) = error.downcast_ref::<io::Error>() {
            kind = Some(fault.kind());
        }
        current = error.source();
    }
    kind
}
