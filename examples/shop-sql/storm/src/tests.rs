//! Storms find planted bugs, and nothing else.

use shop_sql_kit::Bug;
use squall::testing;
use squall_servers::{postgres_is_installed, redis_is_installed};

use crate::scenario;

fn servers_are_there() -> bool {
    let Err(absent) = postgres_is_installed().and_then(|()| redis_is_installed()) else {
        return true;
    };
    assert!(std::env::var_os("SQUALL_SERVERS").is_none(), "{absent}");
    eprintln!("NOT RUN: {absent}");
    false
}

#[test]
fn the_shop_survives() {
    if servers_are_there() {
        testing::check(&*scenario(), 3);
    }
}

/// Those that storms find soonest; `run --plant BUG` finds the others.
#[test]
fn bugs_that_show_in_most_storms_are_found() {
    if servers_are_there() {
        for bug in [Bug::CheckThenAct, Bug::ConflictTakenForInserted] {
            testing::finds(&*scenario(), bug.name(), 20);
        }
    }
}
