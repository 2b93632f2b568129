//! Whether a request that is refused for its need of memory (429) can ever be taken.

/// What a rejected request needs in all, and what the server has for it, in bytes; `None` if the reason
/// is about something else. `length` is that of the request's body.
///
/// The server counts a request twice: as it came, and again, several times as large, while its documents
/// are indexed. Both must fit into a tenth of its heap. A request that does not fit into an idle server
/// is refused for ever, with the same word as one that comes at a busy moment.
pub(crate) fn never_fits(reason: &str, length: u64) -> Option<(u64, u64)> {
    if !reason.starts_with("rejected execution of ") {
        return None;
    }
    let (needed, limit) = if let Some(own) = number(reason, "primary_operation_bytes=") {
        // On its way in it is in memory, too.
        (
            own.saturating_add(length),
            number(reason, "max_primary_bytes=")?,
        )
    } else {
        let limit = number(reason, "max_coordinating_bytes=")
            .or_else(|| number(reason, "max_coordinating_and_primary_bytes="));
        (number(reason, "coordinating_operation_bytes=")?, limit?)
    };
    (needed > limit).then_some((needed, limit))
}

/// The sentence for the user about a request that can never be taken.
pub(crate) fn too_much_memory(needed: u64, limit: u64) -> String {
    format!(
        "indexing it takes {} MiB of memory, and the server has {} MiB for that, a tenth of its heap (429, \
         indexing_pressure.memory.limit); give the server more heap, or leave out such large documents",
        needed >> 20,
        limit >> 20
    )
}

fn number(text: &str, name: &str) -> Option<u64> {
    let rest = &text[text.find(name)? + name.len()..];
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_request_that_is_too_large_from_a_busy_server() {
        let primary = |own: u64| {
            format!(
                "rejected execution of primary operation [coordinating_and_primary_bytes=26215022, \
                 replica_bytes=0, all_bytes=26215022, primary_operation_bytes={own}, \
                 max_primary_bytes=107374182]"
            )
        };
        let needed = never_fits(&primary(104_857_632), 26_215_022);
        assert_eq!(needed, Some((131_072_654, 107_374_182)));
        assert_eq!(never_fits(&primary(50_000_000), 12_000_000), None);
        let coordinating = |own: u64| {
            format!(
                "rejected execution of coordinating operation [coordinating_and_primary_bytes=90000000, \
                 replica_bytes=0, all_bytes=90000000, coordinating_operation_bytes={own}, \
                 max_coordinating_bytes=107374182]"
            )
        };
        assert!(never_fits(&coordinating(107_374_183), 0).is_some());
        assert_eq!(never_fits(&coordinating(20_000_000), 20_000_000), None);
        for other in [
            "",
            "rejected execution of primary operation",
            "rejected execution of TimedRunnable on EsThreadPoolExecutor[queue capacity = 10000]",
        ] {
            assert_eq!(never_fits(other, u64::MAX), None, "{other}");
        }
    }
}
