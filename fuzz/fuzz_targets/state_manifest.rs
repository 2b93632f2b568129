//! A manifest of the state: whatever is in the file, reading ends; and what was written is read.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use tributary_fuzz::{wait, within};
use tributary_state::{
    Fate, Folder, ManifestReader, ManifestWriter, MemoryFolder, Position, Row, Version, fuzzing,
};

#[derive(Arbitrary, Debug)]
enum Input {
    File(Vec<u8>),
    Blocks(Vec<(u8, Vec<u8>)>),
    Part(Vec<u8>, u16, u8),
    Rows(Vec<Line>),
}

#[derive(Arbitrary, Debug)]
struct Line {
    id: String,
    fate: u8,
    fingerprint: u64,
    version: Option<(u64, u64)>,
    home: Option<Vec<String>>,
    missed: bool,
}

async fn read(folder: Arc<MemoryFolder>, part: Option<Position>) -> Option<Vec<Row>> {
    let mut reader = match part {
        None => ManifestReader::open(folder, "m").await.ok()?,
        Some(part) => ManifestReader::open_part(folder, "m", part).await.ok()?,
    };
    let mut all = Vec::new();
    while let Some(rows) = reader.next().await.ok()? {
        all.extend(rows);
    }
    Some(all)
}

fn read_file(bytes: Vec<u8>, part: Option<Position>) {
    let folder = Arc::new(MemoryFolder::default());
    wait(async {
        folder.append("m", bytes).await.expect("memory");
        read(folder, part).await
    });
}

fn round_trip(lines: Vec<Line>) {
    const FATES: [Fate; 4] = [Fate::Indexed, Fate::Failed, Fate::Filtered, Fate::Kept];
    let rows: Vec<Row> = lines
        .into_iter()
        .map(|line| Row {
            id: line.id.into(),
            fate: FATES[usize::from(line.fate % 4)],
            // Nothing is written of the fingerprint where no version is known.
            fingerprint: line.version.map_or(0, |_| line.fingerprint),
            version: line.version.map(|(seq_no, primary_term)| Version {
                seq_no,
                primary_term,
            }),
            home: line
                .home
                .and_then(|home| serde_json::from_value(home.into()).ok()),
            missed: line.missed,
        })
        .collect();
    let folder = Arc::new(MemoryFolder::default());
    let found = wait(async {
        let mut writer = ManifestWriter::create(folder.clone(), "m")
            .await
            .expect("memory");
        for row in &rows {
            writer.push(row).await.expect("memory");
        }
        writer.seal().await.expect("memory");
        read(folder, None).await
    });
    assert_eq!(found.as_ref(), Some(&rows));
}

fuzz_target!(|input: Input| {
    let (what, format) = fuzzing::MANIFEST;
    match input {
        Input::File(bytes) => within(64, bytes.len(), || read_file(bytes, None)),
        Input::Blocks(blocks) => {
            let blocks: Vec<_> = blocks
                .iter()
                .map(|(kind, content)| (if kind % 4 == 0 { b's' } else { b'r' }, &content[..]))
                .collect();
            read_file(fuzzing::file(what, format, &blocks), None);
        }
        Input::Part(content, length, rows) => {
            let position = Position {
                length: length.into(),
                rows: rows.into(),
            };
            let file = fuzzing::file(what, format, &[(b'r', &content)]);
            read_file(file, Some(position));
        }
        Input::Rows(lines) => round_trip(lines),
    }
});
