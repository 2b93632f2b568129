//! Cutting text into words, the same for what is stored and what is asked.
//!
//! A word is a run of letters, digits, marks and underscores in lower case; accents stay. Scripts that do not
//! separate words (Chinese, Japanese, Thai and their neighbours) give one word per character.

use std::ops::Range;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Longest word in characters; longer runs are cut, as Elasticsearch's standard analyzer does.
const WORD_LIMIT: usize = 255;

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) place: Range<usize>,
}

/// A character of a script without gaps between words.
fn stands_alone(character: char) -> bool {
    matches!(character,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9d}' | '\u{20000}'..='\u{323af}')
        && character.is_alphanumeric()
        && !is_mark(character)
}

/// Marks that belong to the letter before them.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{0300}'..='\u{036f}' | '\u{0483}'..='\u{0487}' | '\u{0591}'..='\u{05bd}' | '\u{05bf}' | '\u{05c1}'..='\u{05c2}'
        | '\u{05c4}'..='\u{05c5}' | '\u{0610}'..='\u{061a}' | '\u{064b}'..='\u{065f}' | '\u{0670}' | '\u{06d6}'..='\u{06dc}'
        | '\u{06df}'..='\u{06e8}' | '\u{06ea}'..='\u{06ed}' | '\u{0e31}' | '\u{0e34}'..='\u{0e3a}' | '\u{0e47}'..='\u{0e4e}'
        | '\u{0eb1}' | '\u{0eb4}'..='\u{0ebc}' | '\u{0ec8}'..='\u{0ecd}' | '\u{102b}'..='\u{103e}' | '\u{17b4}'..='\u{17d3}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{200c}' | '\u{200d}' | '\u{20d0}'..='\u{20ff}'
        | '\u{3099}'..='\u{309a}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}')
        // The signs of Indian scripts, without their punctuation.
        || (matches!(character, '\u{0900}'..='\u{0dff}') && !matches!(character, '\u{0964}' | '\u{0965}' | '\u{0970}') && !character.is_alphanumeric())
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
        let rest = self.text.get(self.at..)?;
        let start = self.at
            + rest.find(|character: char| character.is_alphanumeric() || character == '_')?;
        let mut characters = self.text.get(start..)?.char_indices();
        let (_, first) = characters.next()?;
        let alone = stands_alone(first);
        let end = characters
            .enumerate()
            .find(|(count, (_, character))| {
                let goes_on = is_mark(*character)
                    || (!alone
                        && !stands_alone(*character)
                        && (character.is_alphanumeric() || *character == '_'));
                !goes_on || count + 1 >= WORD_LIMIT
            })
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
        self.token.text.clear();
        self.token.text.push_str(self.prefix);
        self.token.text.push_str(&word.text);
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = word.place.start;
        self.token.offset_to = word.place.end;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{WORD_LIMIT, words};

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = words(text).map(|word| word.text).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn words_of_many_languages() {
        check(
            "The quick, BROWN fox_2.",
            &["the", "quick", "brown", "fox_2"],
        );
        check("Straße café Ünïcode", &["straße", "café", "ünïcode"]);
        check("Привет, мир!", &["привет", "мир"]);
        check(
            "東京タワー is 高い",
            &["東", "京", "タ", "ワ", "ー", "is", "高", "い"],
        );
        check("서울 한국어", &["서울", "한국어"]);
        check("हिन्दी भाषा।", &["हिन्दी", "भाषा"]);
        check("ที่นี่", &["ที่", "นี่"]);
        check("مرحبا بالعالم", &["مرحبا", "بالعالم"]);
        check("cafe\u{301} x", &["cafe\u{301}", "x"]);
        check("  ,;. ", &[]);
    }

    #[test]
    fn an_endless_word_is_cut() {
        let lengths: Vec<usize> = words(&"a".repeat(WORD_LIMIT + 7))
            .map(|word| word.text.len())
            .collect();
        assert_eq!(lengths, [WORD_LIMIT, 7]);
    }

    proptest! {
        #[test]
        fn words_stand_where_they_say(text in "\\PC{0,60}") {
            let mut end = 0;
            for word in words(&text) {
                prop_assert!(word.place.start >= end && !word.place.is_empty());
                end = word.place.end;
                prop_assert_eq!(text[word.place].to_lowercase(), word.text);
            }
        }
    }
}
