//! How a table is read: its columns, its order, and from where.

use crate::{
    api,
    catalogue::Relation,
    config::Reading,
    cursor::RawParameter,
    decode::{Cast, Decoder},
    documents::value_at,
    error::Place,
};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use tokio_postgres::{Client, Row};
use tributary_sdk::{Cursor, Error, ErrorKind, Result};
use tributary_sql::quote_identifier;

/// A key that takes more, twice as hexadecimal digits, makes no checkpoint.
const LONGEST_KEY: usize = 16 << 10;

pub(crate) struct PlannedColumn {
    pub(crate) name: String,
    type_name: String,
    pub(crate) decoder: Decoder,
    cast: Cast,
}

/// How the rows of a table are read: in the order of the key, so that a walk can begin after any of them.
pub(crate) struct Plan {
    from: String,
    pub(crate) columns: Vec<PlannedColumn>,
    /// Positions of the columns of the primary key, in its order.
    keys: Vec<usize>,
}

/// A position in a table: the key of the last row, each column with its type and the hexadecimal bytes of
/// its value as the server sends it.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeyPosition {
    after: Vec<(String, String, String)>,
}

impl Plan {
    /// Has the server parse the table. That also takes the lock that keeps the table as it is until the
    /// walk is over.
    pub(crate) async fn new(
        client: &Client,
        reading: &Reading,
        table: &Relation,
        place: &Place,
    ) -> Result<Self> {
        let from = api::qualified(&reading.schema, &table.name);
        let sample = api::prepare(client, &format!("SELECT * FROM {from}")).await;
        let sample = sample.map_err(|error| place.explain(error))?;
        let columns = sample.columns().iter().map(|column| {
            let (decoder, cast) = Decoder::new(column.type_(), reading.options.exact_numeric);
            PlannedColumn {
                name: column.name().to_owned(),
                type_name: api::qualified(column.type_().schema(), column.type_().name()),
                decoder,
                cast,
            }
        });
        let columns: Vec<PlannedColumn> = columns.collect();
        let position = |key: &String| columns.iter().position(|column| column.name == *key);
        let keys = table.keys.iter().map(|key| {
            position(key).ok_or_else(|| {
                let message =
                    "the primary key changed after the sync began; the next sync reads the table";
                Error::new(ErrorKind::Unavailable, message)
            })
        });
        let keys = keys.collect::<Result<_>>()?;
        Ok(Self {
            from,
            columns,
            keys,
        })
    }

    pub(crate) fn statement(&self, is_after: bool) -> String {
        let quoted = |column: &PlannedColumn| format!("t.{}", quote_identifier(&column.name, '"'));
        let list: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{}{}", quoted(column), column.cast.suffix()))
            .collect();
        let keys = self.keys.iter().map(|&position| &self.columns[position]);
        let order: Vec<String> = keys.clone().map(quoted).collect();
        let order = order.join(", ");
        let mut sql = format!("SELECT {} FROM {} AS t", list.join(", "), self.from);
        if is_after {
            let bounds: Vec<String> = keys
                .enumerate()
                .map(|(position, column)| match column.cast {
                    Cast::None => format!("${}", position + 1),
                    // What was read as text is sent as text.
                    cast => format!("${}{}::{}", position + 1, cast.suffix(), column.type_name),
                })
                .collect();
            // Writing into a string cannot fail.
            let _ = write!(sql, " WHERE ({order}) > ({})", bounds.join(", "));
        }
        let _ = write!(sql, " ORDER BY {order}");
        sql
    }

    /// The position after a row; `None` if it is too long to be kept.
    pub(crate) fn position(&self, row: &Row) -> Result<Option<KeyPosition>> {
        let mut after = Vec::with_capacity(self.keys.len());
        let mut size = 0;
        for &position in &self.keys {
            let column = &self.columns[position];
            let Some(bytes) = value_at(row, position)? else {
                return Ok(None);
            };
            size += bytes.len();
            if size > LONGEST_KEY {
                return Ok(None);
            }
            let mut value = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                let _ = write!(value, "{byte:02x}");
            }
            after.push((column.name.clone(), column.type_name.clone(), value));
        }
        Ok(Some(KeyPosition { after }))
    }

    /// The values to begin after. A position in another key is of no use.
    pub(crate) fn position_of(&self, cursor: &Cursor) -> Result<Vec<RawParameter>> {
        let KeyPosition { after } = cursor.read()?;
        let dead = || {
            let message = "the primary key of the table changed since the last sync began";
            Error::new(ErrorKind::DeadCursor, message)
        };
        if after.len() != self.keys.len() {
            return Err(dead());
        }
        let pairs = self.keys.iter().zip(after);
        let values = pairs.map(|(&position, (name, type_name, value))| {
            let column = &self.columns[position];
            let is_same = column.name == name && column.type_name == type_name;
            let bytes = is_same.then(|| from_hexadecimal(&value)).flatten();
            bytes.map(RawParameter).ok_or_else(dead)
        });
        values.collect()
    }
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_read_back() {
        assert_eq!(from_hexadecimal("00ff10"), Some(vec![0, 255, 16]));
        for text in ["0", "0g", "é0"] {
            assert_eq!(from_hexadecimal(text), None);
        }
    }
}
