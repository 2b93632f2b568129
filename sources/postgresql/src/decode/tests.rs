use super::*;
use proptest::prelude::*;
use std::fmt::Write as _;
use tributary_sdk::{Body, FieldName};

const TYPES: [Type; 42] = [
    Type::BOOL,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::OID,
    Type::XID,
    Type::PG_LSN,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::NUMERIC,
    Type::TEXT,
    Type::BPCHAR,
    Type::CHAR,
    Type::BYTEA,
    Type::TIMESTAMP,
    Type::TIMESTAMPTZ,
    Type::DATE,
    Type::TIME,
    Type::TIMETZ,
    Type::INTERVAL,
    Type::JSON,
    Type::JSONB,
    Type::UUID,
    Type::INET,
    Type::CIDR,
    Type::MACADDR,
    Type::MACADDR8,
    Type::BIT,
    Type::VARBIT,
    Type::POINT,
    Type::LINE,
    Type::LSEG,
    Type::BOX,
    Type::PATH,
    Type::POLYGON,
    Type::CIRCLE,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::NUMERIC_ARRAY,
    Type::JSONB_ARRAY,
    Type::TSTZ_RANGE,
    Type::PATH_ARRAY,
];

fn json(column_type: &Type, exact: bool, bytes: &[u8]) -> (String, Result<()>) {
    let (decoder, _) = Decoder::new(column_type, exact);
    let mut body = Body::new();
    let mut outcome = Ok(());
    body.put_with(&FieldName::new("v").unwrap(), |out| {
        outcome = decoder.write_json(bytes, out, &mut Scratch::default());
    });
    (String::from_utf8(body.into_text()).unwrap(), outcome)
}

fn id(column_type: &Type, bytes: &[u8]) -> String {
    let (decoder, _) = Decoder::new(column_type, false);
    let mut text = String::new();
    decoder
        .write_id(bytes, &mut text, &mut Scratch::default())
        .unwrap();
    text
}

/// A decimal text as the server would send it.
fn encode_numeric(text: &str) -> Vec<u8> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (0x4000_u16, text),
        None => (0, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let padded = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let digits = format!("{whole}{padded}");
    let mut groups: Vec<u16> = (0..digits.len() / 4)
        .map(|at| digits[at * 4..at * 4 + 4].parse().unwrap())
        .collect();
    let mut weight = i16::try_from(whole.len() / 4).unwrap() - 1;
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let (sign, weight) = if groups.is_empty() {
        (0, 0)
    } else {
        (sign, weight)
    };
    let mut bytes = u16::try_from(groups.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(weight.to_be_bytes());
    bytes.extend(sign.to_be_bytes());
    bytes.extend(u16::try_from(fraction.len()).unwrap().to_be_bytes());
    groups
        .iter()
        .for_each(|group| bytes.extend(group.to_be_bytes()));
    bytes
}

#[test]
fn numbers_in_ids_look_as_in_the_reference() {
    for (number, expected) in [
        ("10000", "1E+4"),
        ("12340000", "1.234E+7"),
        ("10000.00", "10000.00"),
        ("100000000.5", "100000000.5"),
        ("0.0001", "0.0001"),
        ("0.00", "0.00"),
        ("-0.5", "-0.5"),
        ("123456789012", "123456789012"),
        ("0.0000001", "1E-7"),
        ("0.00001000", "0.00001000"),
        ("-10000", "-1E+4"),
        ("20000.0000", "20000.0000"),
        ("1234.5678", "1234.5678"),
        ("100000.10", "100000.10"),
        ("0", "0"),
        ("0.00000012300", "1.2300E-7"),
        ("0.00000000000000000001", "1E-20"),
        ("10000000000", "1.00E+10"),
        ("90000000000000000000.0", "90000000000000000000.0"),
        ("1.50", "1.50"),
    ] {
        assert_eq!(id(&Type::NUMERIC, &encode_numeric(number)), expected);
    }
}

#[test]
fn types_without_a_decoder_are_read_as_text() {
    assert_eq!(Decoder::new(&Type::TSTZ_RANGE, false).1, Cast::Text);
    assert_eq!(Decoder::new(&Type::MONEY, false).1, Cast::Text);
    assert_eq!(Decoder::new(&Type::MONEY_ARRAY, false).1, Cast::TextArray);
    assert_eq!(Decoder::new(&Type::RECORD, false).1, Cast::Text);
    assert_eq!(Decoder::new(&Type::INT4_ARRAY, false).1, Cast::None);
    let schema = || "public".to_owned();
    let domain = Type::new("d".into(), 70_000, Kind::Domain(Type::INT8), schema());
    assert_eq!(json(&domain, false, &[0; 8]).0, r#"{"v":0}"#);
    let domains = Type::new("_d".into(), 70_001, Kind::Array(domain), schema());
    assert_eq!(Decoder::new(&domains, false).1, Cast::None);
    let mood = Type::new(
        "mood".into(),
        70_002,
        Kind::Enum(vec!["ok".into()]),
        schema(),
    );
    assert_eq!(json(&mood, false, b"ok").0, r#"{"v":"ok"}"#);
    let pair = Type::new("pair".into(), 70_003, Kind::Composite(Vec::new()), schema());
    assert_eq!(Decoder::new(&pair, false).1, Cast::Text);
}

#[test]
fn the_ends_of_time_are_clamped() {
    for (column_type, bytes, expected) in [
        (
            Type::TIMESTAMP,
            &i64::MAX.to_be_bytes()[..],
            "9999-12-31T23:59:59.999999",
        ),
        (
            Type::TIMESTAMPTZ,
            &i64::MIN.to_be_bytes(),
            "0001-01-01T00:00:00",
        ),
        (Type::DATE, &i32::MAX.to_be_bytes(), "9999-12-31"),
        (Type::DATE, &i32::MIN.to_be_bytes(), "0001-01-01"),
    ] {
        assert_eq!(
            json(&column_type, false, bytes).0,
            format!(r#"{{"v":"{expected}"}}"#)
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        for column_type in &TYPES {
            for exact in [false, true] {
                let (text, _) = json(column_type, exact, &bytes);
                prop_assert!(
                    serde_json::from_str::<serde_json::Value>(&text).is_ok(),
                    "{column_type}: {text}"
                );
            }
            let (decoder, _) = Decoder::new(column_type, false);
            let _ = decoder.write_id(&bytes, &mut String::new(), &mut Scratch::default());
        }
    }

    #[test]
    fn arrays_that_nearly_are_never_panic(
        dimensions in prop::collection::vec(0_i32..4, 0..4),
        rest in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = i32::try_from(dimensions.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 23]);
        for length in &dimensions {
            bytes.extend(length.to_be_bytes());
            bytes.extend([0, 0, 0, 1]);
        }
        bytes.extend(rest);
        let (text, _) = json(&Type::INT4_ARRAY, false, &bytes);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn numbers_keep_their_digits(
        negative: bool,
        whole in "0|[1-9][0-9]{0,30}",
        fraction in "[0-9]{0,30}",
    ) {
        let mut text = String::new();
        let is_zero = format!("{whole}{fraction}").bytes().all(|digit| digit == b'0');
        if negative && !is_zero {
            text.push('-');
        }
        text.push_str(&whole);
        if !fraction.is_empty() {
            let _ = write!(text, ".{fraction}");
        }
        let bytes = encode_numeric(&text);
        prop_assert_eq!(json(&Type::NUMERIC, true, &bytes).0, format!("{{\"v\":{}}}", text));
        let expected: f64 = text.parse().unwrap();
        let double: serde_json::Value =
            serde_json::from_str(&json(&Type::NUMERIC, false, &bytes).0).unwrap();
        let read: f64 = double["v"].to_string().parse().unwrap();
        prop_assert!((read - expected).abs() <= expected.abs() * 1e-15, "{read} {expected}");
    }
}
