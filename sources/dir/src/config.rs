//! The fields of the connector, and the options of `config.yml` under `sources.dir`.

use serde::Deserialize;
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use tributary_files::Pattern;
use tributary_sdk::{Error, Field, Result, Setup};

pub(crate) const DIRECTORY: Field<String> = Field::text("directory", "Directory path").order(1);
pub(crate) const PATTERN: Field<String> = Field::text("pattern", "File glob-like pattern")
    .order(2)
    .starting_as("**/*.*");

/// What `config.yml` may say under `sources.dir`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// A connector may read only in these directories.
    #[serde(default)]
    allowed_directories: Option<Vec<String>>,
}

/// The checked configuration of a connector.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Absolute, not resolved.
    pub(crate) directory: PathBuf,
    pub(crate) pattern: Pattern,
    /// Absolute, not resolved. `None`: everywhere.
    pub(crate) allowed: Option<Vec<PathBuf>>,
}

impl Settings {
    pub(crate) fn new(setup: &Setup<'_>) -> Result<Self> {
        let options: Options = setup.options.read()?;
        let pattern = PATTERN.get(setup.values)?;
        Ok(Self {
            directory: absolute(&DIRECTORY.get(setup.values)?)?,
            pattern: Pattern::new(&pattern).map_err(|error| error.with("field", "pattern"))?,
            allowed: options.allowed_directories.map(allowed).transpose()?,
        })
    }
}

fn allowed(directories: Vec<String>) -> Result<Vec<PathBuf>> {
    let absolute = |directory: String| {
        if Path::new(&directory).is_absolute() && !directory.contains('\0') {
            return Ok(PathBuf::from(directory));
        }
        let message = format!(
            "sources.dir.allowed_directories in config.yml holds '{directory}'; write absolute paths"
        );
        Err(Error::invalid_config(message))
    };
    directories.into_iter().map(absolute).collect()
}

fn absolute(directory: &str) -> Result<PathBuf> {
    if directory.contains('\0') {
        let message = "'Directory path' holds a NUL character; no path can";
        return Err(Error::invalid_config(message).with("field", "directory"));
    }
    if directory.starts_with('/') {
        return Ok(normal(directory.as_bytes()));
    }
    let working = std::env::current_dir().map_err(|error| {
        let message = "'Directory path' is relative, and the working directory of the service cannot be found; write an absolute path";
        Error::invalid_config(message)
            .with("field", "directory")
            .caused_by(error)
    })?;
    let mut path = working.into_os_string().as_bytes().to_vec();
    path.push(b'/');
    path.extend_from_slice(directory.as_bytes());
    Ok(normal(&path))
}

/// An absolute path without `.`, `..`, double and trailing slashes: by its text alone, links are not
/// looked at. Two slashes at the very start stay, as POSIX has it. Fact: Python's `os.path.abspath`.
fn normal(path: &[u8]) -> PathBuf {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    let is_double = path.starts_with(b"//") && !path.starts_with(b"///");
    let mut text = if is_double {
        b"//".to_vec()
    } else {
        b"/".to_vec()
    };
    text.extend_from_slice(&names.join(&b'/'));
    PathBuf::from(OsStr::from_bytes(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_by_their_text() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/a//b/./c/", "/a/b/c"),
            ("/a/../../b", "/b"),
            ("/", "/"),
            ("/..", "/"),
            ("//a/b/", "//a/b"),
            ("///a", "/a"),
        ] {
            let found = absolute(path).unwrap();
            assert_eq!(found.as_os_str(), expected, "{path}");
        }
        let working = std::env::current_dir().unwrap();
        assert_eq!(absolute("x/./y/../z/").unwrap(), working.join("x/z"));
        assert_eq!(absolute("..").unwrap(), working.parent().unwrap());
    }
}
