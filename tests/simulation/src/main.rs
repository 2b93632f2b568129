//! Plays seeds: `SEEDS=10000` many from `FROM=0` on, or `SEED=n` one, with its trace.

use std::{env, process::ExitCode};
use tributary_simulation::run_seed;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn main() -> ExitCode {
    if let Some(seed) = number("SEED") {
        let report = run_seed(seed, true);
        return match report.result {
            Ok(()) => {
                println!("seed {seed} holds");
                ExitCode::SUCCESS
            }
            Err((what, _)) => {
                println!("seed {seed}: {what}");
                ExitCode::FAILURE
            }
        };
    }
    let from = number("FROM").unwrap_or(0);
    let count = number("SEEDS").unwrap_or(500);
    for seed in from..from + count {
        let report = run_seed(seed, false);
        if let Err((what, lines)) = report.result {
            println!("{}", lines.join("\n"));
            println!("seed {seed}: {what}");
            println!("`make simulate SEED={seed}` shows all of it");
            return ExitCode::FAILURE;
        }
    }
    println!("{count} seeds hold");
    ExitCode::SUCCESS
}
