//! What `make test` plays of the simulation.
#![allow(clippy::panic, missing_docs)]

use tributary_simulation::run_seed;

fn hold(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        if let Err((what, lines)) = run_seed(seed, false).result {
            panic!("seed {seed}: {what}\n{}", lines.join("\n"));
        }
    }
}

#[test]
fn the_first_seeds_hold() {
    hold(0..250);
}

#[test]
fn the_next_seeds_hold() {
    hold(250..500);
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..20 {
        let hash = run_seed(seed, false).hash;
        assert_eq!(hash, run_seed(seed, false).hash, "seed {seed}");
    }
}
