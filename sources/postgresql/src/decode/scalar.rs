//! Values that are not arrays.

use super::{Bytes, Malformed, Result, exactly, geometry, network, numeric};
use postgres_types::{Kind, Type};
use tributary_sql::{Date, Interval, Time, Timestamp, Value};

/// The server counts from 2000-01-01, in microseconds or days.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i64 = 10_957;

/// A type with a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool,
    Int2,
    Int4,
    Int8,
    /// `oid`, `xid`, `cid`.
    Unsigned4,
    /// `pg_lsn`, `xid8`.
    Unsigned8,
    Float4,
    Float8,
    Numeric,
    Text,
    /// `bytea` and `"char"`.
    Bytes,
    Timestamp,
    TimestampUtc,
    Date,
    Time,
    TimeWithZone,
    Interval,
    Json,
    Jsonb,
    Uuid,
    /// `inet` and `cidr`.
    Network,
    Hardware,
    Bits,
    Point,
    Line,
    Segment,
    Box,
    Path,
    Polygon,
    Circle,
}

impl Scalar {
    /// The decoder for a type that is no array and no domain; `None`: to be read as text.
    pub(super) fn of(column_type: &Type) -> Option<Self> {
        let scalar = match *column_type {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::OID | Type::XID | Type::CID => Self::Unsigned4,
            Type::PG_LSN | Type::XID8 => Self::Unsigned8,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC => Self::Numeric,
            Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::XML
            | Type::UNKNOWN
            | Type::CSTRING
            | Type::VOID => Self::Text,
            Type::BYTEA | Type::CHAR => Self::Bytes,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::TimestampUtc,
            Type::DATE => Self::Date,
            Type::TIME => Self::Time,
            Type::TIMETZ => Self::TimeWithZone,
            Type::INTERVAL => Self::Interval,
            Type::JSON => Self::Json,
            Type::JSONB => Self::Jsonb,
            Type::UUID => Self::Uuid,
            Type::INET | Type::CIDR => Self::Network,
            Type::MACADDR | Type::MACADDR8 => Self::Hardware,
            Type::BIT | Type::VARBIT => Self::Bits,
            Type::POINT => Self::Point,
            Type::LINE => Self::Line,
            Type::LSEG => Self::Segment,
            Type::BOX => Self::Box,
            Type::PATH => Self::Path,
            Type::POLYGON => Self::Polygon,
            Type::CIRCLE => Self::Circle,
            _ => match column_type.kind() {
                Kind::Enum(_) => Self::Text,
                // An extension's type, sent as text is.
                Kind::Simple if column_type.name() == "citext" => Self::Text,
                _ => return None,
            },
        };
        Some(scalar)
    }

    /// Decodes a value. `scratch` is empty, and the value may borrow from it.
    pub(super) fn decode<'a>(
        self,
        bytes: &'a [u8],
        scratch: &'a mut String,
        exact_numeric: bool,
    ) -> Result<Value<'a>> {
        let value = match self {
            Self::Bool => Value::Boolean(exactly::<1>(bytes)? != [0]),
            Self::Int2 => Value::Integer(i16::from_be_bytes(exactly(bytes)?).into()),
            Self::Int4 => Value::Integer(i32::from_be_bytes(exactly(bytes)?).into()),
            Self::Int8 => Value::Integer(i64::from_be_bytes(exactly(bytes)?)),
            Self::Unsigned4 => Value::Integer(u32::from_be_bytes(exactly(bytes)?).into()),
            Self::Unsigned8 => Value::Unsigned(u64::from_be_bytes(exactly(bytes)?)),
            Self::Float4 => Value::Float(f32::from_be_bytes(exactly(bytes)?).into()),
            Self::Float8 => Value::Float(f64::from_be_bytes(exactly(bytes)?)),
            Self::Numeric => {
                let decimal = numeric::decode(bytes, scratch)?;
                if exact_numeric {
                    Value::Exact(decimal)
                } else {
                    Value::Decimal(decimal)
                }
            }
            Self::Text => Value::Text(bytes),
            Self::Bytes => Value::Bytes(bytes),
            Self::Timestamp => timestamp(i64::from_be_bytes(exactly(bytes)?), None),
            Self::TimestampUtc => timestamp(i64::from_be_bytes(exactly(bytes)?), Some(0)),
            Self::Date => Value::Date(match i32::from_be_bytes(exactly(bytes)?) {
                i32::MAX => Date::MAX,
                i32::MIN => Date::MIN,
                days => Date::from_days(i64::from(days) + EPOCH_DAYS),
            }),
            Self::Time => {
                let micros = i64::from_be_bytes(exactly(bytes)?);
                Value::Time(Time { micros }, None)
            }
            Self::TimeWithZone => {
                let mut bytes = Bytes(bytes);
                let micros = bytes.i64()?;
                // Seconds west. The reference service leaves out seconds.
                let minutes = -(bytes.i32()? / 60);
                bytes.end()?;
                Value::Time(Time { micros }, Some(minutes))
            }
            Self::Interval => {
                let mut bytes = Bytes(bytes);
                let micros = bytes.i64()?;
                let days = bytes.i32()?;
                let months = bytes.i32()?;
                bytes.end()?;
                Value::Interval(Interval {
                    months,
                    days,
                    micros,
                })
            }
            Self::Json => Value::Json(bytes),
            Self::Jsonb => match bytes.split_first() {
                Some((1, text)) => Value::Json(text),
                _ => return Err(Malformed),
            },
            _ => {
                self.put_together(bytes, scratch)?;
                Value::Text(scratch.as_bytes())
            }
        };
        Ok(value)
    }

    fn put_together(self, bytes: &[u8], out: &mut String) -> Result<()> {
        match self {
            Self::Uuid => uuid(exactly(bytes)?, out),
            Self::Network => return network::write_address(bytes, out),
            Self::Hardware => hardware(bytes, out),
            Self::Bits => return bits(bytes, out),
            Self::Point => return geometry::point(bytes, out),
            Self::Line => return geometry::line(bytes, out),
            Self::Segment | Self::Box => return geometry::corners(bytes, out),
            Self::Path => return geometry::path(bytes, out),
            Self::Polygon => return geometry::polygon(bytes, out),
            Self::Circle => return geometry::circle(bytes, out),
            _ => return Err(Malformed),
        }
        Ok(())
    }
}

/// The form of a moment in microseconds since 2000-01-01.
pub(crate) fn timestamp(micros: i64, offset: Option<i32>) -> Value<'static> {
    // As the reference service's driver hands out the ends of time: without a zone.
    let end = |date, time| Timestamp {
        date,
        time,
        offset: None,
    };
    Value::Timestamp(match micros {
        i64::MAX => end(Date::MAX, Time::MAX),
        i64::MIN => end(Date::MIN, Time { micros: 0 }),
        micros => Timestamp::from_micros(micros.saturating_add(EPOCH_MICROS), offset),
    })
}

fn uuid(bytes: [u8; 16], out: &mut String) {
    for (position, byte) in bytes.into_iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        hex(byte, out);
    }
}

fn hardware(bytes: &[u8], out: &mut String) {
    for (position, byte) in bytes.iter().enumerate() {
        if position > 0 {
            out.push(':');
        }
        hex(*byte, out);
    }
}

fn hex(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// In groups of four: `1010 10`.
fn bits(bytes: &[u8], out: &mut String) -> Result<()> {
    let mut bytes = Bytes(bytes);
    let count = usize::try_from(bytes.i32()?).map_err(|_| Malformed)?;
    if bytes.0.len() != count.div_ceil(8) {
        return Err(Malformed);
    }
    for position in 0..count {
        if position > 0 && position % 4 == 0 {
            out.push(' ');
        }
        let is_set = bytes.0[position / 8] & (0x80 >> (position % 8)) != 0;
        out.push(if is_set { '1' } else { '0' });
    }
    Ok(())
}
