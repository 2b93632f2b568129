//! The full-text index of one index: which documents can match, and how well.
//!
//! It follows the file of documents and can be made again from it at any time. The number up to which it has
//! followed is committed with it, so it goes on from there after a crash.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::ColumnValues;
use tantivy::directory::MmapDirectory;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery,
    FuzzyTermQuery, Occur, Query as TextQuery, TermQuery, TermSetQuery,
};
use tantivy::schema::{
    FAST, Field as TextField, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{
    DocId, IndexReader, IndexWriter, ReloadPolicy, Score, Searcher, SegmentOrdinal, SegmentReader,
    TantivyDocument, Term,
};

use crate::engine::Engine;
use crate::errors::Problem;
use crate::mapping::{Field, Kind, Mapping, key_of};
use crate::search::query::{Bool, Query};
use crate::search::text::{PathTokenizer, SEPARATOR};
use crate::storage::{Index, Row, View, lock};

/// Memory for words that are not yet on disk.
const WRITER_BYTES: usize = 20 << 20;
/// Documents between two commits while catching up.
const COMMIT_EVERY: usize = 50_000;
/// Longest value that can be found as a whole by way of this index, in bytes.
const EXACT_LIMIT: usize = 1024;
/// Stands before the path in the term that says that a field has a value.
const PRESENCE: char = '\u{1}';
const TOKENIZER: &str = "path";

struct Fields {
    id: TextField,
    seq_no: TextField,
    words: TextField,
    exact: TextField,
}

struct State {
    writer: IndexWriter,
    reader: IndexReader,
    /// All writes below this sequence number are in the index.
    followed: u64,
}

pub(crate) struct FullText {
    fields: Fields,
    state: Mutex<State>,
}

/// A query for the full-text index. It finds at least what must be found; if `exact`, nothing else.
pub(crate) struct Narrowed {
    /// `None`: every document.
    query: Option<Box<dyn TextQuery>>,
    pub(crate) exact: bool,
}

impl Narrowed {
    /// Whether it spares looking at some documents.
    pub(crate) fn is_useful(&self) -> bool {
        self.query.is_some()
    }

    fn everything(exact: bool) -> Narrowed {
        Narrowed { query: None, exact }
    }

    fn exactly(query: impl TextQuery) -> Narrowed {
        Narrowed {
            query: Some(Box::new(query)),
            exact: true,
        }
    }

    fn into_query(self) -> Box<dyn TextQuery> {
        self.query.unwrap_or_else(|| Box::new(AllQuery))
    }
}

impl FullText {
    /// Opens the index in `folder`. One that cannot be read is made anew.
    pub(crate) fn open(folder: &Path) -> Result<FullText, Problem> {
        Self::try_open(folder).or_else(|problem| {
            tracing::warn!(folder = %folder.display(), reason = problem.reason, "the full-text index cannot be read and is made anew");
            std::fs::remove_dir_all(folder)?;
            Self::try_open(folder)
        })
    }

    fn try_open(folder: &Path) -> Result<FullText, Problem> {
        std::fs::create_dir_all(folder)?;
        let mut schema = Schema::builder();
        let words = TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(IndexRecordOption::WithFreqs);
        let exact = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false);
        let fields = Fields {
            id: schema.add_text_field("id", STRING),
            seq_no: schema.add_u64_field("seq_no", FAST),
            words: schema
                .add_text_field("words", TextOptions::default().set_indexing_options(words)),
            exact: schema
                .add_text_field("exact", TextOptions::default().set_indexing_options(exact)),
        };
        let directory = MmapDirectory::open(folder).map_err(tantivy::TantivyError::from)?;
        let index = tantivy::Index::open_or_create(directory, schema.build())?;
        index.tokenizers().register(TOKENIZER, PathTokenizer);
        let followed = index
            .load_metas()?
            .payload
            .and_then(|payload| payload.parse().ok())
            .unwrap_or(0);
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        let writer = index.writer_with_num_threads(1, WRITER_BYTES)?;
        Ok(FullText {
            fields,
            state: Mutex::new(State {
                writer,
                reader,
                followed,
            }),
        })
    }

    /// A view of the documents and the searcher that belongs to it: both know exactly the same writes.
    pub(crate) fn view(&self, engine: &Engine, index: &Index) -> Result<(View, Searcher), Problem> {
        let mut state = lock(&self.state);
        let view = engine.storage.view(index)?;
        let next = view.next()?;
        if state.followed < next {
            self.follow(engine, index, &view, &mut state, next)?;
        }
        Ok((view, state.reader.searcher()))
    }

    fn follow(
        &self,
        engine: &Engine,
        index: &Index,
        view: &View,
        state: &mut State,
        next: u64,
    ) -> Result<(), Problem> {
        // The mapping of the same moment: the one at hand may be older than the documents.
        let mapping = view.mapping(index)?;
        let gone = view.gone(state.followed)?;
        for id in &gone {
            state
                .writer
                .delete_term(Term::from_field_text(self.fields.id, id));
        }
        let mut added = 0;
        view.scan(state.followed.., |seq_no, row| {
            if engine.is_closing() {
                return Err(Problem::new(
                    503,
                    "node_closed_exception",
                    "the store is being stopped",
                ));
            }
            if row.version > 1 {
                state
                    .writer
                    .delete_term(Term::from_field_text(self.fields.id, row.id));
            }
            state
                .writer
                .add_document(self.document(&mapping, seq_no, &row)?)?;
            added += 1;
            if added % COMMIT_EVERY == 0 {
                commit(&mut state.writer, seq_no + 1)?;
            }
            Ok(true)
        })?;
        commit(&mut state.writer, next)?;
        state.reader.reload()?;
        state.followed = next;
        if gone.is_empty() {
            Ok(())
        } else {
            engine.storage.forget_gone(index, next)
        }
    }

    fn document(
        &self,
        mapping: &Mapping,
        seq_no: u64,
        row: &Row<'_>,
    ) -> Result<TantivyDocument, Problem> {
        let mut document = TantivyDocument::new();
        document.add_text(self.fields.id, row.id);
        document.add_u64(self.fields.seq_no, seq_no);
        let mut exact = HashSet::new();
        let source: Value = serde_json::from_str(row.source)?;
        walk(&source, "", mapping, &mut |field, value| {
            if field.analysed
                && let Some(text) = key_of(Kind::Text, value)
            {
                document.add_text(
                    self.fields.words,
                    format!("{}{SEPARATOR}{text}", field.path),
                );
            }
            if let Some(key) = key_of(field.kind, value).filter(|key| key.len() <= EXACT_LIMIT) {
                exact.insert(format!("{}{SEPARATOR}{key}", field.path));
            }
            exact.insert(format!("{PRESENCE}{}", field.path));
            exact.extend(
                field
                    .path
                    .match_indices('.')
                    .filter_map(|(at, _)| Some(format!("{PRESENCE}{}", field.path.get(..at)?))),
            );
        });
        for term in exact {
            document.add_text(self.fields.exact, term);
        }
        Ok(document)
    }

    /// The documents that a query may match, with their scores, in the order of their sequence numbers.
    pub(crate) fn search(
        &self,
        searcher: &Searcher,
        narrowed: Narrowed,
    ) -> Result<Vec<(u64, f32)>, Problem> {
        let mut found = searcher.search(&narrowed.into_query(), &Hits)?;
        found.sort_unstable_by_key(|(seq_no, _)| *seq_no);
        Ok(found)
    }

    fn word(&self, path: &str, word: &str) -> Term {
        Term::from_field_text(self.fields.words, &format!("{path}{SEPARATOR}{word}"))
    }

    fn any_word<'w>(
        &self,
        path: &str,
        words: impl Iterator<Item = &'w String>,
        required: usize,
    ) -> BooleanQuery {
        let term = |word: &String| -> Box<dyn TextQuery> {
            Box::new(TermQuery::new(
                self.word(path, word),
                IndexRecordOption::WithFreqs,
            ))
        };
        BooleanQuery::with_minimum_required_clauses(
            words.map(|word| (Occur::Should, term(word))).collect(),
            required,
        )
    }

    /// What the full-text index can say about a query.
    pub(crate) fn narrow(&self, query: &Query) -> Narrowed {
        match query {
            Query::All => Narrowed::everything(true),
            Query::Nothing => Narrowed::exactly(EmptyQuery),
            Query::Words {
                path,
                words,
                required,
            } => Narrowed::exactly(self.any_word(path, words.iter(), *required)),
            Query::Phrase {
                path,
                words,
                open_end,
            } => {
                let whole: HashSet<&String> = words
                    .iter()
                    .take(words.len() - usize::from(*open_end))
                    .collect();
                if whole.is_empty() {
                    return Narrowed::everything(false);
                }
                let count = whole.len();
                Narrowed {
                    exact: words.len() == 1 && !open_end,
                    ..Narrowed::exactly(self.any_word(path, whole.into_iter(), count))
                }
            }
            Query::Exact { field, keys } if field.kind == Kind::Text => {
                Narrowed::exactly(self.any_word(&field.path, keys.iter(), 1))
            }
            Query::Exact { keys, .. } if keys.iter().any(|key| key.len() > EXACT_LIMIT) => {
                Narrowed::everything(false)
            }
            Query::Exact { field, keys } => {
                let short = keys.iter().filter(|key| {
                    field.ignore_above == usize::MAX || key.chars().count() <= field.ignore_above
                });
                let terms = short.map(|key| {
                    Term::from_field_text(
                        self.fields.exact,
                        &format!("{}{SEPARATOR}{key}", field.path),
                    )
                });
                Narrowed::exactly(ConstScoreQuery::new(
                    Box::new(TermSetQuery::new(terms)),
                    1.0,
                ))
            }
            Query::Pattern {
                field,
                pattern,
                ignore_case,
            } => {
                let prefix = pattern
                    .strip_suffix('*')
                    .filter(|prefix| !prefix.contains('*'));
                match (prefix, field.kind) {
                    (Some(prefix), Kind::Text) => Narrowed::exactly(FuzzyTermQuery::new_prefix(
                        self.word(&field.path, prefix),
                        0,
                        true,
                    )),
                    // Values that were too long for this index are out of reach of the field anyway.
                    (Some(prefix), _) if !ignore_case && field.ignore_above <= EXACT_LIMIT / 4 => {
                        let term = Term::from_field_text(
                            self.fields.exact,
                            &format!("{}{SEPARATOR}{prefix}", field.path),
                        );
                        Narrowed {
                            exact: false,
                            ..Narrowed::exactly(FuzzyTermQuery::new_prefix(term, 0, true))
                        }
                    }
                    _ => Narrowed::everything(false),
                }
            }
            Query::Range { .. } => Narrowed::everything(false),
            Query::Exists { path } => {
                let term = Term::from_field_text(self.fields.exact, &format!("{PRESENCE}{path}"));
                Narrowed::exactly(ConstScoreQuery::new(
                    Box::new(TermQuery::new(term, IndexRecordOption::Basic)),
                    1.0,
                ))
            }
            Query::Ids(ids) => {
                let terms = ids
                    .iter()
                    .map(|id| Term::from_field_text(self.fields.id, id));
                Narrowed::exactly(ConstScoreQuery::new(
                    Box::new(TermSetQuery::new(terms)),
                    1.0,
                ))
            }
            Query::Bool(clauses) => self.narrow_bool(clauses),
            Query::Best(queries) => {
                let narrowed: Vec<Narrowed> =
                    queries.iter().map(|query| self.narrow(query)).collect();
                let exact = narrowed.iter().all(|narrowed| narrowed.exact);
                let queries = narrowed.into_iter().map(Narrowed::into_query).collect();
                Narrowed {
                    exact,
                    ..Narrowed::exactly(DisjunctionMaxQuery::new(queries))
                }
            }
            Query::Boosted(query, boost) => {
                let Narrowed { query, exact } = self.narrow(query);
                Narrowed {
                    query: query.map(|query| -> Box<dyn TextQuery> {
                        Box::new(BoostQuery::new(query, *boost))
                    }),
                    exact,
                }
            }
            Query::Constant(query) => {
                let Narrowed { query, exact } = self.narrow(query);
                Narrowed {
                    query: query.map(|query| -> Box<dyn TextQuery> {
                        Box::new(ConstScoreQuery::new(query, 1.0))
                    }),
                    exact,
                }
            }
        }
    }

    fn narrow_bool(&self, wanted: &Bool) -> Narrowed {
        let mut clauses: Vec<(Occur, Box<dyn TextQuery>)> = Vec::new();
        let mut exact = true;
        let scored = wanted.must.iter().map(|query| (true, query));
        for (scored, query) in scored.chain(wanted.filter.iter().map(|query| (false, query))) {
            let narrowed = self.narrow(query);
            exact &= narrowed.exact;
            match narrowed.query {
                Some(query) if scored => clauses.push((Occur::Must, query)),
                Some(query) => {
                    clauses.push((Occur::Must, Box::new(ConstScoreQuery::new(query, 0.0))))
                }
                None => {}
            }
        }
        let should: Vec<Narrowed> = wanted
            .should
            .iter()
            .map(|query| self.narrow(query))
            .collect();
        if wanted.required > 0 {
            exact &= should.iter().all(|narrowed| narrowed.exact);
            let should = should
                .into_iter()
                .map(|narrowed| (Occur::Should, narrowed.into_query()))
                .collect();
            clauses.push((
                Occur::Must,
                Box::new(BooleanQuery::with_minimum_required_clauses(
                    should,
                    wanted.required,
                )),
            ));
        } else {
            // Free to match or not: they only raise the score, and only if they are sure.
            let sure = should
                .into_iter()
                .filter(|narrowed| narrowed.exact)
                .filter_map(|narrowed| narrowed.query);
            clauses.extend(sure.map(|query| (Occur::Should, query)));
        }
        for query in &wanted.must_not {
            let narrowed = self.narrow(query);
            exact &= narrowed.exact;
            if narrowed.exact {
                clauses.push((Occur::MustNot, narrowed.into_query()));
            }
        }
        if clauses.is_empty() {
            return Narrowed::everything(exact);
        }
        if !clauses.iter().any(|(occur, _)| *occur == Occur::Must) {
            clauses.push((
                Occur::Must,
                Box::new(ConstScoreQuery::new(Box::new(AllQuery), 0.0)),
            ));
        }
        Narrowed {
            exact,
            ..Narrowed::exactly(BooleanQuery::new(clauses))
        }
    }
}

/// Commits what was written, with the sequence number up to which it follows the documents.
fn commit(writer: &mut IndexWriter, followed: u64) -> Result<(), Problem> {
    let mut commit = writer.prepare_commit()?;
    commit.set_payload(&followed.to_string());
    commit.commit()?;
    Ok(())
}

/// Visits every single value of a mapped field.
fn walk(value: &Value, path: &str, mapping: &Mapping, visit: &mut impl FnMut(&Field, &Value)) {
    match value {
        Value::Null => {}
        Value::Array(items) => items
            .iter()
            .for_each(|item| walk(item, path, mapping, visit)),
        Value::Object(object) => {
            for (key, child) in object {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                walk(child, &path, mapping, visit);
            }
        }
        scalar => {
            if let Some(field) = mapping.field(path) {
                visit(&field, scalar);
            }
        }
    }
}

/// Collects sequence numbers and scores.
struct Hits;

struct SegmentHits {
    numbers: Arc<dyn ColumnValues<u64>>,
    hits: Vec<(u64, f32)>,
}

impl Collector for Hits {
    type Fruit = Vec<(u64, f32)>;
    type Child = SegmentHits;

    fn for_segment(
        &self,
        _: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> tantivy::Result<SegmentHits> {
        let numbers = segment.fast_fields().u64("seq_no")?.first_or_default_col(0);
        Ok(SegmentHits {
            numbers,
            hits: Vec::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, fruits: Vec<Vec<(u64, f32)>>) -> tantivy::Result<Vec<(u64, f32)>> {
        Ok(fruits.into_iter().flatten().collect())
    }
}

impl SegmentCollector for SegmentHits {
    type Fruit = Vec<(u64, f32)>;

    fn collect(&mut self, document: DocId, score: Score) {
        self.hits.push((self.numbers.get_val(document), score));
    }

    fn harvest(self) -> Vec<(u64, f32)> {
        self.hits
    }
}
