//! Documents do not name what is gone.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "library" {
                pages(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut found = Vec::new();
    pages(root(), &mut found);
    assert!(found.len() > 5, "{found:?}");
    let mut broken = Vec::new();
    for page in &found {
        let text = std::fs::read_to_string(page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap_or_default();
            let is_ours = !path.is_empty()
                && !path.contains("://")
                && !path.starts_with("mailto:")
                && !path.contains(' ');
            if is_ours && !page.parent().unwrap().join(path).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_make_target_a_page_names_exists() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let mut found = Vec::new();
    pages(root(), &mut found);
    for page in found {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| line.contains("make "))
        {
            let is_command = line.starts_with("make ")
                || line.contains(" make ")
                    && line.starts_with(char::is_uppercase)
                    && line.contains('=');
            if !is_command {
                continue;
            }
            let target = line
                .split("make ")
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next())
                .unwrap_or_default();
            let is_target = !target.is_empty()
                && target
                    .chars()
                    .all(|letter| letter.is_ascii_lowercase() || letter == '-');
            assert!(
                !is_target
                    || makefile
                        .lines()
                        .any(|rule| rule.starts_with(&format!("{target}:"))),
                "{}: make {target}",
                page.display()
            );
        }
    }
}
