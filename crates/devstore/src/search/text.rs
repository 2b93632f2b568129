//! Cutting text into words, the same for what is stored and what is asked.
//!
//! A word is a run of letters, digits, marks and underscores in lower case; accents stay. Scripts that do not
//! separate words (Chinese, Japanese, Thai and their neighbours) give one word per character.

use std::ops::Range;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Longest word in characters; longer runs are cut, as Elasticsearch's standard analyzer does.
const WORD_LIMIT: usize = 255;
/// First and last characters of scripts without gaps between words: Thai and Lao, Burmese, Khmer, kana, Han.
const GAPLESS: [(char, char); 10] = [
    ('\u{e00}', '\u{eff}'),
    ('\u{1000}', '\u{109f}'),
    ('\u{1780}', '\u{17ff}'),
    ('\u{3005}', '\u{3007}'),
    ('\u{3040}', '\u{30ff}'),
    ('\u{31f0}', '\u{31ff}'),
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{9fff}'),
    ('\u{f900}', '\u{faff}'),
    ('\u{20000}', '\u{323af}'),
];

/// Marks that belong to the letter before them: accents, vowel signs, joiners.
fn is_mark(character: char) -> bool {
    let signs =
        !character.is_alphanumeric() && !matches!(character, '\u{964}' | '\u{965}' | '\u{970}');
    match character {
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{487}'
        | '\u{591}'..='\u{5c7}'
        | '\u{610}'..='\u{61a}' => true,
        '\u{64b}'..='\u{65f}' | '\u{6d6}'..='\u{6ed}' | '\u{900}'..='\u{dff}' => signs,
        '\u{e31}'
        | '\u{e34}'..='\u{e3a}'
        | '\u{e47}'..='\u{e4e}'
        | '\u{eb1}'
        | '\u{eb4}'..='\u{ebc}' => true,
        '\u{ec8}'..='\u{ecd}'
        | '\u{102b}'..='\u{103e}'
        | '\u{17b4}'..='\u{17d3}'
        | '\u{1ab0}'..='\u{1aff}' => true,
        '\u{1dc0}'..='\u{1dff}'
        | '\u{200c}'
        | '\u{200d}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{3099}'
        | '\u{309a}' => true,
        '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' => true,
        _ => false,
    }
}

/// A word and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) place: Range<usize>,
}

/// The words of a text, one after the other.
pub(crate) struct Words<'t> {
    text: &'t str,
    at: usize,
}

pub(crate) fn words(text: &str) -> Words<'_> {
    Words { text, at: 0 }
}

/// The distinct words of a query, in their order.
pub(crate) fn distinct(text: &str) -> Vec<String> {
    let mut distinct = Vec::new();
    for word in words(text) {
        if !distinct.contains(&word.text) {
            distinct.push(word.text);
        }
    }
    distinct
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
        let alone = |letter: char| {
            GAPLESS
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&letter))
        };
        let start = self.at + self.text.get(self.at..)?.find(is_letter)?;
        let mut letters = self.text.get(start..)?.char_indices();
        let (_, first) = letters.next()?;
        let goes_on = |letter: char| {
            is_mark(letter) || (is_letter(letter) && !alone(first) && !alone(letter))
        };
        let mut ends = letters
            .enumerate()
            .filter(|(count, (_, letter))| !goes_on(*letter) || count + 1 >= WORD_LIMIT);
        let end = ends
            .next()
            .map_or(self.text.len(), |(_, (at, _))| start + at);
        self.at = end;
        Some(Word {
            text: self.text.get(start..end)?.to_lowercase(),
            place: start..end,
        })
    }
}

/// Parts the path of a field from a word in the terms of the full-text index.
pub(crate) const SEPARATOR: char = '\0';

/// Cuts `path, SEPARATOR, text` into terms `path, SEPARATOR, word`, so that one field of the full-text index serves
/// all fields of the documents.
#[derive(Clone, Default)]
pub(crate) struct PathTokenizer;

/// The stream of one value.
pub(crate) struct PathTokens<'t> {
    prefix: &'t str,
    words: Words<'t>,
    token: Token,
}

impl Tokenizer for PathTokenizer {
    type TokenStream<'t> = PathTokens<'t>;

    fn token_stream<'t>(&'t mut self, text: &'t str) -> PathTokens<'t> {
        let (prefix, text) = text.split_at(text.find(SEPARATOR).map_or(0, |at| at + 1));
        PathTokens {
            prefix,
            words: words(text),
            token: Token::default(),
        }
    }
}

impl TokenStream for PathTokens<'_> {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.next() else {
            return false;
        };
        self.token.text = format!("{}{}", self.prefix, word.text);
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
