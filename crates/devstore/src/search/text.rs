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
    let ends =
        move |letter: char| is_kana(letter) || matches!(letter, '.' | ',' | '\'' | '’' | ':');
    let segments = text.unicode_word_indices();
    let parts = segments.flat_map(move |(start, segment)| {
        let mut at = start;
        segment.split_inclusive(ends).map(move |part| {
            at += part.len();
            (at - part.len(), part)
        })
    });
    parts.filter_map(move |(start, part)| {
        let word = part.trim_end_matches(|letter| ends(letter) && !is_kana(letter));
        let fits = !word.is_empty() && word.len() <= WORD_LIMIT;
        fits.then(|| (word.to_lowercase(), start..start + word.len()))
    })
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
/// all fields of the documents.
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
        let Some((word, _)) = self.words.next() else {
            return false;
        };
        self.token.text = format!("{}{word}", self.prefix);
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}
