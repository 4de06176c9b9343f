//! The simulated disk against a model that keeps every byte and every past state.

use std::sync::Arc;

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use redb::StorageBackend;
use squall::disk::{Disk, File};
use squall_fixtures::one_disk::booted;

/// Large enough for holes and several pages, small enough to compare whole.
const END: u64 = 40_000;

#[derive(Clone, Debug)]
enum Step {
    Write {
        offset: u64,
        len: u64,
        byte: u8,
    },
    SetLen(u64),
    Sync,
    FailSync,
    Crash,
    /// The node dies at the n-th page of a write of ones.
    DieWriting {
        offset: u64,
        len: u64,
        site: u64,
    },
    PowerLoss,
}

fn step() -> impl Strategy<Value = Step> {
    let offset = prop_oneof![0..END, (0..END / 4096).prop_map(|page| page * 4096)];
    let len = prop_oneof![1u64..9000, Just(4096), Just(512)];
    prop_oneof![
        8 => (offset.clone(), len.clone(), 1..=255u8)
            .prop_map(|(offset, len, byte)| Step::Write { offset, len, byte }),
        2 => (0..END).prop_map(Step::SetLen),
        2 => Just(Step::Sync),
        1 => Just(Step::FailSync),
        1 => Just(Step::Crash),
        1 => (offset, len, 1..4u64)
            .prop_map(|(offset, len, site)| Step::DieWriting { offset, len, site }),
        1 => Just(Step::PowerLoss),
    ]
}

/// What is known of a file: what reads must show, and what the platter may hold.
#[derive(Clone, Default)]
struct Model {
    cached: Vec<u8>,
    /// Contents since the last sync, that one first: a power loss makes each byte one of these, or zero.
    possible: Vec<Vec<u8>>,
    /// A sync failed since then: a crash may show any of these as well.
    gave_up: bool,
}

impl Model {
    fn changed(&mut self) {
        self.possible.push(self.cached.clone());
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let (start, end) = (offset as usize, offset as usize + data.len());
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[start..end].copy_from_slice(data);
        self.changed();
    }

    fn settle(&mut self, found: &[u8]) {
        self.cached = found.to_vec();
        self.possible = vec![found.to_vec()];
        self.gave_up = false;
    }

    fn allows(&self, found: &[u8]) -> Result<(), String> {
        if !self.possible.iter().any(|past| past.len() == found.len()) {
            return Err(format!("no past state is {} bytes long", found.len()));
        }
        let is_from_past = |at: usize, byte: u8| {
            byte == 0 || self.possible.iter().any(|past| past.get(at) == Some(&byte))
        };
        match (0..found.len()).find(|at| !is_from_past(*at, found[*at])) {
            Some(at) => Err(format!("byte {at} is {}, which it never was", found[at])),
            None => Ok(()),
        }
    }
}

fn content(file: &impl StorageBackend) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read(0, &mut bytes).unwrap();
    bytes
}

/// The file once its node has crashed and booted. Pages of the cache that no sync gave up may still be unwritten.
fn restarted(disk: &Arc<Disk>, model: &mut Model) -> Result<File, TestCaseError> {
    disk.crash();
    disk.boot();
    let file = disk.open("f").unwrap();
    if model.gave_up {
        let found = content(&file);
        model.allows(&found).map_err(TestCaseError::fail)?;
        model.cached = found;
        model.changed();
    }
    Ok(file)
}

fn check(seed: u64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (host, disk) = booted(seed);
    let mut file = disk.open("f").unwrap();
    file.sync_data().unwrap();
    let mut model = Model::default();
    model.changed();
    for step in steps {
        match step.clone() {
            Step::Write { offset, len, byte } => {
                let data = vec![byte; len as usize];
                file.write(offset, &data).unwrap();
                model.write(offset, &data);
            }
            Step::SetLen(len) => {
                file.set_len(len).unwrap();
                model.cached.resize(len as usize, 0);
                model.changed();
            }
            Step::Sync => {
                file.sync_data().unwrap();
                if !model.gave_up {
                    model.possible = vec![model.cached.clone()];
                    prop_assert_eq!(&content(&disk.fork_durable("f").unwrap()), &model.cached);
                }
            }
            Step::FailSync => {
                disk.fail_syncs(1);
                file.sync_data().unwrap_err();
                model.gave_up = true;
            }
            Step::Crash => {
                file = restarted(&disk, &mut model)?;
            }
            Step::DieWriting { offset, len, site } => {
                host.die_at(site);
                let data = vec![1; len as usize];
                let written = file.write(offset, &data);
                let pages = (offset + len - 1) / 4096 - offset / 4096 + 1;
                prop_assert_eq!(written.is_err(), site <= pages);
                let n = match written {
                    Ok(()) => len,
                    Err(_) => ((offset / 4096 + site - 1) * 4096).max(offset) - offset,
                };
                host.live_on();
                if n > 0 {
                    model.write(offset, &data[..n as usize]);
                }
                if written_was_fatal(&disk, &file) {
                    file = restarted(&disk, &mut model)?;
                }
            }
            Step::PowerLoss => {
                let before = content(&disk.fork_durable("f").unwrap());
                model.allows(&before).map_err(TestCaseError::fail)?;
                disk.power_loss();
                disk.boot();
                file = disk.open("f").unwrap();
                let found = content(&file);
                model.allows(&found).map_err(TestCaseError::fail)?;
                prop_assert_eq!(&content(&disk.fork_durable("f").unwrap()), &found);
                model.settle(&found);
            }
        }
        prop_assert_eq!(&content(&file), &model.cached, "after {:?}", step);
        if !model.gave_up {
            prop_assert_eq!(&content(&disk.fork("f").unwrap()), &model.cached);
        }
    }
    Ok(())
}

fn written_was_fatal(disk: &Disk, file: &File) -> bool {
    file.len().is_err() && disk.exists("f")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/disk_model.txt"))), ..ProptestConfig::default() })]

    #[test]
    fn reads_show_what_was_written_and_the_platter_holds_nothing_that_never_was(
        seed: u64,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        check(seed, steps)?;
    }
}
