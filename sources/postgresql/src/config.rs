//! Configuration fields (PostgreSQL sheet §2) and the options of `config.yml`.

use serde::Deserialize;
use std::time::Duration;
use tributary_sdk::{
    Error, Field, Result, Secret, Setup,
    config::{AnyField, Dependency},
};
use tributary_sql::TableSelection;

const HOST: Field<String> = Field::text("host", "Host").order(1);
const PORT: Field<i64> = Field::integer("port", "Port").order(2);
const USERNAME: Field<String> = Field::text("username", "Username").order(3);
const PASSWORD: Field<Secret> = Field::secret("password", "Password").order(4);
const DATABASE: Field<String> = Field::text("database", "Database").order(5);
const SCHEMA: Field<String> = Field::text("schema", "Schema").order(6);
const TABLES: Field<Vec<String>> = Field::list("tables", "Comma-separated list of tables")
    .starting_as("*")
    .tooltip("Not used when advanced sync rules are set.")
    .order(7);
const FETCH_SIZE: Field<i64> = Field::integer("fetch_size", "Rows fetched per request")
    .or(AUTOMATIC_FETCH_SIZE)
    .advanced()
    .order(8);
const RETRY_COUNT: Field<i64> = Field::integer("retry_count", "Retries per request")
    .or(3)
    .advanced()
    .order(9);
const SSL_ENABLED: Field<bool> =
    Field::toggle("ssl_enabled", "Enable SSL verification", false).order(10);
const SSL_CA: Field<String> = Field::text("ssl_ca", "SSL certificate")
    .only_if(WITH_TLS)
    .order(11);
const WITH_TLS: &[Dependency] = &[SSL_ENABLED.is(true)];

/// In the order of the form.
pub(crate) const FIELDS: &[&dyn AnyField] = &[
    &HOST,
    &PORT,
    &USERNAME,
    &PASSWORD,
    &DATABASE,
    &SCHEMA,
    &TABLES,
    &FETCH_SIZE,
    &RETRY_COUNT,
    &SSL_ENABLED,
    &SSL_CA,
];

/// The default of the field means that nobody has chosen: the size follows the rows.
const AUTOMATIC_FETCH_SIZE: i64 = 50;

/// How the server is reached.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) username: String,
    pub(crate) password: Secret,
    pub(crate) database: String,
    /// The certificates to trust beside those of the system; `None`: TLS is not verified.
    pub(crate) authority: Option<String>,
    /// Attempts to connect, the first included.
    pub(crate) attempts: i64,
}

/// What is read, and how.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) database: String,
    pub(crate) schema: String,
    pub(crate) tables: TableSelection,
    /// Rows per fetch; `None`: as many as make up a good amount of bytes.
    pub(crate) fetch_size: Option<i32>,
    pub(crate) options: Options,
}

/// What `config.yml` may say under `sources.postgresql`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Connections of one sync at most; with one, tables are read one after the other.
    pub(crate) connections: usize,
    /// `numeric` values keep all digits instead of becoming doubles.
    pub(crate) exact_numeric: bool,
    /// How long the search for the last change of a table may take, in seconds. 0: no search.
    pub(crate) last_update_timeout: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 4,
            exact_numeric: false,
            last_update_timeout: 10,
        }
    }
}

impl Options {
    pub(crate) fn last_update_limit(self) -> Option<Duration> {
        (self.last_update_timeout > 0).then(|| Duration::from_secs(self.last_update_timeout))
    }
}

/// Reads all fields and options.
pub(crate) fn read(setup: &Setup<'_>) -> Result<(Login, Reading)> {
    let values = setup.values;
    let port = PORT.get(values)?;
    let port = u16::try_from(port)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| {
            Error::invalid_config("'Port' should be a number from 1 to 65535.")
                .with("field", "port")
        })?;
    let fetch_size = FETCH_SIZE.get(values)?;
    if fetch_size < 1 {
        let message = "'Rows fetched per request' should be at least 1.";
        return Err(Error::invalid_config(message).with("field", "fetch_size"));
    }
    let options: Options = setup.options.read()?;
    if options.connections == 0 {
        let message = "sources.postgresql.connections in config.yml should be at least 1";
        return Err(Error::invalid_config(message));
    }
    let is_verified = SSL_ENABLED.get(values)?;
    let authority = SSL_CA.get(values)?;
    let database = DATABASE.get(values)?;
    let login = Login {
        host: HOST.get(values)?.trim().to_owned(),
        port,
        username: USERNAME.get(values)?,
        password: PASSWORD.get(values)?,
        database: database.clone(),
        authority: is_verified.then_some(authority),
        attempts: RETRY_COUNT.get(values)?,
    };
    let reading = Reading {
        database,
        schema: SCHEMA.get(values)?,
        tables: TableSelection::new(TABLES.get(values)?),
        fetch_size: (fetch_size != AUTOMATIC_FETCH_SIZE)
            .then(|| i32::try_from(fetch_size).unwrap_or(i32::MAX)),
        options,
    };
    Ok((login, reading))
}
