//! The page about metrics lists all there are.

use std::{env, fs, path::Path};
use tributary_service::metric_names;

#[test]
fn the_page_is_what_the_constants_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating/metrics.md");
    let page = metric_names::page();
    if env::var_os("UPDATE_EXPECTED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).expect("write it with UPDATE_EXPECTED=1");
    assert_eq!(written, page);
}

#[test]
fn names_are_unique_and_follow_the_conventions() {
    let mut names: Vec<_> = metric_names::ALL.iter().map(|metric| metric.name).collect();
    for metric in metric_names::ALL {
        let name = metric.name;
        assert!(name.starts_with("tributary_"), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == "counter", "{name}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), metric_names::ALL.len());
}
