//! From the server's binary values to JSON and document ids (PostgreSQL sheet §5, type table).
//!
//! What has no decoder here is read as text: the statement casts the column, element by element if it
//! is an array. So no type can end a sync.

mod array;
mod geometry;
mod network;
mod numeric;
mod scalar;

use postgres_types::{Kind, Type};
use scalar::Scalar;
pub(crate) use scalar::timestamp;
use tributary_sdk::JsonWriter;

/// Bytes that are not what their type says. Not seen from a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// Buffers that are used from value to value.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// What a decoder puts together.
    decoded: String,
    /// What a writer puts together.
    written: String,
}

/// How a column has to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// As it is.
    None,
    /// As text.
    Text,
    /// As an array of texts.
    TextArray,
}

impl Cast {
    /// What follows the column in the statement.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Text => "::text",
            Self::TextArray => "::text[]",
        }
    }
}

/// Decodes the values of one column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder {
    scalar: Scalar,
    is_array: bool,
    exact_numeric: bool,
}

impl Decoder {
    /// The decoder for columns of a type, and how to ask for them.
    pub(crate) fn new(column_type: &Type, exact_numeric: bool) -> (Self, Cast) {
        let column_type = base(column_type);
        let (scalar, is_array, cast) = match column_type.kind() {
            Kind::Array(element) => match Scalar::of(base(element)) {
                Some(scalar) => (scalar, true, Cast::None),
                None => (Scalar::Text, true, Cast::TextArray),
            },
            _ => match Scalar::of(column_type) {
                Some(scalar) => (scalar, false, Cast::None),
                None => (Scalar::Text, false, Cast::Text),
            },
        };
        let decoder = Self {
            scalar,
            is_array,
            exact_numeric,
        };
        (decoder, cast)
    }

    /// Writes the JSON form. On an error something may have been written.
    pub(crate) fn write_json(
        self,
        bytes: &[u8],
        out: JsonWriter<'_>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        if self.is_array {
            return array::write_json(self, bytes, out, scratch);
        }
        self.write_scalar(bytes, out, scratch)
    }

    fn write_scalar(self, bytes: &[u8], out: JsonWriter<'_>, scratch: &mut Scratch) -> Result<()> {
        let Scratch { decoded, written } = scratch;
        decoded.clear();
        let value = self.scalar.decode(bytes, decoded, self.exact_numeric)?;
        value.write_json(out, written);
        Ok(())
    }

    /// Appends the form in document ids.
    pub(crate) fn write_id(
        self,
        bytes: &[u8],
        out: &mut String,
        scratch: &mut Scratch,
    ) -> Result<()> {
        if self.is_array {
            return array::write_id(self, bytes, out, scratch);
        }
        scratch.decoded.clear();
        let value = self
            .scalar
            .decode(bytes, &mut scratch.decoded, self.exact_numeric)?;
        match self.scalar {
            // Where the reference service has an object of its own, the id holds its name too.
            Scalar::Bits => {
                out.push_str("<BitString ");
                value.write_text(out);
                out.push('>');
            }
            _ => value.write_text(out),
        }
        Ok(())
    }
}

/// What a domain is made of.
fn base(column_type: &Type) -> &Type {
    let mut column_type = column_type;
    while let Kind::Domain(inner) = column_type.kind() {
        column_type = inner;
    }
    column_type
}

/// Takes bytes from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn i16(&mut self) -> Result<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.fixed().map(u32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    fn f64(&mut self) -> Result<f64> {
        self.fixed().map(f64::from_be_bytes)
    }

    /// Nothing may be left.
    fn end(self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// A value of a fixed size and nothing else.
fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Malformed)
}

#[cfg(test)]
mod tests;
