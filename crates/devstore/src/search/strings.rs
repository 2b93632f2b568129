//! The little languages of `query_string` and `simple_query_string`: words, "phrases", prefix*, field:word,
//! + and -, AND, OR, NOT, |, parentheses.

use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::json;

use crate::errors::{Result, refuse};
use crate::mapping::Kind;
use crate::search::query::{Bool, Query, exact, phrase};
use crate::search::text::distinct;
use crate::storage::Index;

/// Deepest nesting of parentheses.
const DEPTH_LIMIT: usize = 20;

#[derive(Debug, PartialEq)]
enum Token {
    /// One of `( ) + - | &`, the last for AND.
    Sign(char),
    /// The field, if one is named; a word or phrase; whether it is a phrase.
    Text(Option<String>, String, bool),
}

/// Cuts the text. `words` says whether AND, OR, NOT and `field:` mean something.
fn tokens(text: &str, words: bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end_of = |rest: &str| {
            rest.find([' ', '\t', '\n', '\r', '(', ')', '|', '"'])
                .unwrap_or(rest.len())
        };
        let name = rest[..end_of(rest)].split_once(':').map(|(name, _)| name);
        let field = name
            .filter(|name| words && !name.is_empty())
            .map(str::to_owned);
        let after_field = &rest[field.as_ref().map_or(0, |field| field.len() + 1)..];
        if "()+-|!".contains(first) {
            tokens.push(Token::Sign(if first == '!' { '-' } else { first }));
            rest = &rest[1..];
        } else if let Some(quoted) = after_field.strip_prefix('"') {
            let (inner, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            tokens.push(Token::Text(field, inner.to_owned(), true));
            rest = after;
        } else {
            let (word, after) = after_field.split_at(end_of(after_field));
            tokens.push(match word {
                "AND" | "&&" if words => Token::Sign('&'),
                "OR" if words => Token::Sign('|'),
                "NOT" if words => Token::Sign('-'),
                word => Token::Text(field, word.to_owned(), false),
            });
            rest = after;
        }
        rest = rest.trim_start();
    }
    tokens
}

struct Parser<'p> {
    tokens: Peekable<IntoIter<Token>>,
    fields: &'p [(String, f32)],
    index: &'p Index,
    all: bool,
}

/// Parses the text of a query over `fields`. `all`: words without a sign must all be found.
pub(crate) fn parse(
    text: &str,
    fields: &[(String, f32)],
    index: &Index,
    all: bool,
    strict: bool,
) -> Result<Query> {
    let count = |sign: char| text.matches(sign).count();
    if strict && (count('"') % 2 == 1 || count('(') != count(')')) {
        refuse!(
            "parsing_exception",
            "Failed to parse query [{text}]: a quotation mark or parenthesis is missing"
        );
    }
    let tokens = tokens(text, strict).into_iter().peekable();
    Ok(Parser {
        tokens,
        fields,
        index,
        all,
    }
    .group(0))
}

impl Parser<'_> {
    fn group(&mut self, depth: usize) -> Query {
        let mut found = Bool::default();
        // How the clause to come is joined to the one before: by AND or by OR.
        let mut joined = None;
        while let Some(token) = self
            .tokens
            .next_if(|token| depth == 0 || *token != Token::Sign(')'))
        {
            match token {
                // The clause on the left of AND is wanted too; that on the left of OR is free.
                Token::Sign('&') => {
                    found.must.extend(found.should.pop());
                    joined = Some(true);
                }
                Token::Sign('|') => {
                    found
                        .should
                        .extend(if self.all { found.must.pop() } else { None });
                    joined = Some(false);
                }
                Token::Sign('+') => joined = Some(true),
                Token::Sign('-') => {
                    let next = self.tokens.next();
                    found
                        .must_not
                        .extend(next.and_then(|next| self.clause(next, depth)));
                }
                token => {
                    let clause = self.clause(token, depth);
                    let is_wanted = joined.take().unwrap_or(self.all);
                    let clauses = if is_wanted {
                        &mut found.must
                    } else {
                        &mut found.should
                    };
                    clauses.extend(clause);
                }
            }
        }
        found.required = usize::from(found.must.is_empty() && !found.should.is_empty());
        let is_empty =
            found.must.is_empty() && found.should.is_empty() && found.must_not.is_empty();
        if is_empty {
            Query::Nothing
        } else {
            Query::Bool(found)
        }
    }

    /// One word, phrase or group; `None` if nothing of it is a word.
    fn clause(&mut self, token: Token, depth: usize) -> Option<Query> {
        let (field, text, is_phrase) = match token {
            Token::Text(field, text, is_phrase) => (field, text, is_phrase),
            Token::Sign('(') if depth < DEPTH_LIMIT => {
                let inner = self.group(depth + 1);
                self.tokens.next_if_eq(&Token::Sign(')'));
                return Some(inner);
            }
            Token::Sign(_) => return None,
        };
        if text == "*" && field.as_deref().is_none_or(|field| field == "*") {
            return Some(Query::All);
        }
        let own = field.map(|field| [(field, 1.0)]);
        let fields = own.as_ref().map_or(self.fields, |own| own.as_slice());
        let on_fields = fields.iter().filter_map(|(name, boost)| {
            let query = self.on_field(name, &text, is_phrase)?;
            Some(Query::Boosted(Box::new(query), *boost))
        });
        let on_fields: Vec<Query> = on_fields.collect();
        (!on_fields.is_empty()).then_some(Query::Best(on_fields))
    }

    fn on_field(&self, name: &str, text: &str, is_phrase: bool) -> Option<Query> {
        let (field, has_star) = (self.index.mapping.field(name), text.contains('*'));
        Some(match field {
            Some(field) if text == "*" => Query::Exists(field.path),
            Some(_) if is_phrase => phrase(self.index, name, text, false),
            Some(field) if has_star && field.kind == Kind::Text => {
                Query::Pattern(field, text.to_lowercase(), true)
            }
            Some(field) if has_star && field.kind == Kind::Keyword => {
                Query::Pattern(field, text.to_owned(), false)
            }
            Some(field) if field.kind == Kind::Text => {
                let words = distinct(text);
                let required = words.len();
                return (required > 0).then_some(Query::Words(field.path, words, required));
            }
            _ => exact(self.index, name, &[json!(text)]).unwrap_or(Query::Nothing),
        })
    }
}
