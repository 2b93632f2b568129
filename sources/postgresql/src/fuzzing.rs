//! The decoders of values, for the fuzz targets. Compiled only for fuzzing.

use crate::decode::{Decoder, Scratch};
use postgres_types::Type;
use tributary_sdk::JsonWriter;

/// Decodes a value of the type with this object id, as JSON and as a part of a document id. `None`: there is
/// no such type. The inner values are `None` where the bytes are not what their type says.
pub fn decode(oid: u32, bytes: &[u8], exact: bool) -> Option<(Option<Vec<u8>>, Option<String>)> {
    let (decoder, _) = Decoder::new(&Type::from_oid(oid)?, exact);
    let mut scratch = Scratch::default();
    let mut json = Vec::new();
    let written = decoder.write_json(bytes, JsonWriter::new(&mut json), &mut scratch);
    let mut id = String::new();
    let identified = decoder.write_id(bytes, &mut id, &mut scratch);
    Some((written.ok().map(|()| json), identified.ok().map(|()| id)))
}
