//! Points and what is made of them. Coordinates always print as floats: `2.0`.

use super::{Bytes, Malformed, Result};
use tributary_sql::write_float;

/// `(1.5, 2.5)`
pub(super) fn point(bytes: &[u8], out: &mut String) -> Result<()> {
    let mut bytes = Bytes(bytes);
    numbers(&mut bytes, 2, out)?;
    bytes.end()
}

/// `(1.0, -1.0, 0.0)`
pub(super) fn line(bytes: &[u8], out: &mut String) -> Result<()> {
    let mut bytes = Bytes(bytes);
    numbers(&mut bytes, 3, out)?;
    bytes.end()
}

/// A segment, or a box by its upper right and lower left corner: `[(2.0, 2.0), (0.0, 0.0)]`
pub(super) fn corners(bytes: &[u8], out: &mut String) -> Result<()> {
    let mut bytes = Bytes(bytes);
    points(&mut bytes, 2, out)?;
    bytes.end()
}

/// `closed [(0.0, 0.0), (1.0, 1.0)]` or `open …`
pub(super) fn path(bytes: &[u8], out: &mut String) -> Result<()> {
    let mut bytes = Bytes(bytes);
    let [is_closed] = bytes.fixed()?;
    out.push_str(if is_closed != 0 { "closed " } else { "open " });
    let count = bytes.i32()?;
    points(&mut bytes, count, out)?;
    bytes.end()
}

/// `[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]`
pub(super) fn polygon(bytes: &[u8], out: &mut String) -> Result<()> {
    let mut bytes = Bytes(bytes);
    let count = bytes.i32()?;
    points(&mut bytes, count, out)?;
    bytes.end()
}

/// `((0.0, 0.0), 5.0)`
pub(super) fn circle(bytes: &[u8], out: &mut String) -> Result<()> {
    let mut bytes = Bytes(bytes);
    out.push('(');
    numbers(&mut bytes, 2, out)?;
    out.push_str(", ");
    write_float(out, bytes.f64()?);
    out.push(')');
    bytes.end()
}

fn points(bytes: &mut Bytes<'_>, count: i32, out: &mut String) -> Result<()> {
    if count < 0 {
        return Err(Malformed);
    }
    out.push('[');
    for position in 0..count {
        if position > 0 {
            out.push_str(", ");
        }
        numbers(bytes, 2, out)?;
    }
    out.push(']');
    Ok(())
}

fn numbers(bytes: &mut Bytes<'_>, count: usize, out: &mut String) -> Result<()> {
    out.push('(');
    for position in 0..count {
        if position > 0 {
            out.push_str(", ");
        }
        write_float(out, bytes.f64()?);
    }
    out.push(')');
    Ok(())
}
