//! Ctrl-C and other signals: what was begun is finished, and kept.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// Set by SIGINT, SIGTERM and SIGHUP from the first call on; a second signal ends the program at once.
pub(super) fn on_signal() -> Arc<AtomicBool> {
    static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let stop = STOP.get_or_init(|| {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let handled = ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED);
            }
            eprintln!("\nstopping: what runs comes to its end (once more to stop at once)");
        });
        if let Err(error) = handled {
            eprintln!("signals are not handled ({error}): Ctrl-C loses the step under way");
        }
        stop
    });
    stop.clone()
}

/// What shells report for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
