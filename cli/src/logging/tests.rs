use super::*;
use serde_json::Value;
use std::{
    io::Write,
    sync::{Arc, Mutex},
};
use tributary_sdk::Secret;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is logged by `work`.
fn logged(logging: Logging, work: impl FnOnce()) -> String {
    let sink = Sink::default();
    let to = sink.clone();
    let layer = layer(logging, false, move || to.clone());
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, work);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn one_line(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn ecs_lines_have_the_names_of_the_schema() {
    let text = logged(Logging::new(LogFormat::Ecs, Severity::Info), || {
        let span = tracing::info_span!("job", job = "j1", attempt = 1);
        let _entered = span.enter();
        tracing::warn!(attempt = 2, password = %Secret::new("hunter2"), "a line\nand \"another\"");
    });
    let mut line = one_line(&text);
    let time = line["@timestamp"].take();
    chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
    let pid = line["process.pid"].take();
    assert_eq!(pid, std::process::id());
    assert_eq!(
        line,
        serde_json::json!({
            "@timestamp": null,
            "log.level": "warning",
            "message": "a line\nand \"another\"",
            "ecs.version": "8.11.0",
            "log.logger": module_path!(),
            "process.pid": null,
            "service.name": "tributary",
            "service.version": env!("CARGO_PKG_VERSION"),
            "labels": {"job": "j1", "attempt": "2", "password": "***"}
        })
    );
}

#[test]
fn plain_lines_keep_numbers_and_their_own_names() {
    let text = logged(Logging::new(LogFormat::Json, Severity::Info), || {
        tracing::info!(documents = 49, level = "mine", "done");
    });
    let line = one_line(&text);
    assert_eq!(line["documents"], 49);
    assert_eq!(line["level"], "info");
    assert_eq!(line["message"], "done");
}

#[test]
fn text_names_the_fields_and_has_no_colour_outside_of_a_terminal() {
    let text = logged(Logging::new(LogFormat::Text, Severity::Info), || {
        tracing::info!(job = "j1", "claimed");
    });
    assert!(
        text.contains("INFO") && text.contains("claimed job=\"j1\""),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn only_what_is_asked_for_is_logged() {
    let shout = || {
        tracing::debug!("ours in detail");
        tracing::info!(target: "tributary_elastic::client", "a request");
        tracing::info!(target: "hyper", "a library");
        tracing::warn!(target: "hyper", "a library in trouble");
        tracing::error!("ours in trouble");
    };
    let logging = |level, elasticsearch| Logging {
        elasticsearch,
        ..Logging::new(LogFormat::Text, level)
    };
    for (logging, expected) in [
        (
            logging(Severity::Debug, Severity::Debug),
            &[
                "ours in detail",
                "a request",
                "a library in trouble",
                "ours in trouble",
            ][..],
        ),
        (
            logging(Severity::Info, Severity::Warning),
            &["a library in trouble", "ours in trouble"],
        ),
        (
            logging(Severity::Critical, Severity::Error),
            &["ours in trouble"],
        ),
    ] {
        let text = logged(logging, shout);
        assert_eq!(text.lines().count(), expected.len(), "{logging:?}: {text}");
        for (line, expected) in text.lines().zip(expected) {
            assert!(line.contains(expected), "{line}");
        }
    }
}
