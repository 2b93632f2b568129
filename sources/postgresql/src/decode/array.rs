//! Arrays of any dimension.

use super::{Bytes, Decoder, Malformed, Result, Scratch};
use tributary_sdk::{JsonWriter, json::JsonArray};

/// The server allows six.
const MOST_DIMENSIONS: usize = 6;

/// An array that is being read.
struct Reader<'a> {
    bytes: Bytes<'a>,
    lengths: [usize; MOST_DIMENSIONS],
    dimensions: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut bytes = Bytes(bytes);
        let dimensions = usize::try_from(bytes.i32()?).map_err(|_| Malformed)?;
        if dimensions > MOST_DIMENSIONS {
            return Err(Malformed);
        }
        let _has_nulls = bytes.i32()?;
        let _element_type = bytes.u32()?;
        let mut lengths = [0; MOST_DIMENSIONS];
        for length in &mut lengths[..dimensions] {
            *length = usize::try_from(bytes.i32()?).map_err(|_| Malformed)?;
            let _first_index = bytes.i32()?;
        }
        // An empty array has no dimensions, and each element takes at least its length.
        let count = lengths[..dimensions]
            .iter()
            .try_fold(1, |count: usize, length| {
                count.checked_mul(*length).filter(|count| *count > 0)
            });
        if dimensions > 0 && count.is_none_or(|count| count > bytes.0.len() / 4) {
            return Err(Malformed);
        }
        Ok(Self {
            bytes,
            lengths,
            dimensions,
        })
    }

    fn element(&mut self) -> Result<Option<&'a [u8]>> {
        match self.bytes.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                self.bytes.take(length).map(Some)
            }
        }
    }
}

/// A JSON array, nested for each dimension.
pub(super) fn write_json(
    decoder: Decoder,
    bytes: &[u8],
    out: JsonWriter<'_>,
    scratch: &mut Scratch,
) -> Result<()> {
    let mut reader = Reader::new(bytes)?;
    let mut outcome = Ok(());
    out.array(|array| {
        if reader.dimensions > 0 {
            outcome = level(decoder, &mut reader, 0, array, scratch);
        }
    });
    outcome?;
    reader.bytes.end()
}

fn level(
    decoder: Decoder,
    reader: &mut Reader<'_>,
    depth: usize,
    array: &mut JsonArray<'_>,
    scratch: &mut Scratch,
) -> Result<()> {
    let mut outcome = Ok(());
    for _ in 0..reader.lengths[depth] {
        if depth + 1 < reader.dimensions {
            array.element(|inner| {
                inner.array(|inner| outcome = level(decoder, reader, depth + 1, inner, scratch));
            });
        } else {
            match reader.element()? {
                None => array.element(|value| value.null()),
                Some(bytes) => array.element(|value| {
                    outcome = decoder.write_scalar(bytes, value, scratch);
                }),
            }
        }
        outcome?;
    }
    Ok(())
}

/// The elements in brackets: `[1, 2]`. Elements that are texts stand without quotation marks.
pub(super) fn write_id(
    decoder: Decoder,
    bytes: &[u8],
    out: &mut String,
    scratch: &mut Scratch,
) -> Result<()> {
    let mut reader = Reader::new(bytes)?;
    if reader.dimensions == 0 {
        out.push_str("[]");
        return reader.bytes.end();
    }
    let element = Decoder {
        is_array: false,
        ..decoder
    };
    id_level(element, &mut reader, 0, out, scratch)?;
    reader.bytes.end()
}

fn id_level(
    element: Decoder,
    reader: &mut Reader<'_>,
    depth: usize,
    out: &mut String,
    scratch: &mut Scratch,
) -> Result<()> {
    out.push('[');
    for position in 0..reader.lengths[depth] {
        if position > 0 {
            out.push_str(", ");
        }
        if depth + 1 < reader.dimensions {
            id_level(element, reader, depth + 1, out, scratch)?;
        } else {
            match reader.element()? {
                None => out.push_str("None"),
                Some(bytes) => element.write_id(bytes, out, scratch)?,
            }
        }
    }
    out.push(']');
    Ok(())
}
