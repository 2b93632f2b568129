//! The help texts in docs/using/command-line.md are those of the program. `UPDATE_EXPECTED=1` writes
//! them anew.

use super::{Cli, ConnectorsCli, IngestArguments};
use clap::{Command, CommandFactory};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/using/command-line.md");
const BEGIN: &str =
    "<!-- The help texts are written by a test of the program; change them there. -->\n";

/// The help of a command and of all below it, in order. Options that a command shares with all below
/// it (`shown`) are shown once, where they begin to hold.
fn help(command: &Command, path: &str, shown: &[String], text: &mut String) {
    let shared = |command: &Command| -> Vec<String> {
        let options = command
            .get_arguments()
            .filter(|option| option.is_global_set());
        options.map(|option| option.get_id().to_string()).collect()
    };
    let hidden = command.clone().mut_args(|option| {
        let is_shown = shown.contains(&option.get_id().to_string());
        option.hide(is_shown)
    });
    let rendered = hidden
        .bin_name(path)
        .term_width(100)
        .render_help()
        .to_string();
    let lines: Vec<_> = rendered.lines().map(str::trim_end).collect();
    text.push_str(&format!(
        "\n### `{path}`\n\n```text\n{}\n```\n",
        lines.join("\n").trim_end()
    ));
    let shown = shared(command);
    for below in command.get_subcommands() {
        help(below, &format!("{path} {}", below.get_name()), &shown, text);
    }
}

#[test]
fn the_page_shows_the_help_of_the_program() {
    let mut expected = String::new();
    for mut command in [
        Cli::command(),
        IngestArguments::command(),
        ConnectorsCli::command(),
    ] {
        command.build();
        let name = command.get_name().to_owned();
        help(&command, &name, &[], &mut expected);
    }
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (written, shown) = page.split_once(BEGIN).unwrap();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(PAGE, format!("{written}{BEGIN}{expected}")).unwrap();
        return;
    }
    assert!(
        shown == expected,
        "docs/using/command-line.md does not show the help of the program; run the test with \
         UPDATE_EXPECTED=1 and look at the difference"
    );
}
