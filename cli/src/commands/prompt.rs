//! Asking on a terminal. Questions go to standard error, so that standard output stays for the result.

use crate::failure::{Failure, Result};
use anyhow::Context;
use console::Term;
use std::io::Write;
use tributary_sdk::config::{Declaration, Plain};

/// Asks until something is answered.
pub(super) fn ask(question: &str) -> Result<String> {
    loop {
        let answer = ask_or_nothing(question)?;
        if !answer.is_empty() {
            return Ok(answer);
        }
    }
}

fn ask_or_nothing(question: &str) -> Result<String> {
    write(&format!("{question}: "))?;
    let mut line = String::new();
    let length = std::io::stdin()
        .read_line(&mut line)
        .context("cannot read the answer")?;
    if length == 0 {
        return Err(Failure::usage(
            "the input ended before all questions were answered",
        ));
    }
    Ok(line.trim().to_owned())
}

/// Asks for the value of a field; nothing means: as the form begins. Secrets are not shown.
pub(super) fn ask_field(declaration: &Declaration) -> Result<Option<String>> {
    let mut question = declaration.label.to_owned();
    if let Some(tooltip) = declaration.tooltip {
        write(&format!("  {tooltip}\n"))?;
    }
    if !declaration.options.is_empty() {
        let choices: Vec<_> = declaration
            .options
            .iter()
            .map(|choice| choice.value)
            .collect();
        question.push_str(&format!(" ({})", choices.join(", ")));
    }
    let begins_as = match declaration.value {
        Plain::Null => String::new(),
        Plain::Text(text) => text.to_owned(),
        Plain::Integer(number) => number.to_string(),
        Plain::Toggle(on) => on.to_string(),
    };
    if !begins_as.is_empty() && !declaration.sensitive {
        question.push_str(&format!(" [{begins_as}]"));
    } else if !declaration.required {
        question.push_str(" [none]");
    }
    let is_needed = declaration.required && begins_as.is_empty();
    loop {
        let answer = match declaration.sensitive {
            true => ask_secret(&question)?,
            false => ask_or_nothing(&question)?,
        };
        if !answer.is_empty() {
            return Ok(Some(answer));
        }
        if !is_needed {
            return Ok(None);
        }
    }
}

fn ask_secret(question: &str) -> Result<String> {
    write(&format!("{question} (not shown): "))?;
    let answer = Term::stderr()
        .read_secure_line()
        .context("cannot read the answer")?;
    Ok(answer)
}

fn write(text: &str) -> Result<()> {
    let mut out = std::io::stderr().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot ask")?;
    Ok(())
}
