//! The first thousand seeds of each scenario go the way they went: the hash of each run's trace is in `tests/hashes/`.
//!
//! Work on the harness or the services that must not alter what happens leaves the tables as they are. A change that
//! has to alter them says why in its commit, which writes them anew:
//!
//! ```sh
//! SQUALL_HASHES=write cargo test --release -p squall-scenarios --test hashes
//! ```
//!
//! `SQUALL_HASHES=all` compares all thousand seeds; without it, a test compares the first of them.

use std::{env, fs, path::Path};

use squall::{
    run::{Spec, run},
    seed::Seed,
};
use squall_scenarios::catalogue;

const SEEDS: u64 = 1_000;
/// Compared when nobody asks for more.
const SEEDS_FIRST: u64 = 15;

#[test]
fn each_seed_goes_the_way_it_went() {
    let asked = env::var("SQUALL_HASHES").unwrap_or_default();
    let seeds = match asked.as_str() {
        "" => SEEDS_FIRST,
        "all" | "write" => SEEDS,
        other => panic!("SQUALL_HASHES={other}: say `all` or `write`"),
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hashes");
    let scenarios = catalogue().scenarios;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let changed: Vec<String> = std::thread::scope(|threads| {
        let portions = scenarios.chunks(scenarios.len().div_ceil(processors));
        let workers: Vec<_> = portions
            .map(|portion| {
                let directory = &directory;
                let asked = &asked;
                threads.spawn(move || {
                    let mut changed = Vec::new();
                    for scenario in portion {
                        let hash = |seed| {
                            let outcome =
                                run(&**scenario, &Spec::of(&**scenario, Seed(seed)), false);
                            format!("{:016x}", outcome.hash)
                        };
                        let hashes: Vec<String> = (0..seeds).map(hash).collect();
                        let file = directory.join(format!("{}.txt", scenario.name()));
                        if asked == "write" {
                            fs::write(&file, hashes.join("\n") + "\n")
                                .expect("the table can be written");
                            continue;
                        }
                        let table = fs::read_to_string(&file)
                            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                        assert_eq!(table.lines().count() as u64, SEEDS, "{}", file.display());
                        let pairs = table.lines().zip(&hashes).zip(0..seeds);
                        let other = pairs.filter(|((was, is), _)| was != is);
                        let other: Vec<u64> = other.map(|(_, seed)| seed).collect();
                        if let Some(first) = other.first() {
                            changed.push(format!(
                                "{}: {} of {seeds} seeds, first {first}",
                                scenario.name(),
                                other.len()
                            ));
                        }
                    }
                    changed
                })
            })
            .collect();
        let all = workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no worker panics"));
        all.collect()
    });
    assert!(
        changed.is_empty(),
        "runs that go another way than before:\n  {}\nIf that is meant, say why and write the tables anew: \
         SQUALL_HASHES=write cargo test --release -p squall-scenarios --test hashes",
        changed.join("\n  ")
    );
}
