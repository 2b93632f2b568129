//! `config.yml.example`, made from the table of keys.

use super::key::KeyDescription;
use super::keys;

const WIDTH: usize = 96;

const HEAD: &str = "\
The configuration of Tributary. Every key is here with its default, and may be left out.
Keys may be nested, dotted or mixed: `elasticsearch.host: x` is `elasticsearch: {host: x}`.
In values, ${NAME} and $NAME stand for environment variables. If the variable is not set,
${NAME} is an error, ${NAME:-word} gives the word, and $NAME stays as it is. $${ is a literal ${.
Secrets may also come from a file, {file: /run/secrets/x}, or a command, {command: pass show x}.
Times may have a unit: 500ms, 30s, 5m, 1h. So may sizes: 64KiB, 10MiB, 1GiB.";

/// The text of `config.yml.example`: every key with its default, its unit and a sentence. Read as
/// a configuration it gives the defaults. Keys without a default are commented out.
pub fn example() -> String {
    let mut text = String::new();
    for line in HEAD.lines() {
        text.push_str(&format!("# {line}\n"));
    }
    let mut open: Vec<&str> = Vec::new();
    for description in keys::ALL {
        let mut words: Vec<&str> = description.path.split('.').collect();
        let name = words.pop().unwrap_or_default();
        let shared = open.iter().zip(&words).take_while(|(a, b)| a == b).count();
        open.truncate(shared);
        text.push('\n');
        for word in words.into_iter().skip(shared) {
            text.push_str(&format!("{}{word}:\n", indent(open.len())));
            open.push(word);
        }
        key(&mut text, description, name, &indent(open.len()));
    }
    text
}

fn key(text: &mut String, description: &KeyDescription, name: &str, indent: &str) {
    let mut sentences = description.about.to_owned();
    if let Some(unit) = description.unit {
        sentences.push_str(&format!(" In {unit}."));
    }
    for line in wrapped(&sentences, WIDTH.saturating_sub(indent.len() + 2)) {
        text.push_str(&format!("{indent}# {line}\n"));
    }
    if let Some(sample) = description.sample {
        if sample.contains('\n') {
            text.push_str(&format!("{indent}# {name}:\n"));
            for line in sample.lines() {
                text.push_str(&format!("{indent}#   {line}\n"));
            }
        } else {
            text.push_str(&format!("{indent}# {name}: {sample}\n"));
        }
    }
    if let Some(default) = description.default {
        text.push_str(&format!("{indent}{name}: {default}\n"));
    }
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
