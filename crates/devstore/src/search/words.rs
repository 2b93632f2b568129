//! The full-text index of one index: what searches work on.
//!
//! It follows the file of documents and can be made again from it at any time. The number up to which it has
//! followed is committed with it, so it goes on from there after a crash.

use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use tantivy::collector::TopDocs;
use tantivy::directory::MmapDirectory;
use tantivy::query::Query;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{PreTokenizedStream, PreTokenizedString, Token, Tokenizer};
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, Term};
use unicode_segmentation::UnicodeSegmentation;

use crate::engine::Engine;
use crate::errors::{Problem, Result};
use crate::mapping::{Kind, Mapping};
use crate::select::{plain_text, walk};
use crate::storage::{Document, Index, View, lock};

/// Memory for words that are not yet on disk.
const WRITER_BYTES: usize = 20 << 20;
/// Longest text and longest other value, in characters, that are found as a whole.
const LONGEST: (usize, usize) = (256, 8191);
/// Parts the path of a field from a word or value in the terms of the full-text index, so that one field of it serves
/// all fields of the documents.
pub(crate) const SEPARATOR: char = '\0';
const TOKENIZER: &str = "words";

/// The fields of the full-text index, in the order of its schema: the sequence number, the words of texts, and values
/// as a whole, the id among them.
const SEQ_NO: Field = Field::from_field_id(0);
pub(crate) const WORDS: Field = Field::from_field_id(1);
pub(crate) const EXACT: Field = Field::from_field_id(2);

/// The words of a text, one after the other, and where they stand: as Unicode says (UAX #29), besides parted at the
/// points and apostrophes inside of them, in lower case. Scripts that do not separate words give one per character.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (String, Range<usize>)> {
    let is_mark = |letter: char| matches!(letter, '.' | ',' | '\'' | '’' | ':');
    let parts = text
        .unicode_word_indices()
        .flat_map(move |(mut end, segment)| {
            let parts = segment.split_inclusive(is_mark);
            parts.map(move |part| {
                end += part.len();
                (end - part.len(), part.trim_end_matches(is_mark))
            })
        });
    let parts = parts.filter(|(_, word)| !word.is_empty());
    parts.map(|(start, word)| (word.to_lowercase(), start..start + word.len()))
}

/// Cuts `path, SEPARATOR, text` into terms `path, SEPARATOR, word`. A text without a path gives its words.
#[derive(Clone)]
pub(crate) struct WordTokenizer;

impl Tokenizer for WordTokenizer {
    type TokenStream<'t> = PreTokenizedStream;

    fn token_stream<'t>(&'t mut self, text: &'t str) -> PreTokenizedStream {
        let (prefix, text) = text.split_at(text.find(SEPARATOR).map_or(0, |at| at + 1));
        let tokens = words(text)
            .enumerate()
            .map(|(position, (word, place))| Token {
                offset_from: prefix.len() + place.start,
                offset_to: prefix.len() + place.end,
                position,
                text: format!("{prefix}{word}"),
                position_length: 1,
            });
        let (text, tokens) = (String::new(), tokens.collect());
        PreTokenizedStream::from(PreTokenizedString { text, tokens })
    }
}

/// The term of a word or value in a field of the documents.
pub(crate) fn term(field: Field, path: &str, text: &str) -> Term {
    Term::from_field_text(field, &format!("{path}{SEPARATOR}{text}"))
}

struct State {
    writer: IndexWriter,
    reader: IndexReader,
    /// All writes below this sequence number are in the index.
    followed: u64,
}

pub(crate) struct FullText(Mutex<State>);

impl FullText {
    /// Opens the index in `folder`, or makes one in memory. One that cannot be read is made anew.
    pub(crate) fn open(folder: Option<&Path>) -> Result<FullText> {
        Self::try_open(folder).or_else(|problem| {
            let folder = folder.unwrap_or(Path::new(""));
            tracing::warn!(?folder, %problem.cause, "a full-text index is made anew");
            std::fs::remove_dir_all(folder)?;
            Self::try_open(Some(folder))
        })
    }

    fn try_open(folder: Option<&Path>) -> Result<FullText> {
        let words = TextFieldIndexing::default().set_tokenizer(TOKENIZER);
        let words = words.set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let words = TextOptions::default().set_indexing_options(words);
        let mut schema = Schema::builder();
        schema.add_u64_field("seq_no", FAST);
        schema.add_text_field("words", words);
        schema.add_text_field("exact", STRING);
        let index = if let Some(folder) = folder {
            std::fs::create_dir_all(folder)?;
            tantivy::Index::open_or_create(MmapDirectory::open(folder)?, schema.build())?
        } else {
            tantivy::Index::create_in_ram(schema.build())
        };
        index.tokenizers().register(TOKENIZER, WordTokenizer);
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
        if state.followed < view.counts.0
            && let Err(problem) = follow(&view, &mut state)
        {
            state.writer.rollback()?;
            return Err(problem);
        }
        Ok((view, state.reader.searcher()))
    }
}

fn follow(view: &View, state: &mut State) -> Result<()> {
    for document in view.scan(state.followed)? {
        let document = document?;
        if document.version > 1 {
            state.writer.delete_term(term(EXACT, "_id", &document.id));
        }
        if !document.source.is_empty() {
            let shown = full_text_of(&view.index.mapping, &document)?;
            state.writer.add_document(shown)?;
        }
    }
    let mut commit = state.writer.prepare_commit()?;
    commit.set_payload(&view.counts.0.to_string());
    commit.commit()?;
    state.followed = view.counts.0;
    Ok(state.reader.reload()?)
}

fn full_text_of(mapping: &Mapping, document: &Document) -> Result<TantivyDocument> {
    let mut shown = TantivyDocument::new();
    shown.add_text(EXACT, format!("_id{SEPARATOR}{}", document.id));
    shown.add_u64(SEQ_NO, document.seq_no);
    walk(&document.parsed()?, "", &mut |path, value| {
        let Some(kind) = mapping.kind(path) else {
            return;
        };
        let is_text = kind == Kind::Text;
        if is_text {
            shown.add_text(WORDS, format!("{path}{SEPARATOR}{}", plain_text(value)));
        }
        let longest = if is_text { LONGEST.0 } else { LONGEST.1 };
        let fits = |key: &String| key.chars().nth(longest).is_none();
        if let Some(key) = kind.key(value).filter(fits) {
            shown.add_text(EXACT, format!("{path}{SEPARATOR}{key}"));
        }
    });
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
