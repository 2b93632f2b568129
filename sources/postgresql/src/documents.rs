//! From a row to a document.

use crate::{
    cursor::Raw,
    decode::{Decoder, Scratch},
};
use std::sync::Arc;
use tokio_postgres::Row;
use tributary_sdk::{Access, Body, Document, Error, ErrorKind, FieldName, Result, Stamp};
use tributary_sql::{Columns, Naming};

/// What all documents of a statement have in common.
pub(crate) struct Common {
    pub(crate) database: String,
    pub(crate) schema: String,
    /// The tables in the order of the rule. One table is written as text, those of a rule as array.
    pub(crate) tables: Vec<String>,
    pub(crate) is_rule: bool,
    pub(crate) stamp: Arc<str>,
}

/// Makes documents of the rows of one statement.
pub(crate) struct Documents {
    common: Common,
    id_prefix: String,
    columns: Vec<(Option<FieldName>, Decoder)>,
    /// Positions of the columns that make up the id.
    keys: Vec<usize>,
    names: CommonNames,
    id: String,
    scratch: Scratch,
    /// The size of the last body: those of a table are alike.
    last_size: usize,
}

struct CommonNames {
    database: FieldName,
    schema: FieldName,
    table: FieldName,
}

/// A row that cannot be a document.
pub(crate) struct Skipped {
    pub(crate) id: String,
    pub(crate) why: String,
}

impl Documents {
    /// `columns` are those of the result, `keys` the positions that make up the id.
    pub(crate) fn new(
        common: Common,
        naming: &Naming,
        fields: &Columns,
        columns: &[Decoder],
        keys: Vec<usize>,
    ) -> Result<Self> {
        let id_prefix = format!("{}_{}_{}", common.database, common.schema, naming.tables());
        let columns = columns.iter().enumerate();
        Ok(Self {
            common,
            id_prefix,
            columns: columns
                .map(|(position, decoder)| (fields.field(position).cloned(), *decoder))
                .collect(),
            keys,
            names: CommonNames {
                database: FieldName::new("database")?,
                schema: FieldName::new("schema")?,
                table: FieldName::new("table")?,
            },
            id: String::new(),
            scratch: Scratch::default(),
            last_size: 0,
        })
    }

    /// Makes a document. The inner error is a row that exists and cannot be one.
    pub(crate) fn read(&mut self, row: &Row) -> Result<std::result::Result<Document, Skipped>> {
        self.write_id(row)?;
        let Self {
            common,
            names,
            scratch,
            ..
        } = self;
        let room = self.last_size + self.id.len() + Body::ENGINE_FIELDS;
        let mut body = Body::with_capacity(room + room / 16);
        body.put_with(&names.database, |value| value.text(&common.database));
        match common.tables.as_slice() {
            [table] if !common.is_rule => body.put_with(&names.table, |value| value.text(table)),
            tables => body.put_with(&names.table, |value| {
                value.array(|array| {
                    for table in tables {
                        array.element(|value| value.text(table));
                    }
                });
            }),
        }
        body.put_with(&names.schema, |value| value.text(&common.schema));
        let mut malformed = None;
        for (position, (field, decoder)) in self.columns.iter().enumerate() {
            let (Some(field), value) = (field, value_at(row, position)?) else {
                continue;
            };
            body.put_with(field, |out| match value {
                None => out.null(),
                Some(bytes) => {
                    if decoder.write_json(bytes, out, scratch).is_err() {
                        malformed = Some(position);
                    }
                }
            });
        }
        if let Some(position) = malformed {
            let column = row
                .columns()
                .get(position)
                .map_or("", |column| column.name());
            return Ok(Err(Skipped {
                id: self.id.clone(),
                why: format!("the value of the column {column} is not what its type says"),
            }));
        }
        self.last_size = body.as_open_text().len();
        let mut document = Document::new(self.id.as_str(), body, Access::Unrestricted);
        document.stamp = Stamp::Group(Arc::clone(&common.stamp));
        Ok(Ok(document))
    }

    /// A key column without a value is left out.
    fn write_id(&mut self, row: &Row) -> Result<()> {
        self.id.clear();
        self.id.push_str(&self.id_prefix);
        for &position in &self.keys {
            let (Some(bytes), Some((_, decoder))) =
                (value_at(row, position)?, self.columns.get(position))
            else {
                continue;
            };
            self.id.push('_');
            let written = decoder.write_id(bytes, &mut self.id, &mut self.scratch);
            written.map_err(|_| {
                Error::new(
                    ErrorKind::BadResponse,
                    "the value of a key is not what its type says",
                )
                .with("id", &self.id)
            })?;
        }
        Ok(())
    }
}

/// The bytes of a value; `None` if it is NULL.
pub(crate) fn value_at(row: &Row, position: usize) -> Result<Option<&[u8]>> {
    match row.try_get::<_, Option<Raw<'_>>>(position) {
        Ok(value) => Ok(value.map(|Raw(bytes)| bytes)),
        Err(error) => {
            let message = "a row lacks a column of its statement";
            Err(Error::new(ErrorKind::BadResponse, message).caused_by(error))
        }
    }
}
