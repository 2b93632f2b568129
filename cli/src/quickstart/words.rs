//! A word that a search finds.

use tributary_elastic::Client;

/// In several of the sample documents.
const SAMPLE: &str = "Kilmoray";
/// Finds everything.
const ANYTHING: &str = "*";

/// Something to search for that finds documents, and that needs no quoting in an address.
pub(super) async fn to_search(client: &Client, index: &str) -> String {
    if finds(client, index, SAMPLE).await {
        return SAMPLE.to_owned();
    }
    for text in texts(client, index).await {
        for word in candidates(&text) {
            if finds(client, index, word).await {
                return word.to_owned();
            }
        }
    }
    ANYTHING.to_owned()
}

async fn finds(client: &Client, index: &str, word: &str) -> bool {
    match client.search(index, word, 1, &[]).await {
        Ok(answer) => !answer.hits.is_empty(),
        Err(_) => false,
    }
}

/// The beginnings of some documents.
async fn texts(client: &Client, index: &str) -> Vec<String> {
    let Ok(answer) = client.search(index, ANYTHING, 5, &[]).await else {
        return Vec::new();
    };
    let body = |source: &str| {
        let document: serde_json::Value = serde_json::from_str(source).ok()?;
        let body = document.get("body")?.as_str()?;
        Some(body.chars().take(4000).collect())
    };
    answer
        .hits
        .iter()
        .filter_map(|hit| body(hit.source.get()))
        .collect()
}

/// The three longest words of plain letters.
fn candidates(text: &str) -> Vec<&str> {
    let is_plain = |word: &&str| {
        (5..=20).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let mut words: Vec<_> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(is_plain)
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.truncate(3);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_long_plain_words() {
        let text = "A lighthouse, its keeper's über-lamp & <b>kaleidoscope</b> abc123defgh in fog";
        assert_eq!(candidates(text), ["kaleidoscope", "lighthouse", "keeper"]);
    }
}
