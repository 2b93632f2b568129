//! The full-text index of one index: which documents can match, and how well.
//!
//! It follows the file of documents and can be made again from it at any time. The number up to which it has
//! followed is committed with it, so it goes on from there after a crash.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::ColumnValues;
use tantivy::directory::MmapDirectory;
use tantivy::query::{AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery};
use tantivy::query::{
    EmptyQuery, FuzzyTermQuery, Occur, Query as TextQuery, TermQuery, TermSetQuery,
};
use tantivy::schema::{FAST, Field as TextField, IndexRecordOption, STRING, Schema};
use tantivy::schema::{TextFieldIndexing, TextOptions};
use tantivy::{DocId, IndexReader, IndexWriter, ReloadPolicy, Score, Searcher};
use tantivy::{SegmentOrdinal, SegmentReader, TantivyDocument, Term};

use crate::engine::Engine;
use crate::errors::Result;
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
    pub(crate) query: Option<Box<dyn TextQuery>>,
    pub(crate) exact: bool,
}

impl Narrowed {
    fn exactly(query: impl TextQuery) -> Narrowed {
        Narrowed {
            query: Some(Box::new(query)),
            exact: true,
        }
    }

    /// The same documents, each with this score.
    fn scored(query: impl TextQuery, score: f32) -> Narrowed {
        Self::exactly(ConstScoreQuery::new(Box::new(query), score))
    }

    fn into_query(self) -> Box<dyn TextQuery> {
        self.query.unwrap_or_else(|| Box::new(AllQuery))
    }
}

/// Every document, and each has to be looked at.
const UNKNOWN: Narrowed = Narrowed {
    query: None,
    exact: false,
};

impl FullText {
    /// Opens the index in `folder`. One that cannot be read is made anew.
    pub(crate) fn open(folder: &Path) -> Result<FullText> {
        Self::try_open(folder).or_else(|problem| {
            tracing::warn!(folder = %folder.display(), reason = problem.reason, "the full-text index is made anew");
            std::fs::remove_dir_all(folder)?;
            Self::try_open(folder)
        })
    }

    fn try_open(folder: &Path) -> Result<FullText> {
        std::fs::create_dir_all(folder)?;
        let mut schema = Schema::builder();
        let words = TextFieldIndexing::default().set_tokenizer(TOKENIZER);
        let words = words.set_index_option(IndexRecordOption::WithFreqs);
        let exact = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_fieldnorms(false);
        let exact = exact.set_index_option(IndexRecordOption::Basic);
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
    pub(crate) fn view(&self, engine: &Engine, index: &Arc<Index>) -> Result<(View, Searcher)> {
        let mut state = lock(&self.state);
        let view = engine.storage.view(index)?;
        if state.followed < view.next {
            self.follow(engine, index, &view, &mut state)?;
        }
        Ok((view, state.reader.searcher()))
    }

    fn follow(&self, engine: &Engine, index: &Index, view: &View, state: &mut State) -> Result<()> {
        // The mapping of the same moment: the one at hand may be older than the documents.
        let (mapping, gone) = (view.mapping()?, view.gone(state.followed)?);
        let delete = |writer: &IndexWriter, id: &str| {
            writer.delete_term(Term::from_field_text(self.fields.id, id))
        };
        for id in &gone {
            delete(&state.writer, id);
        }
        let mut added = 0;
        view.scan(state.followed, |row| {
            if engine.closing.load(Ordering::Relaxed) {
                return Err(Engine::stopped());
            }
            if row.version > 1 {
                delete(&state.writer, row.id);
            }
            state.writer.add_document(self.document(&mapping, &row)?)?;
            added += 1;
            if added % COMMIT_EVERY == 0 {
                commit(&mut state.writer, row.seq_no + 1)?;
            }
            Ok(true)
        })?;
        commit(&mut state.writer, view.next)?;
        state.reader.reload()?;
        state.followed = view.next;
        if gone.is_empty() {
            Ok(())
        } else {
            engine
                .storage
                .write(|batch| batch.forget_gone(index, view.next))
        }
    }

    fn document(&self, mapping: &Mapping, row: &Row) -> Result<TantivyDocument> {
        let mut document = TantivyDocument::new();
        document.add_text(self.fields.id, row.id);
        document.add_u64(self.fields.seq_no, row.seq_no);
        let (mut exact, source) = (HashSet::new(), serde_json::from_str(row.source)?);
        walk(&source, "", mapping, &mut |field, value| {
            let path = &field.path;
            if let Some(text) = key_of(Kind::Text, value).filter(|_| field.analysed) {
                document.add_text(self.fields.words, format!("{path}{SEPARATOR}{text}"));
            }
            let key = key_of(field.kind, value).filter(|key| key.len() <= EXACT_LIMIT);
            exact.extend(key.map(|key| format!("{path}{SEPARATOR}{key}")));
            exact.insert(format!("{PRESENCE}{path}"));
            exact.extend(
                path.match_indices('.')
                    .map(|(at, _)| format!("{PRESENCE}{}", &path[..at])),
            );
        });
        exact
            .iter()
            .for_each(|term| document.add_text(self.fields.exact, term));
        Ok(document)
    }

    /// The documents that a query may match, with their scores, in the order of their sequence numbers.
    pub(crate) fn search(
        &self,
        searcher: &Searcher,
        narrowed: Narrowed,
    ) -> Result<Vec<(u64, f32)>> {
        let mut found = searcher.search(&narrowed.into_query(), &Hits)?;
        found.sort_unstable_by_key(|(seq_no, _)| *seq_no);
        Ok(found)
    }

    fn term(&self, field: TextField, path: &str, text: &str) -> Term {
        Term::from_field_text(field, &format!("{path}{SEPARATOR}{text}"))
    }

    /// Documents with at least `required` of the words.
    fn words<'w>(
        &self,
        path: &str,
        words: impl Iterator<Item = &'w String>,
        required: usize,
    ) -> Narrowed {
        let clause = |word: &String| -> (Occur, Box<dyn TextQuery>) {
            let term = self.term(self.fields.words, path, word);
            (
                Occur::Should,
                Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs)),
            )
        };
        Narrowed::exactly(BooleanQuery::with_minimum_required_clauses(
            words.map(clause).collect(),
            required,
        ))
    }

    /// What the full-text index can say about a query.
    pub(crate) fn narrow(&self, query: &Query) -> Narrowed {
        match query {
            Query::All => Narrowed {
                query: None,
                exact: true,
            },
            Query::Nothing => Narrowed::exactly(EmptyQuery),
            Query::Words(path, words, required) => self.words(path, words.iter(), *required),
            Query::Phrase(path, words, open_end) => {
                let whole: HashSet<_> = words
                    .iter()
                    .take(words.len() - usize::from(*open_end))
                    .collect();
                let count = whole.len();
                if count == 0 {
                    return UNKNOWN;
                }
                Narrowed {
                    exact: false,
                    ..self.words(path, whole.into_iter(), count)
                }
            }
            Query::Exact(field, keys) if field.kind == Kind::Text => {
                self.words(&field.path, keys.iter(), 1)
            }
            Query::Exact(_, keys) if keys.iter().any(|key| key.len() > EXACT_LIMIT) => UNKNOWN,
            Query::Exact(field, keys) => {
                let within = keys
                    .iter()
                    .filter(|key| key.chars().count() <= field.ignore_above);
                let terms = within.map(|key| self.term(self.fields.exact, &field.path, key));
                Narrowed::scored(TermSetQuery::new(terms), 1.0)
            }
            Query::Pattern(field, pattern, _) if field.kind == Kind::Text => {
                match pattern.strip_suffix('*') {
                    Some(prefix) if !prefix.contains('*') => {
                        let term = self.term(self.fields.words, &field.path, prefix);
                        Narrowed::exactly(FuzzyTermQuery::new_prefix(term, 0, true))
                    }
                    _ => UNKNOWN,
                }
            }
            Query::Pattern(..) | Query::Range(..) => UNKNOWN,
            Query::Exists(path) => {
                let term = Term::from_field_text(self.fields.exact, &format!("{PRESENCE}{path}"));
                Narrowed::scored(TermQuery::new(term, IndexRecordOption::Basic), 1.0)
            }
            Query::Ids(ids) => {
                let terms = ids
                    .iter()
                    .map(|id| Term::from_field_text(self.fields.id, id));
                Narrowed::scored(TermSetQuery::new(terms), 1.0)
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
            Query::Boosted(query, boost) => match self.narrow(query) {
                Narrowed {
                    query: Some(query),
                    exact,
                } => Narrowed {
                    exact,
                    ..Narrowed::exactly(BoostQuery::new(query, *boost))
                },
                everything => everything,
            },
            Query::Constant(query) => match self.narrow(query) {
                Narrowed {
                    query: Some(query),
                    exact,
                } => Narrowed {
                    exact,
                    ..Narrowed::scored(query, 1.0)
                },
                everything => everything,
            },
        }
    }

    fn narrow_bool(&self, wanted: &Bool) -> Narrowed {
        let mut clauses: Vec<(Occur, Box<dyn TextQuery>)> = Vec::new();
        let mut exact = true;
        for (number, query) in wanted.must.iter().chain(&wanted.filter).enumerate() {
            let narrowed = self.narrow(query);
            exact &= narrowed.exact;
            // Filters do not count for the score.
            let boost = if number < wanted.must.len() { 1.0 } else { 0.0 };
            clauses.extend(
                narrowed
                    .query
                    .map(|query| (Occur::Must, Box::new(BoostQuery::new(query, boost)) as _)),
            );
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
            let any = BooleanQuery::with_minimum_required_clauses(should, wanted.required);
            clauses.push((Occur::Must, Box::new(any)));
        } else {
            // Free to match or not: they only raise the score, and only if they are sure.
            let sure = should.into_iter().filter(|narrowed| narrowed.exact);
            clauses.extend(sure.filter_map(|narrowed| Some((Occur::Should, narrowed.query?))));
        }
        for query in &wanted.must_not {
            let narrowed = self.narrow(query);
            exact &= narrowed.exact;
            clauses.extend(
                narrowed
                    .exact
                    .then(|| (Occur::MustNot, narrowed.into_query())),
            );
        }
        if clauses.is_empty() {
            return Narrowed { query: None, exact };
        }
        if !clauses.iter().any(|(occur, _)| *occur == Occur::Must) {
            clauses.push((Occur::Must, Narrowed::scored(AllQuery, 0.0).into_query()));
        }
        Narrowed {
            exact,
            ..Narrowed::exactly(BooleanQuery::new(clauses))
        }
    }
}

/// Commits what was written, with the sequence number up to which it follows the documents.
fn commit(writer: &mut IndexWriter, followed: u64) -> Result<()> {
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
            let dot = if path.is_empty() { "" } else { "." };
            object
                .iter()
                .for_each(|(key, child)| walk(child, &format!("{path}{dot}{key}"), mapping, visit));
        }
        scalar => mapping
            .fields
            .get(path)
            .iter()
            .for_each(|field| visit(field, scalar)),
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
        Ok(fruits.concat())
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
