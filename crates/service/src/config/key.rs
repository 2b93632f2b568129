use super::value::Read;

/// What there is to say about one key; also the source of `config.yml.example`.
#[derive(Debug, Clone, Copy)]
pub struct KeyDescription {
    /// The dotted key.
    pub path: &'static str,
    /// The default as YAML; `None` if nothing stands in for a missing value.
    pub default: Option<&'static str>,
    /// The unit of a bare number.
    pub unit: Option<&'static str>,
    /// A value to show where there is no default, as YAML; may have several lines.
    pub sample: Option<&'static str>,
    /// What it is for, in whole sentences.
    pub about: &'static str,
}

/// One key: declaration and typed accessor in one.
pub(super) struct Key<T> {
    pub(super) description: KeyDescription,
    pub(super) read: Read<T>,
}
