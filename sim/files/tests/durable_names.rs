//! Names under power loss, against a model that remembers the tree of the last commit.

mod both;
mod machine;

use std::collections::BTreeMap;

use both::{NEW, Op, Simulated, names, path};
use libc::{O_RDONLY, S_IFDIR, S_IFMT};
use machine::Booted;
use proptest::{prelude::*, test_runner::FileFailurePersistence};

#[derive(Clone, Debug)]
enum Step {
    Call(Op),
    /// A directory is synced, which commits all names.
    Commit,
    /// The journal commits by itself.
    Pass,
    Crash,
    PowerLoss,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => names().prop_map(Step::Call),
        4 => path().prop_map(|path| Step::Call(Op::Open(0, path, NEW, 0o644))),
        1 => Just(Step::Call(Op::Close(0))),
        2 => Just(Step::Commit),
        1 => Just(Step::Pass),
        1 => Just(Step::Crash),
        2 => Just(Step::PowerLoss),
    ]
}

/// Every path with its inode, mode, number of names and target.
type Tree = BTreeMap<String, (u64, u32, u32, Option<Vec<u8>>)>;

fn tree(machine: &Booted) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec!["/around/work".to_owned()];
    while let Some(folder) = folders.pop() {
        let open = machine.process.open(None, folder.as_bytes(), O_RDONLY, 0);
        let dir = open.unwrap();
        while let Some(entry) = dir.next_entry().unwrap() {
            let name = String::from_utf8(entry.name).unwrap();
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{folder}/{name}");
            let told = machine.process.stat(None, path.as_bytes(), false).unwrap();
            assert_eq!(told.ino, entry.ino);
            let target = machine.process.readlink(None, path.as_bytes()).ok();
            tree.insert(path.clone(), (told.ino, told.mode, told.nlink, target));
            if told.mode & S_IFMT == S_IFDIR {
                folders.push(path);
            }
        }
    }
    tree
}

/// Each inode has as many names as it says.
fn is_sound(tree: &Tree) -> Result<(), String> {
    for (path, (ino, mode, nlink, _)) in tree {
        let names = tree.values().filter(|(other, ..)| other == ino).count() as u32;
        let inside = |other: &&String| {
            let rest = other
                .strip_prefix(path.as_str())
                .and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| !rest.contains('/')) && tree[*other].1 & S_IFMT == S_IFDIR
        };
        let expected = match mode & S_IFMT == S_IFDIR {
            true => 2 + tree.keys().filter(inside).count() as u32,
            false => names,
        };
        if *nlink != expected {
            return Err(format!(
                "{path} has {expected} names, and tells of {nlink}: {tree:?}"
            ));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_power_loss_brings_the_tree_of_the_last_commit_back_whole(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let mut simulated = Simulated::new();
        simulated.machine.fs.sync().unwrap();
        let mut committed = tree(&simulated.machine);
        for step in steps {
            let ended: fn(&squall_engine::disk::Disk) = match &step {
                Step::Call(op) => {
                    // An open journal is never older than this test: no time passes in between.
                    simulated.run(op);
                    continue;
                }
                Step::Commit => {
                    let root = simulated.machine.process.open(None, b"/", O_RDONLY, 0).unwrap();
                    root.sync(false).unwrap();
                    committed = tree(&simulated.machine);
                    continue;
                }
                Step::Pass => {
                    simulated.machine.world.pass(std::time::Duration::from_secs(6));
                    committed = tree(&simulated.machine);
                    continue;
                }
                Step::Crash => |disk| disk.crash(),
                Step::PowerLoss => |disk| disk.power_loss(),
            };
            let before = tree(&simulated.machine);
            simulated.close_all();
            simulated.machine.end(ended);
            simulated.machine.process.chdir(b"/around/work").unwrap();
            let after = tree(&simulated.machine);
            match step {
                Step::PowerLoss => prop_assert_eq!(&after, &committed),
                _ => prop_assert_eq!(&after, &before),
            }
            prop_assert_eq!(is_sound(&after), Ok(()));
        }
    }
}
