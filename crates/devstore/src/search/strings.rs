//! The little language of `simple_query_string`: words, "phrases", prefix*, + and -, |, parentheses.
//! No text is an error.

use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::{Value, json};
use tantivy::query::{AllQuery, BoostQuery, Occur};

use crate::search::query::{Clauses, Found, Reading, best, boolean, nothing};
use crate::search::text::distinct;
use crate::select::plain_text;

/// Deepest nesting of parentheses.
const DEPTH_LIMIT: usize = 20;

#[derive(Debug, PartialEq)]
enum Token {
    /// One of `( ) + - |`.
    Sign(char),
    Phrase(String),
    Word(String),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if "()+-|".contains(first) {
            tokens.push(Token::Sign(first));
            rest = &rest[1..];
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (phrase, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            tokens.push(Token::Phrase(phrase.to_owned()));
            rest = after;
        } else {
            let ends = |letter: char| letter.is_whitespace() || "()|\"".contains(letter);
            let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
            tokens.push(Token::Word(word.to_owned()));
            rest = after;
        }
        rest = rest.trim_start();
    }
    tokens
}

/// What is common to all parts of a text.
struct Wanted {
    tokens: Peekable<IntoIter<Token>>,
    fields: Vec<(String, f32)>,
    /// Whether words without a sign must all be found.
    all: bool,
}

impl Reading<'_> {
    pub(crate) fn simple_query_string(&mut self, options: &Value) -> Found {
        let operator = plain_text(&options["default_operator"]);
        let mut wanted = Wanted {
            tokens: tokens(&plain_text(&options["query"]))
                .into_iter()
                .peekable(),
            fields: self.fields(options.get("fields")),
            all: operator.eq_ignore_ascii_case("and"),
        };
        self.group(&mut wanted, 0)
    }

    fn group(&mut self, wanted: &mut Wanted, depth: usize) -> Found {
        let (mut clauses, mut joined) = (Clauses::new(), None);
        let goes_on = |token: &Token| depth == 0 || *token != Token::Sign(')');
        while let Some(token) = wanted.tokens.next_if(goes_on) {
            match token {
                // The clauses on both sides are free.
                Token::Sign('|') => {
                    if let Some((occur @ Occur::Must, _)) = clauses.last_mut() {
                        *occur = Occur::Should;
                    }
                    joined = Some(Occur::Should);
                }
                Token::Sign('+') => joined = Some(Occur::Must),
                Token::Sign('-') => joined = Some(Occur::MustNot),
                token => {
                    let default = if wanted.all {
                        Occur::Must
                    } else {
                        Occur::Should
                    };
                    let (occur, marked) = (joined.take().unwrap_or(default), self.marks.len());
                    let clause = self.clause(wanted, token, depth);
                    clauses.extend(clause.map(|clause| (occur, clause)));
                    if occur == Occur::MustNot {
                        self.marks.truncate(marked);
                    }
                }
            }
        }
        let has = |wanted: Occur| clauses.iter().any(|(occur, _)| *occur == wanted);
        let required = usize::from(!has(Occur::Must) && has(Occur::Should));
        match clauses.is_empty() {
            true => nothing(),
            false => boolean(clauses, required),
        }
    }

    /// One word, phrase or group; `None` if nothing of it is a word.
    fn clause(&mut self, wanted: &mut Wanted, token: Token, depth: usize) -> Option<Found> {
        let (text, is_phrase) = match token {
            Token::Sign('(') if depth < DEPTH_LIMIT => {
                let inner = self.group(wanted, depth + 1);
                wanted.tokens.next_if_eq(&Token::Sign(')'));
                return Some(inner);
            }
            Token::Sign(_) => return None,
            Token::Word(text) if text == "*" => return Some(Box::new(AllQuery)),
            Token::Word(text) => (text, false),
            Token::Phrase(text) => (text, true),
        };
        let mut found: Vec<Found> = Vec::new();
        for (name, boost) in &wanted.fields {
            let words = distinct(&text);
            let query = match text.strip_suffix('*') {
                _ if is_phrase || words.len() > 1 => self.phrase(name, &text),
                Some(start) => self.prefix(name, &start.to_lowercase()),
                None => {
                    let word = words.first().unwrap_or(&text);
                    let is_text = self.text_path(name).is_some();
                    let value = json!(if is_text { word } else { &text });
                    self.exact(name, &[value]).unwrap_or_else(|_| nothing())
                }
            };
            found.push(Box::new(BoostQuery::new(query, *boost)));
        }
        let is_empty = found.is_empty() || distinct(&text).is_empty();
        (!is_empty).then(|| best(found))
    }
}
