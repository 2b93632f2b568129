//! `numeric`: groups of four decimal digits.

use super::{Bytes, Malformed, Result};
use tributary_sql::Decimal;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
/// Decimal digits of a group.
const GROUP: i32 = 4;

/// Decodes a number; its digits are written into `digits`, which is empty.
///
/// A number with a scale has as many digits after the point. One without has the exponent that the
/// groups say (`10000` is `1` × 10⁴), because that is what ids of the reference service show.
pub(super) fn decode<'a>(bytes: &[u8], digits: &'a mut String) -> Result<Decimal<'a>> {
    let mut bytes = Bytes(bytes);
    let count = usize::from(bytes.fixed().map(u16::from_be_bytes)?);
    let weight = i32::from(bytes.i16()?);
    let negative = match bytes.fixed().map(u16::from_be_bytes)? {
        POSITIVE => false,
        NEGATIVE => true,
        NOT_A_NUMBER => return Ok(Decimal::NotANumber),
        INFINITY => return Ok(Decimal::Infinity(false)),
        NEGATIVE_INFINITY => return Ok(Decimal::Infinity(true)),
        _ => return Err(Malformed),
    };
    let scale = i32::from(bytes.fixed().map(u16::from_be_bytes)?);
    let groups = bytes.0;
    if groups.len() != count * 2 {
        return Err(Malformed);
    }
    if count == 0 {
        digits.push('0');
        return Ok(Decimal::Finite {
            negative: false,
            digits,
            exponent: -scale,
        });
    }
    let mut groups = groups
        .chunks_exact(2)
        .map(|group| u16::from_be_bytes([group[0], group[1]]));
    let after_last = (weight - i32::try_from(count).unwrap_or(i32::MAX) + 1) * GROUP;
    if scale == 0 && after_last >= 0 {
        for group in groups {
            push_group(digits, group)?;
        }
        return Ok(Decimal::Finite {
            negative,
            digits,
            exponent: after_last,
        });
    }
    // Every group from the first, or from the point if that comes earlier, to the end of the scale.
    let last = -(scale + GROUP - 1) / GROUP;
    let mut position = weight.max(-1);
    let mut fraction = 0;
    while position >= last {
        let group = if position > weight {
            0
        } else {
            groups.next().unwrap_or(0)
        };
        push_group(digits, group)?;
        fraction += if position < 0 { GROUP } else { 0 };
        position -= 1;
    }
    let surplus = usize::try_from(fraction - scale).unwrap_or(0);
    digits.truncate(digits.len().saturating_sub(surplus));
    Ok(Decimal::Finite {
        negative,
        digits,
        exponent: -scale,
    })
}

fn push_group(out: &mut String, group: u16) -> Result<()> {
    if group > 9999 {
        return Err(Malformed);
    }
    for power in [1000, 100, 10, 1] {
        let digit = u8::try_from(group / power % 10).unwrap_or(0);
        out.push(char::from(b'0' + digit));
    }
    Ok(())
}
