//! Names of fields and documents (shared database sheet §§D, E).

use std::collections::HashMap;
use tributary_sdk::{FieldName, Result};

/// The names that follow from a schema and one or several tables.
#[derive(Clone, Debug)]
pub struct Naming {
    prefix: String,
    tables: String,
}

impl Naming {
    /// `schema` may be empty or blank; then it does not show in the names. Tables are sorted by code
    /// points.
    pub fn new<T: AsRef<str>>(schema: &str, tables: &[T]) -> Self {
        let mut sorted: Vec<&str> = tables.iter().map(AsRef::as_ref).collect();
        sorted.sort_unstable();
        let tables = sorted.join("_");
        let mut prefix = String::new();
        if !schema.trim().is_empty() {
            prefix.push_str(schema);
            prefix.push('_');
        }
        if !sorted.is_empty() {
            prefix.push_str(&tables);
            prefix.push('_');
        }
        Self { prefix, tables }
    }

    /// The tables, sorted and joined by `_`: a part of each document id.
    pub fn tables(&self) -> &str {
        &self.tables
    }

    /// The field that a column is written to: prefix and column, lower-cased.
    pub fn field(&self, column: &str) -> String {
        format!("{}{column}", self.prefix).to_lowercase()
    }

    /// Prepares the fields of a result. Of columns whose field is the same (they differ in case
    /// only, or a join yields a name twice) the last one counts.
    pub fn columns<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Columns> {
        let names: Vec<String> = names.into_iter().map(|name| self.field(name)).collect();
        let positions: HashMap<String, usize> = names
            .iter()
            .enumerate()
            .map(|(position, name)| (name.clone(), position))
            .collect();
        let fields = names
            .iter()
            .enumerate()
            .map(|(position, name)| match positions.get(name) {
                Some(&last) if last == position => FieldName::new(name).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<_>>()?;
        Ok(Columns { fields, positions })
    }
}

/// The columns of a result and the fields they are written to.
#[derive(Debug)]
pub struct Columns {
    fields: Vec<Option<FieldName>>,
    positions: HashMap<String, usize>,
}

impl Columns {
    /// The field of the column at this position; `None` if a later column has the same field.
    pub fn field(&self, position: usize) -> Option<&FieldName> {
        self.fields.get(position)?.as_ref()
    }

    /// The position of the column that is written to this field.
    pub fn position(&self, field: &str) -> Option<usize> {
        self.positions.get(field).copied()
    }
}

/// An identifier in quotation marks, those inside it doubled.
pub fn quote_identifier(name: &str, mark: char) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push(mark);
    for character in name.chars() {
        if character == mark {
            quoted.push(mark);
        }
        quoted.push(character);
    }
    quoted.push(mark);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_named_as_in_the_reference() {
        for (schema, tables, expected) in [
            ("", &[][..], "column_1"),
            ("Schema", &[], "schema_column_1"),
            ("", &["Table"], "table_column_1"),
            (" ", &["Table"], "table_column_1"),
            (
                "Schema",
                &["Table1", "Table2"],
                "schema_table1_table2_column_1",
            ),
            ("Schema", &["b", "B", "a"], "schema_b_a_b_column_1"),
            ("public", &["mixed case"], "public_mixed case_column_1"),
            ("public", &["t_a:b"], "public_t_a:b_column_1"),
        ] {
            assert_eq!(Naming::new(schema, tables).field("Column_1"), expected);
        }
        assert_eq!(
            Naming::new("s", &["table2", "table1"]).tables(),
            "table1_table2"
        );
    }

    #[test]
    fn of_columns_with_one_field_the_last_counts() {
        let columns = Naming::new("public", &["t"])
            .columns(["A", "b", "a"])
            .unwrap();
        assert!(columns.field(0).is_none());
        assert!(columns.field(1).is_some() && columns.field(2).is_some());
        assert_eq!(columns.position("public_t_a"), Some(2));
        assert_eq!(columns.position("public_t_c"), None);
        assert!(columns.field(3).is_none());
    }

    #[test]
    fn marks_inside_a_name_are_doubled() {
        assert_eq!(quote_identifier("quo\"te", '"'), "\"quo\"\"te\"");
        assert_eq!(quote_identifier("it's", '"'), "\"it's\"");
        assert_eq!(quote_identifier("a`b", '`'), "`a``b`");
    }

    proptest! {
        #[test]
        fn a_quoted_name_ends_at_its_last_mark(name in ".*") {
            let quoted = quote_identifier(&name, '"');
            let inside = &quoted[1..quoted.len() - 1];
            prop_assert_eq!(inside.replace("\"\"", "\""), name);
            prop_assert!(!inside.replace("\"\"", "").contains('"'));
        }

        #[test]
        fn each_field_is_written_once(names in prop::collection::vec("[aAbB]{1,2}", 0..12)) {
            let naming = Naming::new("s", &["t"]);
            let columns = naming.columns(names.iter().map(String::as_str)).unwrap();
            let written = (0..names.len()).filter(|&at| columns.field(at).is_some()).count();
            let distinct: std::collections::HashSet<_> =
                names.iter().map(|name| name.to_lowercase()).collect();
            prop_assert_eq!(written, distinct.len());
        }
    }
}
