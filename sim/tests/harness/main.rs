//! What the harness owes to whoever writes a scenario, shown on small scenarios over bare streams and disks.

mod aimed;
mod anything;
mod bank;
mod determinism;
mod floors;
mod guided;
mod half_commits;
mod healing;
mod isolation;
mod life;
mod little;
mod overlaps;
mod parts;
mod plans;
mod schedules;
mod shrinking;
mod sites;
mod storms;
mod streams;
mod sweep;
mod timers;
mod two_processes;
mod upgrades;
mod verdicts;
