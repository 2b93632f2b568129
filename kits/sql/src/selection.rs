//! Which tables are wanted (shared database sheet §B).

/// What the field `tables` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableSelection {
    /// All tables of the schema.
    All,
    /// These, in this order, each once. Names are bare and keep their case.
    Named(Vec<String>),
}

impl TableSelection {
    /// Reads the items of the field. Only a lone `*` means all; next to other names it is a name.
    pub fn new(items: Vec<String>) -> Self {
        if items.len() == 1 && items[0] == "*" {
            return Self::All;
        }
        let mut names: Vec<String> = Vec::with_capacity(items.len());
        for item in items {
            if !item.is_empty() && !names.contains(&item) {
                names.push(item);
            }
        }
        Self::Named(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(items: &[&str]) -> TableSelection {
        TableSelection::new(items.iter().map(|&item| item.to_owned()).collect())
    }

    #[test]
    fn only_a_lone_star_means_all() {
        assert_eq!(selection(&["*"]), TableSelection::All);
        assert_eq!(
            selection(&["*", "t1"]),
            TableSelection::Named(vec!["*".into(), "t1".into()])
        );
        assert_eq!(selection(&[]), TableSelection::Named(Vec::new()));
    }

    #[test]
    fn names_stand_once_and_keep_their_case() {
        assert_eq!(
            selection(&["b", "A", "", "b", "a"]),
            TableSelection::Named(vec!["b".into(), "A".into(), "a".into()])
        );
    }
}
