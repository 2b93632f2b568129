//! `job start --dry-run`.

use crate::{
    arguments::StartJob,
    connection::{self, Server},
    failure::{Exit, Failure, Result},
    output::{OutputFormat, complain, facts, say, say_json, table},
    signals,
};
use serde_json::{Map, Value, json};
use tributary_engine::{
    Verdict,
    rehearsal::{Change, SAMPLES, Sample},
};
use tributary_protocol::{JobRequest, JobType};
use tributary_service::{RehearsalReport, rehearse};

pub(super) async fn run(server: &Server, arguments: &StartJob, output: OutputFormat) -> Result<()> {
    let connector = server.connector(&arguments.connector).await?.record;
    let job_type: JobType = arguments.job_type.into();
    if connector.is_syncing(job_type) {
        complain("note: a sync of this connector is running; what it does meanwhile may show here");
    }
    let request = JobRequest {
        force: arguments.force,
        allow_deletes: arguments.allow_deletes,
        replay: None,
    };
    let host = connection::host(&server.config)?;
    let stop = signals::stop_signal()?;
    let config = server.config.clone();
    let rehearsed = rehearse(config, host, &connector, job_type, &request, stop).await;
    let report = rehearsed.map_err(|why| Failure::new(Exit::Failed, why))?;
    match output {
        OutputFormat::Text => say(&text(&report)),
        OutputFormat::Json => say_json(&to_json(&report)),
    }
    match &report.outcome.verdict {
        Verdict::Failed(why) => Err(Failure::new(
            Exit::Sync,
            format!("the sync would fail: {why}"),
        )),
        Verdict::Stopped => Err(Failure::new(Exit::Failed, "interrupted")),
        Verdict::Completed | Verdict::Warning(_) => Ok(()),
    }
}

/// What a kind of change is called.
fn name(change: Change) -> &'static str {
    match change {
        Change::Create => "create",
        Change::Update => "update",
        Change::Access => "access",
        Change::Delete => "delete",
    }
}

fn text(report: &RehearsalReport) -> String {
    let counters = &report.outcome.counters;
    let warning = match &report.outcome.verdict {
        Verdict::Warning(text) => text.clone(),
        _ => String::new(),
    };
    let mut text = "Nothing was changed. A sync would do this:\n\n".to_owned();
    text.push_str(&facts([
        ("read", counters.extracted.to_string()),
        ("unchanged", counters.unchanged.to_string()),
        ("create", counters.created.to_string()),
        (
            "update",
            counters
                .indexed
                .saturating_sub(counters.created)
                .to_string(),
        ),
        ("delete", counters.deleted.to_string()),
        ("kept out by sync rules", counters.filtered.to_string()),
        ("not read", report.outcome.gap_count.to_string()),
        ("warning", warning),
    ]));
    let mut samples = |title: &str, sample: &Sample| {
        let rows = sample.first.iter();
        let rows = rows.map(|(id, why)| [id.to_string(), why.clone()]);
        let first = match sample.count > SAMPLES as u64 {
            true => format!(", the first {SAMPLES} of {}", sample.count),
            false => String::new(),
        };
        let has_reasons = sample.first.iter().any(|(_, why)| !why.is_empty());
        let list = match has_reasons {
            true => table(&["document", "why"], rows),
            false => rows.map(|[id, _]| id).collect::<Vec<_>>().join("\n"),
        };
        text.push_str(&format!("\n\n{title}{first}\n\n{list}"));
    };
    for (change, sample) in &report.rehearsed.changes {
        samples(&format!("To {}", name(*change)), sample);
    }
    for ((outcome, stage), sample) in &report.rehearsed.failures {
        samples(&format!("{outcome} ({stage})"), sample);
    }
    for gap in &report.outcome.gaps {
        text.push_str(&format!("\n\nNot read: {}: {}", gap.scope, gap.why));
    }
    text
}

fn to_json(report: &RehearsalReport) -> Value {
    let list = |sample: &Sample| {
        let first = sample.first.iter();
        let first = first.map(|(id, why)| json!({"id": id.as_str(), "reason": why}));
        json!({"count": sample.count, "first": first.collect::<Value>()})
    };
    let changes = report.rehearsed.changes.iter();
    let changes: Map<String, Value> = changes
        .map(|(change, sample)| (name(*change).to_owned(), list(sample)))
        .collect();
    let failures = report.rehearsed.failures.iter();
    let failures = failures.map(|((outcome, stage), sample)| {
        let mut failures = list(sample);
        failures["outcome"] = outcome.as_str().into();
        failures["stage"] = stage.as_str().into();
        failures
    });
    let gaps = report.outcome.gaps.iter();
    let gaps = gaps.map(
        |gap| json!({"scope": gap.scope.to_string(), "kind": gap.kind.name(), "why": gap.why}),
    );
    json!({
        "verdict": report.outcome.verdict.to_string(),
        "counters": report.outcome.counters,
        "changes": changes,
        "failures": failures.collect::<Value>(),
        "gaps": gaps.collect::<Value>(),
    })
}
