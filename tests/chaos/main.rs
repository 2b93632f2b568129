//! `make chaos`: the real binary is killed (`kill -9`) at a random moment of a sync from a real PostgreSQL to
//! a real Elasticsearch, is started again, and has to bring the job to its end. Then the index is what the
//! table is; and nothing that the table had before and after was missing when the service was dead.
//!
//! In half of the rounds the folder of the state is lost with the process. Environment: `CHAOS_ROUNDS` (50),
//! `CHAOS_SEED` (the clock), `CHAOS_ROWS` (20000). The exit code is 1 if anything is wrong.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs
)]

#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../it/engine.rs"]
mod engine;
mod round;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../it/service.rs"]
mod service;
mod table;

use anyhow::{Context, Result};
use round::{Moment, World};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo bench` and `cargo test --benches` call with other arguments; only the first kills.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = number("CHAOS_SEED", clock)?;
    let rounds = number("CHAOS_ROUNDS", 50)?;
    let rows = number("CHAOS_ROWS", 20_000)?;
    println!("seed {seed}, {rounds} rounds, {rows} rows");
    let begin = Instant::now();
    let outcome = all(seed, rounds, rows).await;
    println!("{} s", begin.elapsed().as_secs());
    if let Err(error) = outcome {
        println!("FAILED with seed {seed}: {error:#}");
        std::process::exit(1);
    }
    Ok(())
}

async fn all(seed: u64, rounds: u64, rows: u64) -> Result<()> {
    let mut world = World::new(seed, rows).await?;
    let (mut writing, mut deleting, mut late, mut lost) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for number in 1..=rounds {
        let begin = Instant::now();
        let round = world.round(number).await;
        let round = round.with_context(|| format!("round {number}"))?;
        match round.moment {
            Moment::Writing => writing += 1,
            Moment::Deleting => deleting += 1,
            Moment::Late => late += 1,
        }
        lost += u64::from(round.is_state_lost);
        println!("round {number}: {round}, {} s", begin.elapsed().as_secs());
        if !round.wrong.is_empty() {
            wrong.push(number);
        }
    }
    println!(
        "{rounds} rounds: killed {writing} between first and last write, {deleting} in deletions, {late} at \
         another time; state lost in {lost}; wrong: {wrong:?}"
    );
    anyhow::ensure!(wrong.is_empty(), "rounds {wrong:?} went wrong");
    Ok(())
}

fn number(name: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse().with_context(|| format!("{name} is no number"))
        }
        _ => Ok(otherwise),
    }
}
