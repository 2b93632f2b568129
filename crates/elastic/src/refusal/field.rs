//! Which field of a document a refusal is about.

/// Texts before and after the name of the field, as Elasticsearch 8 and 9 and OpenSearch write them.
const PATTERNS: &[(&str, &str)] = &[
    ("failed to parse field [", "] of type ["),
    ("object mapping for [", "] tried to parse field ["),
    (
        "can't merge a non object mapping [",
        "] with an object mapping",
    ),
    (
        "can't merge a non-nested mapping [",
        "] with a nested mapping",
    ),
    (
        "can't merge a nested mapping [",
        "] with a non-nested mapping",
    ),
    ("mapper [", "] cannot be changed from type ["),
    (
        "Could not dynamically add mapping for field [",
        "]. Existing mapping for [",
    ),
    ("immense term in field=\"", "\" (whose UTF8 encoding"),
    ("due to object field [", "]"),
    (
        "Field [",
        "] is a metadata field and cannot be added inside a document",
    ),
    (
        "Tried to add nested object under path [",
        "] which is not nested",
    ),
];

/// The path of the field, dots between its parts; `None` if none is named. It may be a sub-field of
/// the mapping that no document has, such as `title.keyword`.
pub(crate) fn field_of(reason: &str) -> Option<String> {
    if let Some(field) = strict_field(reason) {
        return Some(field);
    }
    PATTERNS
        .iter()
        .filter_map(|(before, after)| {
            let start = reason.find(before)?;
            let rest = &reason[start + before.len()..];
            Some((start, &rest[..rest.find(after)?]))
        })
        .min_by_key(|(start, _)| *start)
        .map(|(_, field)| field)
        .filter(|field| !field.is_empty())
        .map(str::to_owned)
}

/// `mapping set to strict, dynamic introduction of [q] within [o] is not allowed`
fn strict_field(reason: &str) -> Option<String> {
    const BEFORE: &str = "mapping set to strict, dynamic introduction of [";
    let rest = &reason[reason.find(BEFORE)? + BEFORE.len()..];
    let (field, rest) = rest.split_once("] within [")?;
    let (parent, _) = rest.split_once("] is not allowed")?;
    Some(if parent == "_doc" {
        field.to_owned()
    } else {
        format!("{parent}.{field}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_field_in_the_words_of_real_servers() {
        for (reason, field) in [
            (
                "[1:6] failed to parse field [n] of type [long] in document with id 'c'. Preview of field's value: 'abc'",
                Some("n"),
            ),
            (
                "failed to parse field [a]b] of type [date] in document with id 'c'",
                Some("a]b"),
            ),
            (
                "object mapping for [a.b] tried to parse field [b] as object, but found a concrete value",
                Some("a.b"),
            ),
            (
                "can't merge a non object mapping [t] with an object mapping",
                Some("t"),
            ),
            (
                "mapper [a.b.c] cannot be changed from type [text] to [long]",
                Some("a.b.c"),
            ),
            (
                "Could not dynamically add mapping for field [n.x]. Existing mapping for [n] must be of type object but found [long].",
                Some("n.x"),
            ),
            (
                "Document contains at least one immense term in field=\"t.keyword\" (whose UTF8 encoding is longer than the max length 32766)",
                Some("t.keyword"),
            ),
            (
                "mapping set to strict, dynamic introduction of [r] within [_doc] is not allowed",
                Some("r"),
            ),
            (
                "[1:11] mapping set to strict, dynamic introduction of [q] within [o] is not allowed",
                Some("o.q"),
            ),
            (
                "Limit of total fields [3] has been exceeded while adding new fields [5]",
                None,
            ),
            (
                "failed to parse: field name cannot be an empty string",
                None,
            ),
            ("failed to parse field [] of type [long]", None),
            ("", None),
        ] {
            assert_eq!(field_of(reason).as_deref(), field, "{reason}");
        }
    }

    #[test]
    fn a_value_cannot_pass_for_a_field() {
        let reason = "failed to parse field [n] of type [long]: For input string: \"mapper [id] cannot be changed from type [x]\"";
        assert_eq!(field_of(reason).as_deref(), Some("n"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(reason in "(\\PC{0,20}(failed to parse field \\[|\\] of type \\[|mapper \\[|within \\[)?){0,6}") {
            let _ = field_of(&reason);
        }
    }
}
