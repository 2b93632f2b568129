//! The table of imports in ARCHITECTURE.md is what the code does.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Crate to what it may import; `None` = everything but what is listed.
fn table() -> BTreeMap<String, (bool, BTreeSet<String>)> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line
            .strip_prefix('|')?
            .strip_suffix('|')?
            .split('|')
            .map(str::trim)
            .collect();
        match cells.as_slice() {
            [name, allowed] if name.starts_with("tributary") => {
                let (is_open, names) = match allowed.strip_prefix("anything") {
                    Some(rest) => (true, rest.trim().trim_start_matches("but")),
                    None => (false, *allowed),
                };
                let names = names.split(',').map(|name| name.trim().to_owned());
                let names = names.filter(|name| !name.is_empty()).collect();
                Some(((*name).to_owned(), (is_open, names)))
            }
            _ => None,
        }
    });
    rows.collect()
}

#[test]
fn crates_import_only_what_the_table_allows() {
    let table = table();
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for package in &metadata.packages {
        let name = package.name.to_string();
        known.insert(name.clone());
        let Some((is_open, names)) = table.get(&name) else {
            problems.push(format!("{name} is not in the table of ARCHITECTURE.md"));
            continue;
        };
        for dependency in &package.dependencies {
            if dependency.kind == DependencyKind::Development
                || !dependency.name.starts_with("tributary")
            {
                continue;
            }
            if names.contains(&dependency.name) == *is_open {
                problems.push(format!("{name} must not import {}", dependency.name));
            }
        }
    }
    for name in table.keys().filter(|name| !known.contains(*name)) {
        problems.push(format!(
            "{name} is in the table of ARCHITECTURE.md, but there is no such crate"
        ));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
