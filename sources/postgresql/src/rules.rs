//! Advanced sync rules: what they read, and the checks before a sync (shared database sheet §H).

use crate::{
    api,
    catalogue::{Catalogue, Relation},
    config::Reading,
    decode::{Cast, Decoder},
};
use std::collections::HashMap;
use tokio_postgres::{Client, Statement};
use tributary_sdk::{Error, ErrorKind, Finding, Result, Scope};
use tributary_sql::{Columns, Naming, Rule, quote_identifier};

/// Where findings about the rules belong.
const PLACE: &str = "advanced_snippet";

/// The scope of the documents of some tables, read by a rule or not. Their ids hold the same names, so a
/// document never changes its scope.
pub(crate) fn scope(tables: &str) -> Scope {
    Scope::root().child("table", tables)
}

/// Numbers the rules of each scope.
#[derive(Default)]
pub(crate) struct Parts(HashMap<String, u32>);

impl Parts {
    pub(crate) fn next(&mut self, tables: &str) -> u32 {
        let part = self.0.entry(tables.to_owned()).or_default();
        *part += 1;
        *part - 1
    }
}

/// A statement that the server has parsed, and how its rows are read.
pub(crate) struct Prepared {
    pub(crate) statement: Statement,
    pub(crate) decoders: Vec<Decoder>,
    pub(crate) fields: Columns,
    pub(crate) keys: Vec<usize>,
}

/// Has the server parse a rule.
///
/// The statement runs as it was written. Only if a column has a type without a decoder, it is read as
/// a sub-select, whose columns can be cast.
pub(crate) async fn prepare(
    client: &Client,
    catalogue: &Catalogue,
    reading: &Reading,
    rule: &Rule,
    explain: &(dyn Fn(tokio_postgres::Error) -> Error + Sync),
) -> Result<Prepared> {
    let statement = api::prepare(client, &rule.query).await.map_err(explain)?;
    if !statement.params().is_empty() {
        let message =
            "the statement of the rule has parameters ($1), and there is nothing to put in";
        return Err(Error::new(ErrorKind::BadResponse, message));
    }
    let columns = statement.columns();
    if columns.is_empty() {
        let message =
            "the statement of the rule returns no columns; only statements that read can be used";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let naming = Naming::new(&reading.schema, &rule.tables);
    let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    let fields = naming.columns(names.iter().copied())?;
    let keys = keys(catalogue, rule, &naming, &fields)?;
    let exact = reading.options.exact_numeric;
    let decoded = columns
        .iter()
        .map(|column| Decoder::new(column.type_(), exact));
    let (decoders, casts): (Vec<_>, Vec<_>) = decoded.unzip();
    let statement = if casts.iter().all(|cast| *cast == Cast::None) {
        statement
    } else {
        let wrapped = with_casts(&rule.query, &casts);
        api::prepare(client, &wrapped).await.map_err(|error| {
            let unread = columns.iter().zip(&casts).find(|(_, cast)| **cast != Cast::None);
            let name = unread.map_or("", |(column, _)| column.name());
            let message = format!(
                "the column {name} of the rule has a type that has to be read as text; write {name}::text in its statement"
            );
            Error::new(ErrorKind::Unsupported, message).caused_by(error)
        })?
    };
    Ok(Prepared {
        statement,
        decoders,
        fields,
        keys,
    })
}

/// The statement as a sub-select with numbered columns, some of them cast.
fn with_casts(query: &str, casts: &[Cast]) -> String {
    let query = query.trim_end().trim_end_matches(';');
    let columns: Vec<String> = casts
        .iter()
        .enumerate()
        .map(|(position, cast)| format!("q.c{position}{}", cast.suffix()))
        .collect();
    let names: Vec<String> = (0..casts.len())
        .map(|position| format!("c{position}"))
        .collect();
    // The line break ends a comment that the statement may end with.
    format!(
        "SELECT {} FROM (\n{query}\n) AS q({})",
        columns.join(", "),
        names.join(", ")
    )
}

/// The positions of the columns that make up the id.
fn keys(
    catalogue: &Catalogue,
    rule: &Rule,
    naming: &Naming,
    fields: &Columns,
) -> Result<Vec<usize>> {
    let columns: Vec<&str> = match &rule.id_columns {
        Some(columns) => columns.iter().map(String::as_str).collect(),
        None => {
            let tables = rule.tables.iter().filter_map(|table| catalogue.find(table));
            tables
                .flat_map(|table| &table.keys)
                .map(String::as_str)
                .collect()
        }
    };
    if columns.is_empty() {
        let message =
            "the tables of the rule have no primary key; name the columns of the id in id_columns";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let position = |column: &&str| {
        fields.position(&naming.field(column)).ok_or_else(|| {
            let message = format!(
                "the result of the rule lacks the column {column}, which is a part of the id; select it too, or name others in id_columns"
            );
            Error::new(ErrorKind::Unsupported, message)
        })
    };
    columns.iter().map(position).collect()
}

/// The tables of a rule that are stored rows.
pub(crate) fn relations<'c>(catalogue: &'c Catalogue, rule: &Rule) -> Vec<&'c Relation> {
    rule.tables
        .iter()
        .filter_map(|table| catalogue.find(table))
        .collect()
}

/// All that can be found out about rules without running them. The first problem of each rule is told.
pub(crate) async fn check(
    client: &Client,
    catalogue: &Catalogue,
    reading: &Reading,
    rules: &[Rule],
    explain: &(dyn Fn(tokio_postgres::Error) -> Error + Sync),
) -> Result<Vec<Finding>> {
    let named = rules
        .iter()
        .flat_map(|rule| &rule.tables)
        .map(String::as_str);
    let mut missing = catalogue.missing(named);
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        let message = format!(
            "these tables are not in the schema {}, or the account has no rights on them: {}",
            reading.schema,
            missing.join(", ")
        );
        return Ok(vec![Finding::at(PLACE, message)]);
    }
    let mut findings = Vec::new();
    for (position, rule) in rules.iter().enumerate() {
        client
            .batch_execute("SAVEPOINT rule")
            .await
            .map_err(explain)?;
        let outcome = check_one(client, catalogue, reading, rule, explain).await;
        client
            .batch_execute("ROLLBACK TO SAVEPOINT rule")
            .await
            .map_err(explain)?;
        match outcome {
            Ok(()) => {}
            Err(error) => match error.kind() {
                ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Stopped => {
                    return Err(error);
                }
                _ => {
                    let message = format!("data[{position}].query: {}", error.message());
                    findings.push(Finding::at(PLACE, message));
                }
            },
        }
    }
    Ok(findings)
}

async fn check_one(
    client: &Client,
    catalogue: &Catalogue,
    reading: &Reading,
    rule: &Rule,
    explain: &(dyn Fn(tokio_postgres::Error) -> Error + Sync),
) -> Result<()> {
    prepare(client, catalogue, reading, rule, explain).await?;
    // The server accepts a statement for a cursor only if it reads, and says so without running it.
    let cursor = format!(
        "DECLARE {} NO SCROLL CURSOR FOR {}",
        quote_identifier("rule", '"'),
        rule.query
    );
    api::prepare(client, &cursor).await.map(drop).map_err(|error| {
        let message = "the statement of the rule does more than read; only SELECT, VALUES, TABLE and WITH can be used";
        Error::new(ErrorKind::Unsupported, message).caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_wrapped_as_it_stands() {
        let wrapped = with_casts(
            "SELECT 1 AS a, now() - now() ; \n",
            &[Cast::None, Cast::Text],
        );
        assert_eq!(
            wrapped,
            "SELECT q.c0, q.c1::text FROM (\nSELECT 1 AS a, now() - now() \n) AS q(c0, c1)"
        );
    }

    #[test]
    fn rules_of_one_scope_are_parts_of_it() {
        let mut parts = Parts::default();
        assert_eq!(
            [parts.next("a"), parts.next("b"), parts.next("a")],
            [0, 0, 1]
        );
        assert_eq!(scope("a_b").to_string(), "table/a_b");
    }
}
