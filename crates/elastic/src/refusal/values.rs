//! Servers quote the values that they could not take. Those belong into no log and no record.

/// Where a quoted value begins, and what ends it. Everything between is left out.
const QUOTES: &[(&str, &str)] = &[
    ("Preview of field's value: '", "'"),
    ("at [Source: ", "]"),
    ("For input string: \"", "\""),
    ("failed to parse date field [", "] with format"),
    ("Numeric value (", ") out of range"),
    ("immense term is: '", "'"),
    ("Failed to parse value [", "]"),
];

/// The text with quoted values replaced by `…`. A value that holds what ends it is cut at the last
/// such place, so rather too much goes than too little.
pub(super) fn hidden(text: &str) -> String {
    let mut result = text.to_owned();
    for (before, after) in QUOTES {
        let Some(at) = result.find(before) else {
            continue;
        };
        let start = at + before.len();
        let rest = result.split_off(start);
        result.push('…');
        if let Some(end) = rest.rfind(after) {
            result.push_str(&rest[end..]);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_values() {
        assert_eq!(
            hidden(
                "failed to parse field [n] of type [long] in document with id 'c'. Preview of field's value: 'it's secret': For input string: \"secret\""
            ),
            "failed to parse field [n] of type [long] in document with id 'c'. Preview of field's value: '…': For input string: \"…\""
        );
        assert_eq!(
            hidden(
                "Numeric value (99) out of range of long (-9 - 9)\n at [Source: (byte[])\"{\"n\":99}\"; line: 1, column: 207]"
            ),
            "Numeric value (…) out of range of long (-9 - 9)\n at [Source: …]"
        );
        assert_eq!(hidden("nothing quoted"), "nothing quoted");
        assert_eq!(hidden("For input string: \"open"), "For input string: \"…");
    }
}
