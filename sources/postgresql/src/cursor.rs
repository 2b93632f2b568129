//! The rows of a statement, fetch by fetch, the next one asked for before the last one is used up.

use crate::snapshot::View;
use bytes::BytesMut;
use futures_util::TryStreamExt;
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use std::{collections::VecDeque, error::Error as StdError, pin::Pin};
use tokio_postgres::{Error, Portal, Row, RowStream, Statement, Transaction};

/// What an automatic fetch asks for.
const FETCH_BYTES: usize = 512 * 1024;
/// Before the size of a row is known.
const FIRST_FETCH: i32 = 64;
const LARGEST_FETCH: usize = 10_000;
/// The fetch that is read and the one that the server works on meanwhile.
const FETCHES_AHEAD: usize = 2;

/// The bytes of a value as the server sent them.
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The bytes of a value as the server sent them once, to send back.
#[derive(Debug)]
pub(crate) struct RawParameter(pub(crate) Vec<u8>);

impl ToSql for RawParameter {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// How many rows a fetch asks for.
struct FetchSize {
    fixed: Option<i32>,
    rows: usize,
    bytes: usize,
}

impl FetchSize {
    fn new(fixed: Option<i32>) -> Self {
        Self {
            fixed,
            rows: 0,
            bytes: 0,
        }
    }

    fn saw(&mut self, row: &Row) {
        self.rows += 1;
        self.bytes += row.raw_size_bytes();
    }

    /// From the rows since the last answer, so that it follows rows that grow.
    fn next(&mut self) -> i32 {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        if self.rows == 0 {
            return FIRST_FETCH;
        }
        let row_bytes = (self.bytes / self.rows).max(1);
        if self.rows > LARGEST_FETCH {
            self.rows = 0;
            self.bytes = 0;
        }
        let rows = (FETCH_BYTES / row_bytes).clamp(1, LARGEST_FETCH);
        i32::try_from(rows).unwrap_or(FIRST_FETCH)
    }
}

struct Fetch {
    asked: i32,
    got: i32,
    rows: Pin<Box<RowStream>>,
}

/// An open cursor.
///
/// Rows travel one by one: what waits unread is held back in the server, so memory is bounded by a few
/// rows and the buffers of the connection, whatever the size of a fetch.
pub(crate) struct Rows<'v> {
    from: From<'v>,
    fetches: VecDeque<Fetch>,
    size: FetchSize,
}

enum From<'v> {
    Portal(&'v Transaction<'v>, Portal),
    /// One answer with all rows: the driver opens cursors only in transactions that it began itself.
    Answer,
}

impl<'v> Rows<'v> {
    /// Runs a statement.
    pub(crate) async fn open(
        view: &'v View<'_>,
        statement: &Statement,
        parameters: &[RawParameter],
        fetch_size: Option<i32>,
    ) -> Result<Self, Error> {
        let parameters = parameters
            .iter()
            .map(|parameter| parameter as &(dyn ToSql + Sync));
        let mut fetches = VecDeque::with_capacity(FETCHES_AHEAD);
        let from = match view {
            View::Whole(transaction) => From::Portal(
                transaction,
                transaction.bind_raw(statement, parameters).await?,
            ),
            View::Part(client) => {
                let rows = client.query_raw(statement, parameters).await?;
                fetches.push_back(Fetch {
                    asked: i32::MAX,
                    got: 0,
                    rows: Box::pin(rows),
                });
                From::Answer
            }
        };
        Ok(Self {
            from,
            fetches,
            size: FetchSize::new(fetch_size),
        })
    }

    /// The next row; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            if let From::Portal(transaction, portal) = &self.from {
                while self.fetches.len() < FETCHES_AHEAD {
                    let asked = self.size.next();
                    let rows = transaction.query_portal_raw(portal, asked).await?;
                    self.fetches.push_back(Fetch {
                        asked,
                        got: 0,
                        rows: Box::pin(rows),
                    });
                }
            }
            let Some(fetch) = self.fetches.front_mut() else {
                return Ok(None);
            };
            if let Some(row) = fetch.rows.try_next().await? {
                fetch.got = fetch.got.saturating_add(1);
                self.size.saw(&row);
                return Ok(Some(row));
            }
            let is_last = fetch.got < fetch.asked;
            self.fetches.pop_front();
            if is_last {
                self.fetches.clear();
                self.from = From::Answer;
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_size_is_kept() {
        let mut size = FetchSize::new(Some(7));
        size.rows = 1;
        size.bytes = 1 << 30;
        assert_eq!((size.next(), size.next()), (7, 7));
    }

    #[test]
    fn an_automatic_size_follows_the_rows() {
        let mut size = FetchSize::new(None);
        assert_eq!(size.next(), FIRST_FETCH);
        size.rows = 10;
        size.bytes = 10 * 300;
        assert_eq!(size.next(), 1747);
        size.bytes = 10 * 20_000_000;
        assert_eq!(size.next(), 1);
        size.bytes = 0;
        assert_eq!(size.next(), 10_000);
    }
}
