//! The full-text index of one index: what searches work on.
//!
//! It follows the file of documents and can be made again from it at any time. The number up to which it has
//! followed is committed with it, so it goes on from there after a crash.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use tantivy::collector::TopDocs;
use tantivy::directory::MmapDirectory;
use tantivy::query::Query;
use tantivy::schema::{FAST, Field as TextField, IndexRecordOption, STRING, Schema};
use tantivy::schema::{TextFieldIndexing, TextOptions};
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, Term};

use crate::engine::Engine;
use crate::errors::{Problem, Result};
use crate::mapping::Mapping;
use crate::search::text::{PathTokenizer, SEPARATOR};
use crate::select::{plain_text, walk};
use crate::storage::{Document, Index, View, lock};

/// Memory for words that are not yet on disk.
const WRITER_BYTES: usize = 20 << 20;
/// Documents between two commits while catching up.
const COMMIT_EVERY: usize = 50_000;
/// Stands before the path in the term that says that a field has a value.
const PRESENCE: char = '\u{1}';
const TOKENIZER: &str = "path";

/// The fields of the full-text index, in the order of its schema: the id, the sequence number, the words of texts,
/// and values as a whole.
const ID: TextField = TextField::from_field_id(0);
const SEQ_NO: TextField = TextField::from_field_id(1);
pub(crate) const WORDS: TextField = TextField::from_field_id(2);
pub(crate) const EXACT: TextField = TextField::from_field_id(3);

struct State {
    writer: IndexWriter,
    reader: IndexReader,
    /// All writes below this sequence number are in the index.
    followed: u64,
}

pub(crate) struct FullText(Mutex<State>);

/// The term of a word or value in a field of the documents.
pub(crate) fn term(field: TextField, path: &str, text: &str) -> Term {
    Term::from_field_text(field, &format!("{path}{SEPARATOR}{text}"))
}

pub(crate) fn id_term(id: &str) -> Term {
    Term::from_field_text(ID, id)
}

/// The term that every document has in which the field has a value.
pub(crate) fn presence(path: &str) -> Term {
    Term::from_field_text(EXACT, &format!("{PRESENCE}{path}"))
}

impl FullText {
    /// Opens the index in `folder`, or makes one in memory. One that cannot be read is made anew.
    pub(crate) fn open(folder: Option<&Path>) -> Result<FullText> {
        Self::try_open(folder).or_else(|problem| {
            let (reason, folder) = (problem.reason, folder.unwrap_or(Path::new("")));
            tracing::warn!(folder = %folder.display(), reason, "a full-text index is made anew");
            std::fs::remove_dir_all(folder)?;
            Self::try_open(Some(folder))
        })
    }

    fn try_open(folder: Option<&Path>) -> Result<FullText> {
        let indexed_by = |tokenizer: &str, option| {
            let indexing = TextFieldIndexing::default().set_tokenizer(tokenizer);
            TextOptions::default().set_indexing_options(indexing.set_index_option(option))
        };
        let mut schema = Schema::builder();
        schema.add_text_field("id", STRING);
        schema.add_u64_field("seq_no", FAST);
        let words = indexed_by(TOKENIZER, IndexRecordOption::WithFreqsAndPositions);
        schema.add_text_field("words", words);
        schema.add_text_field("exact", indexed_by("raw", IndexRecordOption::Basic));
        let index = if let Some(folder) = folder {
            std::fs::create_dir_all(folder)?;
            tantivy::Index::open_or_create(MmapDirectory::open(folder)?, schema.build())?
        } else {
            tantivy::Index::create_in_ram(schema.build())
        };
        index.tokenizers().register(TOKENIZER, PathTokenizer);
        let payload = index.load_metas()?.payload;
        let followed = payload.and_then(|payload| payload.parse().ok());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual);
        Ok(FullText(Mutex::new(State {
            writer: index.writer_with_num_threads(1, WRITER_BYTES)?,
            reader: reader.try_into()?,
            followed: followed.unwrap_or(0),
        })))
    }

    /// A view of the documents and the searcher that belongs to it: both know exactly the same writes.
    pub(crate) fn view(&self, engine: &Engine, index: &Index) -> Result<(View, Searcher)> {
        let mut state = lock(&self.0);
        let view = engine.storage.view(&index.name)?;
        if view.index.uuid != index.uuid {
            return Err(Problem::missing_index(&index.name));
        }
        if state.followed < view.counts.0 {
            let followed = follow(engine, &view, &mut state);
            if followed.is_err() {
                state.writer.rollback()?;
            }
            followed?;
        }
        Ok((view, state.reader.searcher()))
    }
}

fn follow(engine: &Engine, view: &View, state: &mut State) -> Result<()> {
    let gone = view.gone(state.followed)?;
    for id in &gone {
        state.writer.delete_term(id_term(id));
    }
    for (document, count) in view.scan(state.followed)?.zip(1..) {
        if engine.closing.load(Ordering::Relaxed) {
            return Err(Problem::stopped());
        }
        let document = document?;
        if document.version > 1 {
            state.writer.delete_term(id_term(&document.id));
        }
        let shown = full_text_of(&view.index.mapping, &document)?;
        state.writer.add_document(shown)?;
        if count % COMMIT_EVERY == 0 {
            commit(state, document.seq_no + 1)?;
        }
    }
    commit(state, view.counts.0)?;
    state.reader.reload()?;
    if gone.is_empty() {
        return Ok(());
    }
    let storage = &engine.storage;
    storage.write(|batch| batch.forget_gone(&view.index, view.counts.0))
}

/// Commits what was written, with the sequence number up to which it follows the documents.
fn commit(state: &mut State, followed: u64) -> Result<()> {
    let mut commit = state.writer.prepare_commit()?;
    commit.set_payload(&followed.to_string());
    commit.commit()?;
    state.followed = followed;
    Ok(())
}

fn full_text_of(mapping: &Mapping, document: &Document) -> Result<TantivyDocument> {
    let mut shown = TantivyDocument::new();
    shown.add_text(ID, &document.id);
    shown.add_u64(SEQ_NO, document.seq_no);
    let mut exact = HashSet::new();
    let source = serde_json::from_str(&document.source)?;
    walk(&source, "", &mut |path, value| {
        let Some((has_words, field)) = mapping.indexing(path) else {
            return;
        };
        if has_words {
            shown.add_text(WORDS, format!("{path}{SEPARATOR}{}", plain_text(value)));
        }
        let key = field.exact_key(value);
        exact.extend(key.map(|key| format!("{path}{SEPARATOR}{key}")));
        let parents = path.match_indices('.').map(|(at, _)| &path[..at]);
        for path in parents.chain([path]) {
            exact.insert(format!("{PRESENCE}{path}"));
        }
    });
    exact.iter().for_each(|text| shown.add_text(EXACT, text));
    Ok(shown)
}

/// The sequence numbers of all documents that a query finds, and their scores, in the order of the numbers.
pub(crate) fn matches(searcher: &Searcher, query: &dyn Query) -> Result<Vec<(u64, f32)>> {
    let all = TopDocs::with_limit((searcher.num_docs() as usize).max(1)).order_by_score();
    let segments = searcher.segment_readers().iter();
    let columns = segments.map(|segment| segment.fast_fields().u64("seq_no"));
    let columns = columns.collect::<tantivy::Result<Vec<_>>>()?;
    let mut found = Vec::new();
    for (score, at) in searcher.search(query, &all)? {
        let seq_no = columns[at.segment_ord as usize].first(at.doc_id);
        found.extend(seq_no.map(|seq_no| (seq_no, score)));
    }
    found.sort_unstable_by_key(|(seq_no, _)| *seq_no);
    Ok(found)
}
