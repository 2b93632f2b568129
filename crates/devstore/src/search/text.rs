//! Cutting text into words, the same for what is stored and what is asked.
//!
//! Words end where Unicode says that words end (UAX #29), and besides at the points and apostrophes inside of them.
//! They are in lower case and keep their accents. Scripts that do not separate words (Chinese, Japanese, Thai and
//! their neighbours) give one word per character.

use std::ops::Range;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use unicode_segmentation::UnicodeSegmentation;

/// Longest word in bytes that is kept.
const WORD_LIMIT: usize = 1000;
/// Parts the path of a field from a word in the terms of the full-text index.
pub(crate) const SEPARATOR: char = '\0';

/// The words of a text, one after the other, and where they stand.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (String, Range<usize>)> {
    let is_kana = |letter: char| ('\u{30a0}'..='\u{30ff}').contains(&letter);
    let is_mark = |letter: char| matches!(letter, '.' | ',' | '\'' | '’' | ':');
    let segments = text.unicode_word_indices();
    let parts = segments.flat_map(move |(mut end, segment)| {
        let parts = segment.split_inclusive(move |letter| is_kana(letter) || is_mark(letter));
        parts.map(move |part| {
            end += part.len();
            (end - part.len(), part.trim_end_matches(is_mark))
        })
    });
    let parts = parts.filter(|(_, word)| !word.is_empty() && word.len() <= WORD_LIMIT);
    parts.map(|(start, word)| (word.to_lowercase(), start..start + word.len()))
}

/// The distinct words of a query, in their order.
pub(crate) fn distinct(text: &str) -> Vec<String> {
    let mut distinct = Vec::new();
    for (word, _) in words(text) {
        if !distinct.contains(&word) {
            distinct.push(word);
        }
    }
    distinct
}

/// Cuts `path, SEPARATOR, text` into terms `path, SEPARATOR, word`, so that one field of the full-text index serves
/// all fields of the documents. A text without a path gives its words.
#[derive(Clone, Default)]
pub(crate) struct PathTokenizer;

/// The stream of one value.
pub(crate) struct PathTokens<'t> {
    prefix: &'t str,
    words: Box<dyn Iterator<Item = (String, Range<usize>)> + 't>,
    token: Token,
}

impl Tokenizer for PathTokenizer {
    type TokenStream<'t> = PathTokens<'t>;

    fn token_stream<'t>(&'t mut self, text: &'t str) -> PathTokens<'t> {
        let (prefix, text) = text.split_at(text.find(SEPARATOR).map_or(0, |at| at + 1));
        PathTokens {
            prefix,
            words: Box::new(words(text)),
            token: Token::default(),
        }
    }
}

impl TokenStream for PathTokens<'_> {
    fn advance(&mut self) -> bool {
        let Some((word, place)) = self.words.next() else {
            return false;
        };
        self.token.text = format!("{}{word}", self.prefix);
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = self.prefix.len() + place.start;
        self.token.offset_to = self.prefix.len() + place.end;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
