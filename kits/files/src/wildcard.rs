//! One segment of a pattern with `*`, `?` or `[…]`, as Python's `fnmatch` reads it.
//! Facts: <https://docs.python.org/3.11/library/fnmatch.html>, and the golden file of the tests.

/// A compiled segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wildcard(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Any number of characters.
    Star,
    /// Any one character.
    Any,
    /// This character.
    One(u32),
    /// A character in (or, if negated, outside of) these ranges. Without ranges: none at all.
    Set {
        is_negated: bool,
        ranges: Vec<(u32, u32)>,
    },
}

impl Wildcard {
    /// Whether a segment has to be matched; if not, it is a plain name.
    pub(crate) fn is_wild(segment: &str) -> bool {
        segment.contains(['*', '?', '['])
    }

    pub(crate) fn new(segment: &str) -> Self {
        let letters: Vec<char> = segment.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(letter) = letters.get(at) {
            at += 1;
            match letter {
                '*' if tokens.last() == Some(&Token::Star) => {}
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::Any),
                '[' => match end_of_set(&letters, at) {
                    Some(end) => {
                        tokens.push(set(&letters[at..end]));
                        at = end + 1;
                    }
                    None => tokens.push(Token::One('['.into())),
                },
                other => tokens.push(Token::One((*other).into())),
            }
        }
        Self(tokens)
    }

    /// Whether the whole name matches.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let tokens = &self.0;
        // Most patterns are `*.ext` over plain ASCII: no need to decode then.
        if name.is_ascii() {
            return matches(tokens, name.len(), |at| u32::from(name[at]));
        }
        let letters = decode(name);
        matches(tokens, letters.len(), |at| letters[at])
    }
}

/// Where the `]` is that closes a set whose first letter is at `start`. A `]` right at the start (or
/// after the `!`) stands for itself.
fn end_of_set(letters: &[char], start: usize) -> Option<usize> {
    let mut at = start;
    if letters.get(at) == Some(&'!') {
        at += 1;
    }
    if letters.get(at) == Some(&']') {
        at += 1;
    }
    let closing = letters
        .get(at..)?
        .iter()
        .position(|letter| *letter == ']')?;
    Some(at + closing)
}

/// What stands between the brackets. Ranges that run backwards vanish together with their ends, and
/// what is left is read anew, as in Python: so `[z-a!b]` means "not b".
fn set(inner: &[char]) -> Token {
    let mut pieces = split_at_ranges(inner);
    for right in (1..pieces.len()).rev() {
        let backwards = match (pieces[right - 1].last(), pieces[right].first()) {
            (Some(low), Some(high)) => low > high,
            _ => false,
        };
        if backwards {
            let tail = pieces.remove(right);
            pieces[right - 1].pop();
            pieces[right - 1].extend_from_slice(&tail[1..]);
        }
    }
    // `None` is a hyphen between two pieces.
    let mut parts: Vec<Option<u32>> = Vec::new();
    for (position, piece) in pieces.iter().enumerate() {
        if position > 0 {
            parts.push(None);
        }
        parts.extend(piece.iter().map(|letter| Some(u32::from(*letter))));
    }
    let bang = Some(u32::from('!'));
    if parts == [bang] {
        return Token::Any;
    }
    let is_negated = parts.first() == Some(&bang);
    let parts = &parts[usize::from(is_negated)..];
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        let hyphen = u32::from('-');
        match (part, parts.get(at + 1), parts.get(at + 2)) {
            (Some(low), Some(None), Some(Some(high))) => {
                ranges.push((*low, *high));
                at += 3;
            }
            (part, ..) => {
                let letter = part.unwrap_or(hyphen);
                ranges.push((letter, letter));
                at += 1;
            }
        }
    }
    Token::Set { is_negated, ranges }
}

/// Splits at the hyphens that stand between the two ends of a range. A hyphen is plain if it is the
/// first, the last, or right behind a range.
fn split_at_ranges(inner: &[char]) -> Vec<Vec<char>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut search = if inner.first() == Some(&'!') { 2 } else { 1 };
    while let Some(hyphen) = inner
        .get(search..)
        .and_then(|rest| rest.iter().position(|letter| *letter == '-'))
        .map(|position| search + position)
    {
        pieces.push(inner[start..hyphen].to_vec());
        start = hyphen + 1;
        search = hyphen + 3;
    }
    match (&inner[start..], pieces.last_mut()) {
        ([], Some(last)) => last.push('-'),
        (rest, _) => pieces.push(rest.to_vec()),
    }
    pieces
}

/// The characters of a name. A byte that is not UTF-8 counts as one character of its own, outside of
/// what a pattern can name (as with Python's `surrogateescape`).
fn decode(name: &[u8]) -> Vec<u32> {
    let mut letters = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        letters.extend(chunk.valid().chars().map(u32::from));
        letters.extend(chunk.invalid().iter().map(|byte| 0xDC00 + u32::from(*byte)));
    }
    letters
}

/// Linear in practice, `tokens × letters` at worst: after a mismatch only the last star grows.
fn matches(tokens: &[Token], length: usize, letter: impl Fn(usize) -> u32) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < length {
        let here = match tokens.get(token) {
            Some(Token::Star) => {
                retry = Some((token + 1, at));
                token += 1;
                continue;
            }
            Some(Token::Any) => true,
            Some(Token::One(wanted)) => *wanted == letter(at),
            Some(Token::Set { is_negated, ranges }) => {
                let found = letter(at);
                let is_in = ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&found));
                is_in != *is_negated
            }
            None => false,
        };
        match (here, retry) {
            (true, _) => {
                token += 1;
                at += 1;
            }
            (false, Some((after_star, from))) => {
                token = after_star;
                at = from + 1;
                retry = Some((after_star, at));
            }
            (false, None) => return false,
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Star)
}
