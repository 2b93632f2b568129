//! `inet` and `cidr`.

use super::{Bytes, Malformed, Result};
use std::{fmt::Write as _, net::Ipv4Addr};
use tributary_sql::write_ipv6;

const IPV4: u8 = 2;
const IPV6: u8 = 3;

/// The address; with its mask if it is a network, or if the mask is not the whole address.
pub(super) fn write_address(bytes: &[u8], out: &mut String) -> Result<()> {
    let mut bytes = Bytes(bytes);
    let [family, mask, is_network, length] = bytes.fixed()?;
    let whole = match (family, length) {
        (IPV4, 4) => {
            // Writing into a string cannot fail.
            let _ = write!(out, "{}", Ipv4Addr::from(bytes.fixed::<4>()?));
            32
        }
        (IPV6, 16) => {
            write_ipv6(out, bytes.fixed::<16>()?.into());
            128
        }
        _ => return Err(Malformed),
    };
    bytes.end()?;
    if is_network != 0 || mask != whole {
        let _ = write!(out, "/{mask}");
    }
    Ok(())
}
