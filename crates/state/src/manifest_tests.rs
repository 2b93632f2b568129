use super::*;
use crate::MemoryFolder;
use proptest::prelude::*;

fn row(id: impl Into<String>, seq_no: u64) -> Row {
    let id: String = id.into();
    Row {
        id: id.as_str().into(),
        fate: Fate::Indexed,
        fingerprint: seq_no.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        version: Some(Version {
            seq_no,
            primary_term: 1,
        }),
        home: None,
        missed: false,
    }
}

async fn written(folder: &Arc<MemoryFolder>, rows: &[Row]) {
    let mut writer = ManifestWriter::create(folder.clone(), "m").await.unwrap();
    for row in rows {
        writer.push(row).await.unwrap();
    }
    assert_eq!(writer.seal().await.unwrap(), rows.len() as u64);
}

async fn read(reader: Result<ManifestReader>) -> Result<Vec<Row>> {
    let (mut reader, mut rows) = (reader?, Vec::new());
    while let Some(block) = reader.next().await? {
        rows.extend(block);
    }
    Ok(rows)
}

async fn read_all(folder: &Arc<MemoryFolder>) -> Result<Vec<Row>> {
    read(ManifestReader::open(folder.clone(), "m").await).await
}

fn many(count: u64) -> Vec<Row> {
    (0..count)
        .map(|n| row(format!("db_public_table_{n}"), 1_000_000 + n))
        .collect()
}

#[tokio::test]
async fn rows_read_back_in_their_order_and_take_little_room() {
    let folder = Arc::new(MemoryFolder::default());
    let rows = many(50_000);
    written(&folder, &rows).await;
    assert_eq!(read_all(&folder).await.unwrap(), rows);
    let length = folder.list().await.unwrap()[0].1;
    assert!(length < 50_000 * 20, "{length} bytes");
}

#[tokio::test]
async fn ids_that_are_hashes_take_some_fifty_bytes() {
    let folder = Arc::new(MemoryFolder::default());
    let id = |n: u64| {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{mixed:016x}{:016x}", mixed.rotate_left(17) ^ n)
    };
    let rows: Vec<_> = (0..20_000).map(|n| row(id(n), 1_000_000 + n)).collect();
    written(&folder, &rows).await;
    let length = folder.list().await.unwrap()[0].1;
    assert!(length < 20_000 * 50, "{length} bytes");
}

#[tokio::test]
async fn an_interrupted_manifest_goes_on_at_its_checkpoint() {
    let folder = Arc::new(MemoryFolder::default());
    let rows = many(20_000);
    let mut writer = ManifestWriter::create(folder.clone(), "m").await.unwrap();
    for row in &rows[..9_000] {
        writer.push(row).await.unwrap();
    }
    let position = writer.sync().await.unwrap();
    folder.sync_names().await.unwrap();
    for row in &rows[9_000..15_000] {
        writer.push(row).await.unwrap();
    }
    drop(writer);
    folder.crash();

    let part = ManifestReader::open_part(folder.clone(), "m", position).await;
    assert_eq!(read(part).await.unwrap(), rows[..9_000]);
    let resumed = ManifestWriter::resume(folder.clone(), "m", position).await;
    let mut writer = resumed.unwrap();
    for row in &rows[9_000..] {
        writer.push(row).await.unwrap();
    }
    assert_eq!(writer.seal().await.unwrap(), 20_000);
    assert_eq!(read_all(&folder).await.unwrap(), rows);
}

#[tokio::test]
async fn a_manifest_that_is_shorter_than_its_checkpoint_is_damaged() {
    let folder = Arc::new(MemoryFolder::default());
    written(&folder, &many(10)).await;
    let position = Position {
        length: 1 << 20,
        rows: 10,
    };
    let resumed = ManifestWriter::resume(folder.clone(), "m", position).await;
    assert!(matches!(resumed.err(), Some(StateError::Damaged { .. })));
    let part = ManifestReader::open_part(folder, "m", position).await;
    assert!(read(part).await.is_err());
}

#[tokio::test]
async fn what_is_not_sealed_does_not_count() {
    let folder = Arc::new(MemoryFolder::default());
    let mut writer = ManifestWriter::create(folder.clone(), "m").await.unwrap();
    writer.push(&row("a", 1)).await.unwrap();
    writer.sync().await.unwrap();
    let error = read_all(&folder).await.unwrap_err();
    assert!(matches!(error, StateError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn another_version_is_told_apart_from_damage() {
    let folder = Arc::new(MemoryFolder::default());
    written(&folder, &[row("a", 1)]).await;
    folder.alter("m", |bytes| bytes[10] = 9);
    let error = read_all(&folder).await.unwrap_err();
    assert!(matches!(
        error,
        StateError::UnknownVersion {
            found: 9,
            known: 2,
            ..
        }
    ));
    folder.alter("m", |bytes| bytes[0] = b'T');
    assert!(matches!(
        read_all(&folder).await.unwrap_err(),
        StateError::Damaged { .. }
    ));
}

#[tokio::test]
async fn no_altered_or_missing_byte_goes_unnoticed() {
    let folder = Arc::new(MemoryFolder::default());
    let mut rows = many(40);
    rows[7].home = Some(Scope::root().child("folder", "x"));
    written(&folder, &rows).await;
    let whole = folder.read("m", 0, usize::MAX).await.unwrap();
    for at in 0..whole.len() {
        for bit in [1, 0x80] {
            folder.alter("m", |bytes| bytes[at] ^= bit);
            assert!(read_all(&folder).await.is_err(), "byte {at}");
            folder.alter("m", |bytes| bytes.clone_from(&whole));
        }
        folder.alter("m", |bytes| bytes.truncate(at));
        assert!(read_all(&folder).await.is_err(), "cut at {at}");
        folder.alter("m", |bytes| bytes.clone_from(&whole));
    }
    folder.alter("m", |bytes| bytes.extend_from_within(..));
    assert!(read_all(&folder).await.is_err(), "twice");
}

#[tokio::test]
async fn a_full_disk_is_an_error_at_every_call() {
    let rows = many(30_000);
    let mut failures = 0;
    loop {
        let folder = Arc::new(MemoryFolder::default());
        folder.fail_at(failures + 1);
        let outcome = async {
            let mut writer = ManifestWriter::create(folder.clone(), "m").await?;
            for row in &rows {
                writer.push(row).await?;
            }
            writer.seal().await
        };
        match outcome.await {
            Ok(_) => break,
            Err(StateError::Io { name, .. }) => assert_eq!(name, "m"),
            Err(error) => panic!("{error}"),
        }
        failures += 1;
    }
    assert!(failures >= 4, "{failures}");
}

#[tokio::test]
async fn a_mark_is_where_a_resumed_manifest_ends() {
    let folder = Arc::new(MemoryFolder::default());
    let rows = many(5_000);
    let mut writer = ManifestWriter::create(folder.clone(), "m").await.unwrap();
    for row in &rows[..3_000] {
        writer.push(row).await.unwrap();
    }
    let mark = writer.mark();
    for row in &rows[3_000..] {
        writer.push(row).await.unwrap();
    }
    writer.sync().await.unwrap();
    drop(writer);
    let resumed = ManifestWriter::resume(folder.clone(), "m", mark).await;
    assert_eq!(resumed.unwrap().seal().await.unwrap(), 3_000);
    assert_eq!(read_all(&folder).await.unwrap(), rows[..3_000]);
}

#[tokio::test]
async fn a_reader_goes_on_where_another_one_was() {
    let folder = Arc::new(MemoryFolder::default());
    let rows = many(50_000);
    written(&folder, &rows).await;
    let mut reader = ManifestReader::open(folder.clone(), "m").await.unwrap();
    let first = reader.next().await.unwrap().unwrap();
    let from = reader.position();
    assert_eq!(from.rows, first.len() as u64);
    let other = ManifestReader::open_at(folder.clone(), "m", from).await;
    assert_eq!(read(other).await.unwrap(), rows[first.len()..]);
    let start = Position { length: 0, rows: 0 };
    let whole = ManifestReader::open_at(folder, "m", start).await;
    assert_eq!(read(whole).await.unwrap(), rows);
}

fn any_row() -> impl Strategy<Value = Row> {
    let home = prop::option::of("[a-c]{1,2}");
    let held = prop::option::of(any::<(u64, u64, u64)>());
    (".{0,12}", 0..8_usize, held, home, any::<bool>()).prop_map(|(id, fate, held, home, missed)| {
        Row {
            id: id.as_str().into(),
            fate: Fate::ALL[fate],
            fingerprint: held.map_or(0, |held| held.0),
            version: held.map(|(_, seq_no, primary_term)| Version {
                seq_no,
                primary_term,
            }),
            home: home.map(|name| Scope::root().child("folder", &name)),
            missed,
        }
    })
}

proptest! {
    #[test]
    fn any_rows_read_back(rows in prop::collection::vec(any_row(), 0..40)) {
        let mut content = Vec::new();
        let mut last = Last::default();
        for row in &rows {
            encode(&mut content, &last, row);
            last = Last {
                id: row.id.to_string(),
                version: row.version.unwrap_or(last.version),
                home: row.home.clone(),
            };
        }
        prop_assert_eq!(super::rows(&content), Some(rows));
    }

    #[test]
    fn no_bytes_break_the_reader(content: Vec<u8>) {
        let _ = super::rows(&content);
    }
}
