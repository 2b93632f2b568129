//! `make bench`: what a sync costs. The real binary, built for release, reads a real PostgreSQL or a
//! folder and writes to a bulk endpoint that discards; records are kept by the small store behind it.
//!
//! CPU per document is the figure to watch: user and system time of our process over the job, from
//! `/proc`. Wall clocks are medians of alternating runs. Environment: `BENCH_RUNS` (5), `BENCH_ROWS`
//! (1000000), `BENCH_ONLY` (part of a name).
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs
)]

mod loader;
mod process;
mod setting;

use anyhow::{Context, Result};
use setting::{Measured, Setting};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo bench` and `cargo test --benches` call with other arguments; only the first measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runs: usize = number("BENCH_RUNS", 5)?;
    let rows: usize = number("BENCH_ROWS", 1_000_000)?;
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let wanted = |name: &str| name.contains(&only);
    println!("{}", process::machine()?);
    println!(
        "binary: {:.1} MiB\n",
        process::binary_size()? as f64 / 1048576.0
    );
    let mut table = Table::default();

    if wanted("start") {
        let setting = Setting::start(Duration::ZERO).await?;
        let mut heartbeats = Vec::new();
        let mut idle = (0, 0);
        for _ in 0..runs {
            let (heartbeat, memory) = setting.start_and_idle().await?;
            heartbeats.push(heartbeat.as_secs_f64() * 1000.0);
            idle = memory;
        }
        println!(
            "start to first heartbeat: {:.0} ms (median of {runs})",
            median(&mut heartbeats)
        );
        println!(
            "idle: RSS {:.1} MiB, of it anonymous {:.1} MiB\n",
            mib(idle.0),
            mib(idle.1)
        );
    }

    let mut sizes = vec![rows / 10, rows];
    sizes.retain(|size| *size > 0);
    for size in sizes {
        let name = format!("postgresql {size} rows x 300 B");
        if !wanted(&name) {
            continue;
        }
        let setting = Setting::start(Duration::ZERO).await?;
        let database = setting.database(size).await?;
        let (mut ours, mut copies, mut loads) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..runs {
            ours.push(setting.sync_database(&database).await?);
            copies.push(database.copy().await?.as_secs_f64());
            loads.push(loader::load(&setting.stub.url(), size).await?.as_secs_f64());
        }
        table.add(&name, &mut ours);
        let (copy, load) = (median(&mut copies), median(&mut loads));
        let slower = copy.max(load);
        let mut walls: Vec<_> = ours.iter().map(|run| run.wall.as_secs_f64()).collect();
        let ratio = slower / median(&mut walls) * 100.0;
        println!(
            "{name}: COPY {copy:.2} s, raw bulk loader {load:.2} s, ours {:.2} s: {ratio:.0} % of the slower of the two",
            median(&mut walls)
        );
    }

    for latency in [50, 500] {
        let size = rows / 5;
        let name = format!("postgresql {size} rows, bulk latency {latency} ms");
        if !wanted(&name) {
            continue;
        }
        let setting = Setting::start(Duration::from_millis(latency)).await?;
        let database = setting.database(size).await?;
        let mut ours = Vec::new();
        for _ in 0..runs {
            ours.push(setting.sync_database(&database).await?);
        }
        table.add(&name, &mut ours);
    }

    if wanted("dir 20000 x 1 KiB") {
        let setting = Setting::start(Duration::ZERO).await?;
        let folder = setting::folder(20_000)?;
        let mut ours = Vec::new();
        for _ in 0..runs {
            ours.push(setting.sync_folder(folder.path(), 20_000).await?);
        }
        table.add("dir 20000 x 1 KiB with content", &mut ours);
    }
    table.print();
    Ok(())
}

fn number(name: &str, default: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name}={text} is no number")),
        Err(_) => Ok(default),
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[derive(Default)]
struct Table(Vec<String>);

impl Table {
    fn add(&mut self, name: &str, runs: &mut [Measured]) {
        let of = |value: fn(&Measured) -> f64| {
            let mut values: Vec<_> = runs.iter().map(value).collect();
            median(&mut values)
        };
        let rate = of(|run| run.documents as f64 / run.wall.as_secs_f64());
        let cpu = of(|run| run.cpu.as_secs_f64() * 1e6 / run.documents as f64);
        let peak = of(|run| mib(run.peak_rss));
        let wall = of(|run| run.wall.as_secs_f64());
        self.0.push(format!(
            "{name:<44} {wall:>8.2} {rate:>10.0} {cpu:>10.2} {peak:>10.1}"
        ));
    }

    fn print(&self) {
        println!(
            "\n{:<44} {:>8} {:>10} {:>10} {:>10}",
            "medians", "wall s", "docs/s", "us CPU/doc", "peak MiB"
        );
        for row in &self.0 {
            println!("{row}");
        }
    }
}
