//! What the schema holds, and which of it a sync reads.

use crate::{api, config::Reading, connect::Connection};
use tributary_sdk::{Error, ErrorKind, Result};
use tributary_sql::TableSelection;

/// A table or something like it.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) kind: RelationKind,
    /// The file it is stored in, as of the snapshot.
    pub(crate) filenode: u32,
    /// The columns of the primary key, in its order; none if there is no primary key.
    pub(crate) keys: Vec<String>,
    /// Whether some column may be selected.
    pub(crate) is_readable: bool,
    /// Whether the reference service would list it.
    pub(crate) is_listed: bool,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelationKind {
    Table,
    PartitionedTable,
    View,
    MaterializedView,
    ForeignTable,
}

impl RelationKind {
    /// From `pg_class.relkind`.
    pub(crate) fn from_letter(letter: &str) -> Self {
        match letter {
            "p" => Self::PartitionedTable,
            "v" => Self::View,
            "m" => Self::MaterializedView,
            "f" => Self::ForeignTable,
            _ => Self::Table,
        }
    }

    /// Why it is not read as a table; nothing if it can be.
    fn objection(self) -> Option<&'static str> {
        match self {
            Self::Table => None,
            Self::PartitionedTable => Some(
                "is a partitioned table; its partitions are tables of their own: name them instead",
            ),
            Self::View | Self::MaterializedView => Some(
                "is a view and has no primary key; read it by an advanced sync rule with id_columns",
            ),
            Self::ForeignTable => Some(
                "is a foreign table and has no primary key; read it by an advanced sync rule with id_columns",
            ),
        }
    }
}

/// The schema as of the snapshot.
#[derive(Debug)]
pub(crate) struct Catalogue(Vec<Relation>);

impl Catalogue {
    /// Reads the catalogue. A schema that does not exist, or may not be used, is an error.
    pub(crate) async fn read(connection: &Connection, reading: &Reading) -> Result<Self> {
        let place = connection.place();
        let Reading {
            schema, database, ..
        } = reading;
        let user = &place.user;
        match api::schema_usage(connection.client(), schema).await {
            Ok(Some(true)) => {}
            Ok(Some(false)) => {
                let message = format!(
                    "user {user} may not use the schema {schema} of the database {database}; grant USAGE on it"
                );
                return Err(Error::new(ErrorKind::Forbidden, message));
            }
            Ok(None) => {
                let message = format!(
                    "there is no schema {schema} in the database {database} at {place}, as user {user} sees it"
                );
                return Err(Error::invalid_config(message).with("field", "schema"));
            }
            Err(error) => return Err(place.explain(error)),
        }
        let relations = api::relations(connection.client(), schema).await;
        relations.map(Self).map_err(|error| place.explain(error))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Relation> {
        self.0.iter().find(|relation| relation.name == name)
    }

    /// The tables that the reference service would list and that are not there, for messages.
    pub(crate) fn missing<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
        let is_listed = |name: &str| self.find(name).is_some_and(|relation| relation.is_listed);
        names.into_iter().filter(|name| !is_listed(name)).collect()
    }

    /// Which tables are read, and which should be but cannot.
    pub(crate) fn select(&self, reading: &Reading, user: &str) -> Selected<'_> {
        let mut selected = Selected::default();
        match &reading.tables {
            TableSelection::All => {
                // What can never have a key is passed over, as the reference service does. A table
                // that only the rights or the key are missing for was perhaps read before.
                let tables = self
                    .0
                    .iter()
                    .filter(|found| found.kind == RelationKind::Table);
                for table in tables {
                    selected.add(table, user);
                }
            }
            TableSelection::Named(names) => {
                for name in names {
                    match self.find(name) {
                        Some(relation) => selected.add(relation, user),
                        None => {
                            let message = format!(
                                "there is no table {name} in the schema {}; check the name and its case",
                                reading.schema
                            );
                            selected.refuse(name, ErrorKind::NotFound, message);
                        }
                    }
                }
            }
        }
        selected
    }
}

/// What a sync reads.
#[derive(Debug, Default)]
pub(crate) struct Selected<'c> {
    pub(crate) tables: Vec<&'c Relation>,
    pub(crate) refused: Vec<Refused>,
}

/// A table that should be read and cannot.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) table: String,
    kind: ErrorKind,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn error(&self) -> Error {
        Error::new(self.kind, self.message.as_str()).with("table", &self.table)
    }
}

impl<'c> Selected<'c> {
    fn add(&mut self, relation: &'c Relation, user: &str) {
        let name = &relation.name;
        if let Some(objection) = relation.kind.objection() {
            self.refuse(name, ErrorKind::Unsupported, format!("{name} {objection}"));
        } else if relation.keys.is_empty() {
            let message = format!(
                "the table {name} has no primary key; add one, or read it by an advanced sync rule with id_columns"
            );
            self.refuse(name, ErrorKind::Unsupported, message);
        } else if !relation.is_readable {
            let message = format!("user {user} may not read the table {name}; grant SELECT on it");
            self.refuse(name, ErrorKind::Forbidden, message);
        } else {
            self.tables.push(relation);
        }
    }

    fn refuse(&mut self, table: &str, kind: ErrorKind, message: String) {
        self.refused.push(Refused {
            table: table.to_owned(),
            kind,
            message,
        });
    }

    /// An empty answer would look like an empty database, and everything would be deleted.
    pub(crate) fn or_nothing_found(self, reading: &Reading, user: &str) -> Result<Self> {
        if self.tables.is_empty() && self.refused.is_empty() {
            let message = format!(
                "user {user} sees no table in the schema {} of the database {}; check the schema and the rights",
                reading.schema, reading.database
            );
            return Err(Error::invalid_config(message).with("field", "schema"));
        }
        Ok(self)
    }
}
