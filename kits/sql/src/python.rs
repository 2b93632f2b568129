//! Text forms of the reference service's language, as they stand in document ids.

use std::{fmt::Write as _, net::Ipv6Addr};
use tributary_sdk::json::write_double;

/// A double as text: the shortest digits that read back the same, `nan`, `inf`, `-inf`.
pub fn write_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("nan");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "inf" } else { "-inf" });
    } else {
        write_double(out, value);
    }
}

/// Bytes as a literal: `b'\x01\xff'`. The quotation mark is `"` if the bytes hold `'` and no `"`.
pub fn write_bytes_literal(out: &mut String, bytes: &[u8]) {
    let mark = if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        b'"'
    } else {
        b'\''
    };
    out.push('b');
    out.push(char::from(mark));
    for &byte in bytes {
        match byte {
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\\' => out.push_str("\\\\"),
            byte if byte == mark => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            // Writing into a string cannot fail.
            byte => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out.push(char::from(mark));
}

/// An IPv6 address; an IPv4 address inside it is not shown as one: `::ffff:102:304`.
pub fn write_ipv6(out: &mut String, address: Ipv6Addr) {
    let _ = match address.to_ipv4_mapped() {
        Some(_) => {
            let [.., high, low] = address.segments();
            write!(out, "::ffff:{high:x}:{low:x}")
        }
        None => write!(out, "{address}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_look_as_in_the_reference() {
        for (bytes, expected) in [
            (&b""[..], "b''"),
            (b"\x01\xff", r"b'\x01\xff'"),
            (b"a\tb\nc\r\\", r"b'a\tb\nc\r\\'"),
            (b"it's", r#"b"it's""#),
            (b"it's \"so\"", r#"b'it\'s "so"'"#),
            (b"\"", r#"b'"'"#),
            (b" ~\x7f\x1f", r"b' ~\x7f\x1f'"),
        ] {
            let mut text = String::new();
            write_bytes_literal(&mut text, bytes);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn floats_look_as_in_the_reference() {
        for (value, expected) in [
            (1.0, "1.0"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            let mut text = String::new();
            write_float(&mut text, value);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn addresses_look_as_in_the_reference() {
        for (address, expected) in [
            ("::ffff:1.2.3.4", "::ffff:102:304"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("::", "::"),
            ("::1.2.3.4", "::102:304"),
        ] {
            let mut text = String::new();
            write_ipv6(&mut text, address.parse().unwrap());
            assert_eq!(text, expected);
        }
    }
}
