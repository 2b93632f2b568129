//! What `/proc` says about a process and the machine.

use anyhow::{Context, Result};
use std::{path::PathBuf, time::Duration};

/// The release binary.
pub(crate) fn binary() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/release/tributary"
    ))
}

pub(crate) fn binary_size() -> Result<u64> {
    let path = binary();
    let metadata = std::fs::metadata(&path);
    Ok(metadata
        .with_context(|| format!("{} is not built; use make bench", path.display()))?
        .len())
}

/// Name of the processor, cores, load.
pub(crate) fn machine() -> Result<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<_> = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name"))
        .collect();
    let model = models.first().map_or("unknown", |model| {
        model.trim_start_matches([' ', '\t', ':'])
    });
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load: Vec<_> = load.split(' ').take(3).collect();
    Ok(format!(
        "machine: {} x {model}, load {}",
        models.len(),
        load.join(" ")
    ))
}

/// User and system time so far. The kernel counts in hundredths of a second.
pub(crate) fn cpu(process: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let rest = stat.rsplit_once(')').context("no name in stat")?.1;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let ticks =
        |index: usize| -> Result<u64> { Ok(fields.get(index).context("short stat")?.parse()?) };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

/// A line of `/proc/PID/status` in KiB: `VmHWM`, `VmRSS`, `RssAnon`.
pub(crate) fn memory(process: u32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("no {name} in status"))?;
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}
