//! Which files are read, and how (shared file sheet).

use crate::{
    clock::Clock,
    policy::{Consequence, consequence, may_pass, pause},
};
use std::sync::Arc;
use tributary_sdk::{
    Attachment, Error, ErrorKind, Result, Session,
    emitter::{Budget, ContentSink, Permit},
};

/// The file name extensions whose content is read; compared in lower case.
const EXTENSIONS: [&str; 31] = [
    "txt", "py", "rst", "html", "markdown", "json", "xml", "csv", "md", "ppt", "rtf", "docx",
    "odt", "xls", "xlsx", "rb", "paper", "sh", "pptx", "pdf", "doc", "aspx", "xlsb", "xlsm", "tsv",
    "svg", "msg", "potx", "vsd", "vsdx", "vsdm",
];

/// How often one file is asked for.
const ATTEMPTS: u32 = 3;

/// Whether a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Yes,
    /// Not a kind of file that has text.
    No,
    TooLarge,
}

/// Decides by name and size.
pub(crate) fn wanted(file: &Attachment, limit: u64) -> Wanted {
    let name = file.name.rsplit('/').next().unwrap_or_default();
    let has_text = match name.trim_start_matches('.').rsplit_once('.') {
        Some((_, extension)) => {
            let extension = extension.to_lowercase();
            EXTENSIONS.contains(&extension.as_str())
        }
        None => false,
    };
    if !has_text {
        Wanted::No
    } else if file.size.is_some_and(|size| size > limit) {
        Wanted::TooLarge
    } else {
        Wanted::Yes
    }
}

/// What reading a file came to.
pub(crate) enum Fetched {
    /// Base64 text, and the permit that pays for it.
    Content(Vec<u8>, Permit),
    /// The document is written without it.
    Nothing(Error),
    /// The job ends.
    EndsJob(Error),
}

/// Reads a file, several times if that may help.
pub(crate) async fn fetch(
    session: Arc<dyn Session>,
    file: Attachment,
    budget: Arc<Budget>,
    limit: u64,
    clock: Arc<dyn Clock>,
) -> Fetched {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut sink = match ContentSink::reserve(&budget, file.size, limit).await {
        Ok(sink) => sink,
        Err(error) => return Fetched::EndsJob(error),
    };
    let mut attempt = 1;
    loop {
        let error = match session.fetch(&file, &mut sink).await {
            Ok(()) => {
                let (text, permit) = sink.finish();
                return Fetched::Content(text, permit);
            }
            Err(error) => error,
        };
        if consequence(error.kind()) == Consequence::EndsJob {
            return Fetched::EndsJob(error);
        }
        if attempt == ATTEMPTS || !may_pass(error.kind()) {
            return Fetched::Nothing(error);
        }
        let asked = match error.kind() {
            ErrorKind::RateLimited { retry_after } => retry_after,
            _ => None,
        };
        clock.sleep(pause(attempt, asked)).await;
        sink.restart();
        attempt += 1;
    }
}

/// A short text for a record of a file that was not read.
pub(crate) fn reason(result: Result<(), &Error>, limit: u64) -> String {
    match result {
        Ok(()) => format!(
            "the file is larger than service.max_file_download_size ({limit} bytes); indexed without its content"
        ),
        Err(error) => format!(
            "indexed without the content of its file: {}",
            error.full_text()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_sdk::Memo;

    fn is_wanted(name: &str, size: Option<u64>) -> Wanted {
        let file = Attachment {
            key: Memo::new(name).unwrap(),
            name: name.into(),
            size,
            version: None,
        };
        wanted(&file, 100)
    }

    #[test]
    fn files_are_chosen_by_extension_and_size() {
        for (name, size, expected) in [
            ("a.txt", None, Wanted::Yes),
            ("a.TXT", Some(100), Wanted::Yes),
            ("a.txt", Some(101), Wanted::TooLarge),
            ("a.png", Some(1), Wanted::No),
            ("a.png", Some(101), Wanted::No),
            (".txt", None, Wanted::No),
            ("dir.txt/a", None, Wanted::No),
            ("dir/a.tar.md", None, Wanted::Yes),
            ("README", None, Wanted::No),
            ("a.", None, Wanted::No),
            ("", None, Wanted::No),
        ] {
            assert_eq!(is_wanted(name, size), expected, "{name}");
        }
    }
}
