//! The runs: many seeds, one seed told line by line, and twice the same seed. What seeds found is in `found`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::run::run;
use crate::trace::{Tracing, hash};

/// Seeds of one `cargo test`. `SKEIN_SEEDS` asks for more.
const SEEDS: u64 = 1000;
/// Seeds that are told of when they fail.
const TOLD: usize = 5;
/// What all the seeds together must have met, or they prove little.
const MET: &[&str] = &[
    "answers",
    "answers to questions",
    "answers too late",
    "asked again",
    "asked again unsure",
    "compactions by the model",
    "compactions by the provider",
    "compactions that failed",
    "crashes at an effect",
    "did not read",
    "effects",
    "full",
    "lagged",
    "requests carried out",
    "requests refused",
    "stops",
    "take-overs",
    "turns",
    "turns resumed",
    "turns suspended",
    "vanished",
];

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_happens_nothing_is_lost_doubled_or_stuck() {
    let seeds = variable("SKEIN_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let failed = Mutex::new(BTreeMap::new());
    let met = Mutex::new(BTreeMap::<&str, u64>::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            let outcome = run(seed, Tracing::Off);
            if !outcome.violations.is_empty() {
                failed.lock().unwrap().insert(seed, outcome.violations);
            }
            let mut met = met.lock().unwrap();
            outcome.counts.into_iter().for_each(|(what, times)| *met.entry(what).or_default() += times);
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (failed, met) = (failed.into_inner().unwrap(), met.into_inner().unwrap());
    println!("{seeds} seeds met {met:#?}");
    let told: Vec<_> = failed
        .iter()
        .take(TOLD)
        .map(|(seed, violations)| {
            let replay = "cargo test -p skein-tests --test simulation one_seed";
            format!("seed {seed} (SKEIN_SEED={seed} {replay}):\n  {}", violations.join("\n  "))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {seeds} seeds failed\n{}", failed.len(), told.join("\n"));
    let missing: Vec<_> = MET.iter().filter(|what| !met.contains_key(*what)).collect();
    assert!(seeds < SEEDS || missing.is_empty(), "the seeds never met {missing:?}");
}

#[test]
fn one_seed_is_told_line_by_line() {
    let seed = variable("SKEIN_SEED").unwrap_or(1);
    let outcome = run(seed, Tracing::On);
    println!("{}", outcome.trace.join("\n"));
    assert!(outcome.violations.is_empty(), "seed {seed}:\n{}", outcome.violations.join("\n"));
}

#[test]
fn a_seed_always_tells_the_same() {
    for seed in 0..20 {
        let (first, second) = (run(seed, Tracing::On).trace, run(seed, Tracing::On).trace);
        let differs = first.iter().zip(&second).find(|(first, second)| first != second);
        assert_eq!(hash(&first), hash(&second), "seed {seed}: {differs:#?}");
        assert!(first.len() > 10, "seed {seed} tells nothing");
    }
}
