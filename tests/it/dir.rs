//! A folder of files, from the disk to the index.

use crate::{engine::Engine, scenarios, service::Ready};
use anyhow::Result;
use serde_json::{Value, json};
use std::{os::unix::fs::symlink, sync::Arc};
use tempfile::TempDir;
use tributary_testkit::servers::EngineChoice;

scenarios!(
    files_become_documents_and_follow_their_changes,
    a_missing_folder_deletes_nothing,
    basic_rules_decide_what_is_indexed,
    office_files_are_found_by_their_text,
    a_mapping_with_hardly_any_room_is_in_the_record_and_fails_nothing,
);

fn folder() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("deep"))?;
    std::fs::write(
        folder.path().join("notes.txt"),
        "The  harbour\nkeeps a narwhal",
    )?;
    std::fs::write(
        folder.path().join("deep/über.md"),
        "# Grüße\n\nZwölf Boxkämpfer jagen Viktor",
    )?;
    std::fs::write(folder.path().join("deep/empty.txt"), "")?;
    std::fs::write(folder.path().join("picture.png"), [0x89, b'P', b'N', b'G'])?;
    symlink("..", folder.path().join("deep/loop.d"))?;
    symlink("nowhere.txt", folder.path().join("broken.txt"))?;
    Ok(folder)
}

fn values(folder: &TempDir) -> Value {
    json!({"directory": folder.path(), "pattern": "**/*.*"})
}

fn by_name<'a>(
    documents: &'a serde_json::Map<String, Value>,
    name: &str,
) -> Option<(&'a String, &'a Value)> {
    documents.iter().find(|(_, document)| {
        document["path"]
            .as_str()
            .is_some_and(|path| path.ends_with(name))
    })
}

async fn files_become_documents_and_follow_their_changes(engine: Arc<Engine>) -> Result<()> {
    let folder = folder()?;
    let ready = Ready::new(&engine, "dir", values(&folder)).await?;
    let job = ready.sync_well().await?;
    assert_eq!(job["indexed_document_count"], 4, "{job}");
    assert_eq!(
        (&job["deleted_document_count"], &job["total_document_count"]),
        (&json!(0), &json!(4))
    );
    let documents = engine.documents(&ready.index).await?;
    let (id, notes) = by_name(&documents, "/notes.txt").expect("notes.txt");
    assert_eq!(notes["id"], id.as_str());
    assert_eq!(
        (&notes["size"], &notes["_timestamp"]),
        (&json!(28), &notes["last_modified_time"])
    );
    assert_eq!(notes.get("_attachment"), None, "the pipeline takes it away");
    assert!(by_name(&documents, "/über.md").is_some());
    let record = engine.connector(&ready.connector).await?;
    assert_eq!(
        (
            &record["last_sync_status"],
            &record["last_indexed_document_count"]
        ),
        (&json!("completed"), &json!(4))
    );
    assert_eq!(
        (&record["status"], &record["error"]),
        (&json!("connected"), &Value::Null)
    );
    if engine.has_extraction() {
        assert_eq!(notes["body"], "The harbour keeps a narwhal");
        assert_eq!(engine.search(&ready.index, "narwhal").await?, [id.as_str()]);
        assert_eq!(engine.search(&ready.index, "Boxkämpfer").await?.len(), 1);
    }

    std::fs::write(
        folder.path().join("notes.txt"),
        "The harbour keeps a walrus now",
    )?;
    std::fs::remove_file(folder.path().join("deep/über.md"))?;
    let job = ready.sync_well().await?;
    assert_eq!(
        (&job["deleted_document_count"], &job["total_document_count"]),
        (&json!(1), &json!(3))
    );
    let documents = engine.documents(&ready.index).await?;
    assert!(by_name(&documents, "/über.md").is_none());
    assert_eq!(by_name(&documents, "/notes.txt").expect("notes.txt").0, id);
    if engine.has_extraction() {
        assert_eq!(engine.search(&ready.index, "walrus").await?.len(), 1);
        assert!(engine.search(&ready.index, "narwhal").await?.is_empty());
    }
    Ok(())
}

async fn a_missing_folder_deletes_nothing(engine: Arc<Engine>) -> Result<()> {
    let folder = folder()?;
    let ready = Ready::new(&engine, "dir", values(&folder)).await?;
    ready.sync_well().await?;
    let away = folder.path().with_extension("away");
    std::fs::rename(folder.path(), &away)?;
    let job = ready.sync().await?;
    assert_eq!(job["status"], "error", "{job}");
    let error = job["error"].as_str().unwrap_or_default();
    assert!(
        error.contains(&folder.path().display().to_string()),
        "{error}"
    );
    assert_eq!(engine.documents(&ready.index).await?.len(), 4);
    std::fs::rename(&away, folder.path())?;
    let job = ready.sync_well().await?;
    assert_eq!(job["deleted_document_count"], 0);
    Ok(())
}

async fn basic_rules_decide_what_is_indexed(engine: Arc<Engine>) -> Result<()> {
    let folder = folder()?;
    let ready = Ready::new(&engine, "dir", values(&folder)).await?;
    let now = chrono::Utc::now().to_rfc3339();
    let rule = |id: &str, policy: &str, field: &str, rule: &str, value: &str, order: u32| {
        json!({"id": id, "policy": policy, "field": field, "rule": rule, "value": value, "order": order,
            "created_at": now, "updated_at": now})
    };
    let draft = json!({
        "advanced_snippet": {"created_at": now, "updated_at": now, "value": {}},
        "rules": [rule("small", "exclude", "size", "<", "5", 0), rule("DEFAULT", "include", "_", "regex", ".*", 1)],
        "validation": {"state": "edited", "errors": []},
    });
    let record = engine.connector(&ready.connector).await?;
    let active = record["filtering"][0]["active"].clone();
    let filtering = json!([{"domain": "DEFAULT", "active": active, "draft": draft}]);
    engine
        .change_connector(&ready.connector, json!({"filtering": filtering}))
        .await?;
    let look = || engine.connector(&ready.connector);
    crate::service::until(
        "the draft to be activated",
        &ready.service,
        look,
        |record| record["filtering"][0]["active"]["rules"][0]["id"] == "small",
    )
    .await?;
    let job = ready.sync_well().await?;
    assert_eq!(
        job["total_document_count"], 2,
        "the picture and the empty file are small: {job}"
    );
    Ok(())
}

async fn office_files_are_found_by_their_text(engine: Arc<Engine>) -> Result<()> {
    if !engine.has_office_extraction() {
        return Ok(()); // this engine has no attachment processor; OpenSearch has
    }
    let folder = tempfile::tempdir()?;
    for file in ["lighthouse.pdf", "ferry.docx"] {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
        std::fs::copy(format!("{data}/{file}"), folder.path().join(file))?;
    }
    let ready = Ready::new(&engine, "dir", values(&folder)).await?;
    ready.sync_well().await?;
    assert_eq!(engine.search(&ready.index, "quokkabirds").await?.len(), 1);
    assert_eq!(engine.search(&ready.index, "zephyrstone").await?.len(), 1);
    Ok(())
}

async fn a_mapping_with_hardly_any_room_is_in_the_record_and_fails_nothing(
    engine: Arc<Engine>,
) -> Result<()> {
    if engine.choice == EngineChoice::Store {
        return Ok(()); // its mappings have no limits
    }
    let folder = folder()?;
    let ready = Ready::new(&engine, "dir", values(&folder)).await?;
    let fields = (0..90).map(|number| (format!("f{number}"), json!({"type": "long"})));
    let body = json!({
        "settings": {"index.mapping.total_fields.limit": 100},
        "mappings": {"properties": fields.collect::<serde_json::Map<_, _>>()},
    });
    engine.call("PUT", &ready.index, Some(body)).await?;
    let job = ready.sync().await?;
    assert_eq!(job["status"], "completed", "{job}\n{}", ready.service.log());
    let finding = &job["metadata"]["tributary"]["findings"][0];
    let expected = format!(
        "the mapping of the index {} has 90 of the 100 fields",
        ready.index
    );
    let text = finding.as_str().unwrap_or_default();
    assert!(text.starts_with(&expected), "{job}");
    assert!(
        text.contains("raise index.mapping.total_fields.limit"),
        "{job}"
    );
    assert!(
        ready.service.log().contains(&expected),
        "{}",
        ready.service.log()
    );
    Ok(())
}
