//! What the server or the driver reports, in words for the user.

use std::{error::Error as _, fmt, io};
use tokio_postgres::error::SqlState;
use tributary_sdk::{Error, ErrorKind};

/// Where we are connected to, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) database: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Place {
    /// Translates an error of the driver.
    pub(crate) fn explain(&self, error: tokio_postgres::Error) -> Error {
        let (kind, message) = match error.code() {
            Some(code) => self.server_said(code, &error),
            None => self.driver_said(&error),
        };
        Error::new(kind, message).caused_by(error)
    }

    fn server_said(&self, code: &SqlState, error: &tokio_postgres::Error) -> (ErrorKind, String) {
        let Self { user, database, .. } = self;
        let said = error.as_db_error().map_or("", |error| error.message());
        match code.code() {
            "28P01" => (
                ErrorKind::Unauthorised,
                format!("wrong password for user {user} at {self}, or there is no such user"),
            ),
            "28000" => (
                ErrorKind::Unauthorised,
                format!("the server at {self} refuses user {user}: {said}"),
            ),
            "3D000" => (
                ErrorKind::InvalidConfig,
                format!("there is no database {database} at {self}"),
            ),
            "42501" => (
                ErrorKind::Forbidden,
                format!("user {user} may not read this: {said}; grant SELECT on it"),
            ),
            "42P01" | "3F000" => (ErrorKind::NotFound, said.to_owned()),
            "25006" => (
                ErrorKind::Unsupported,
                format!("a sync only reads, and this statement would change data: {said}"),
            ),
            "0A000" => (ErrorKind::Unsupported, said.to_owned()),
            "53300" => (
                ErrorKind::Unavailable,
                format!(
                    "too many connections at {self}; free some, or lower sources.postgresql.connections in config.yml"
                ),
            ),
            "57014" => (
                ErrorKind::Timeout,
                format!("the server at {self} ended the statement: {said}"),
            ),
            "55P03" => (
                ErrorKind::Timeout,
                "the table is locked by another session for too long".to_owned(),
            ),
            // A standby that had to remove rows we could still see, an idle transaction that was ended.
            "40001" | "40P01" | "25P03" => (ErrorKind::Unavailable, said.to_owned()),
            code if ["08", "53", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                (
                    ErrorKind::Unavailable,
                    format!("the server at {self} is not available: {said}"),
                )
            }
            _ => (
                ErrorKind::BadResponse,
                format!("the server reported: {said}"),
            ),
        }
    }

    fn driver_said(&self, error: &tokio_postgres::Error) -> (ErrorKind, String) {
        if let Some(words) = tributary_tls::explain(error) {
            let message = format!(
                "no secure connection to {self}: {words} (the field ssl_ca holds the CA certificate)"
            );
            return (ErrorKind::InvalidConfig, message);
        }
        if error.is_closed() {
            let message = format!("the server at {self} closed the connection");
            return (ErrorKind::Unavailable, message);
        }
        if let Some(cause) = find_io(error) {
            return match cause.kind() {
                io::ErrorKind::ConnectionRefused => (
                    ErrorKind::Unavailable,
                    format!(
                        "nothing accepts connections at {self}; check host and port, and that the server runs"
                    ),
                ),
                io::ErrorKind::TimedOut => (
                    ErrorKind::Unavailable,
                    format!("{self} did not answer in time"),
                ),
                io::ErrorKind::NotFound => (
                    ErrorKind::Unavailable,
                    format!("there is no socket of a server at {self}"),
                ),
                _ => (
                    ErrorKind::Unavailable,
                    format!("the connection to {self} failed"),
                ),
            };
        }
        match error.to_string().as_str() {
            // The driver has no other mark for these.
            "error performing TLS handshake" => (
                ErrorKind::InvalidConfig,
                format!(
                    "the server at {self} offers no TLS; switch ssl_enabled off, or set the server up for it"
                ),
            ),
            "authentication error" | "invalid configuration" => (
                ErrorKind::Unauthorised,
                format!(
                    "the server at {self} asks for a way to log in that is not supported, or for a password"
                ),
            ),
            _ => (
                ErrorKind::BadResponse,
                format!("the server at {self} answered something unexpected"),
            ),
        }
    }
}

/// Whether an unverified connection failed in a way that one without TLS may not.
pub(crate) fn may_work_without_tls(error: &tokio_postgres::Error) -> bool {
    error.to_string() == "error performing TLS handshake"
        || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

fn find_io(error: &tokio_postgres::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
