//! One line that tells how far something is: on a terminal it changes, elsewhere there are few.

use crate::output::complain;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    cell::{Cell, RefCell},
    io::IsTerminal,
    time::{Duration, Instant},
};

/// Outside of a terminal, a line is written at most this often.
const PAUSE: Duration = Duration::from_secs(5);

/// The line, on standard error.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    is_hidden: bool,
    last: RefCell<String>,
    said: Cell<Option<Instant>>,
}

impl Progress {
    /// A line, still empty.
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            bar,
            is_hidden: false,
            last: RefCell::default(),
            said: Cell::new(None),
        }
    }

    /// A line that nobody sees; notes are.
    pub(crate) fn hidden() -> Self {
        Self {
            bar: None,
            is_hidden: true,
            last: RefCell::default(),
            said: Cell::new(None),
        }
    }

    /// The line as it is now.
    pub(crate) fn show(&self, line: &str) {
        if let Some(bar) = &self.bar {
            return bar.set_message(line.to_owned());
        }
        let is_early = self.said.get().is_some_and(|said| said.elapsed() < PAUSE);
        if self.is_hidden || is_early || *self.last.borrow() == line {
            return;
        }
        self.said.set(Some(Instant::now()));
        self.last.replace(line.to_owned());
        complain(line);
    }

    /// Something that stays; said once, even if it is told several times in a row.
    pub(crate) fn note(&self, text: &str) {
        if *self.last.borrow() == text {
            return;
        }
        self.last.replace(text.to_owned());
        match &self.bar {
            Some(bar) => bar.println(text),
            None => complain(text),
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
