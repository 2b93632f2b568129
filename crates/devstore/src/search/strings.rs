//! The little languages of `query_string` and `simple_query_string`: words, "phrases", prefix*, field:word,
//! + and -, AND, OR, NOT, |, parentheses.

use serde_json::json;

use crate::errors::Problem;
use crate::mapping::Kind;
use crate::search::query::{Bool, Query, exact, phrase};
use crate::search::text::distinct;
use crate::storage::Index;

/// Deepest nesting of parentheses.
const DEPTH_LIMIT: usize = 20;

#[derive(Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Plus,
    Minus,
    Or,
    And,
    /// A word or phrase, and the field before it.
    Text {
        field: Option<String>,
        text: String,
        phrase: bool,
    },
}

/// Cuts the text. `words` says whether AND, OR, NOT and `field:` mean something.
fn tokens(text: &str, words: bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let sign = match first {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '+' => Some(Token::Plus),
            '-' | '!' => Some(Token::Minus),
            '|' => Some(Token::Or),
            _ => None,
        };
        if let Some(sign) = sign {
            tokens.push(sign);
            rest = rest[1..].trim_start();
            continue;
        }
        let end_of = |rest: &str| {
            rest.find([' ', '\t', '\n', '\r', '(', ')', '|', '"'])
                .unwrap_or(rest.len())
        };
        let name = rest[..end_of(rest)].split_once(':').map(|(name, _)| name);
        let field = name
            .filter(|name| words && !name.is_empty())
            .map(str::to_owned);
        rest = &rest[field.as_ref().map_or(0, |field| field.len() + 1)..];
        if let Some(quoted) = rest.strip_prefix('"') {
            let (inner, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            tokens.push(Token::Text {
                field,
                text: inner.to_owned(),
                phrase: true,
            });
            rest = after.trim_start();
            continue;
        }
        let (word, after) = rest.split_at(end_of(rest));
        tokens.push(match word {
            "AND" | "&&" if words => Token::And,
            "OR" if words => Token::Or,
            "NOT" if words => Token::Minus,
            _ => Token::Text {
                field,
                text: word.to_owned(),
                phrase: false,
            },
        });
        rest = after.trim_start();
    }
    tokens
}

struct Parser<'p> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
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
) -> Result<Query, Problem> {
    let count = |sign: char| text.matches(sign).count();
    if strict && (count('"') % 2 == 1 || count('(') != count(')')) {
        return Err(Problem::parsing(format!(
            "Failed to parse query [{text}]: a quotation mark or parenthesis is missing"
        )));
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
            .next_if(|token| depth == 0 || *token != Token::Close)
        {
            let clause = match token {
                Token::And | Token::Or => {
                    // The clause on the left of AND is wanted too; that on the left of OR is free.
                    let and = token == Token::And;
                    let (from, to) = if and {
                        (&mut found.should, &mut found.must)
                    } else {
                        (&mut found.must, &mut found.should)
                    };
                    to.extend(if and || self.all { from.pop() } else { None });
                    joined = Some(and);
                    continue;
                }
                Token::Plus => {
                    joined = Some(true);
                    continue;
                }
                Token::Minus => {
                    let next = self.tokens.next();
                    found
                        .must_not
                        .extend(next.and_then(|next| self.clause(next, depth)));
                    continue;
                }
                other => self.clause(other, depth),
            };
            let wanted = joined.take().unwrap_or(self.all);
            if wanted {
                &mut found.must
            } else {
                &mut found.should
            }
            .extend(clause);
        }
        found.required = usize::from(found.must.is_empty() && !found.should.is_empty());
        let empty = found.must.is_empty() && found.should.is_empty() && found.must_not.is_empty();
        if empty {
            Query::Nothing
        } else {
            Query::Bool(found)
        }
    }

    /// One word, phrase or group; `None` if nothing of it is a word.
    fn clause(&mut self, token: Token, depth: usize) -> Option<Query> {
        let (field, text, is_phrase) = match token {
            Token::Text {
                field,
                text,
                phrase,
            } => (field, text, phrase),
            Token::Open if depth < DEPTH_LIMIT => {
                let inner = self.group(depth + 1);
                self.tokens.next_if_eq(&Token::Close);
                return Some(inner);
            }
            _ => return None,
        };
        if text == "*" && field.as_deref().is_none_or(|field| field == "*") {
            return Some(Query::All);
        }
        let own = field.map(|field| [(field, 1.0)]);
        let fields = own.as_ref().map_or(self.fields, |own| own.as_slice());
        let each = fields.iter().filter_map(|(name, boost)| {
            let query = self.on_field(name, &text, is_phrase)?;
            Some(Query::Boosted(Box::new(query), *boost))
        });
        let each: Vec<Query> = each.collect();
        (!each.is_empty()).then_some(Query::Best(each))
    }

    fn on_field(&self, name: &str, text: &str, is_phrase: bool) -> Option<Query> {
        let field = self.index.mapping.field(name);
        let (is_text, pattern) = (
            field.as_ref().is_some_and(|field| field.kind == Kind::Text),
            text.contains('*'),
        );
        Some(match field {
            Some(field) if text == "*" => Query::Exists { path: field.path },
            Some(_) if is_phrase => phrase(self.index, name, text, false),
            Some(field) if pattern && is_text => Query::Pattern {
                field,
                pattern: text.to_lowercase(),
                ignore_case: true,
            },
            Some(field) if pattern && field.kind == Kind::Keyword => Query::Pattern {
                field,
                pattern: text.to_owned(),
                ignore_case: false,
            },
            Some(field) if is_text => {
                let words = distinct(text);
                let required = words.len();
                if words.is_empty() {
                    return None;
                }
                Query::Words {
                    path: field.path,
                    words,
                    required,
                }
            }
            _ => exact(self.index, name, &[&json!(text)]).unwrap_or(Query::Nothing),
        })
    }
}
