//! Two processes of one node.

use super::*;

/// One storm in this many has a process that lives on while its successor boots.
const ONE_STORM_IN: u64 = 6;
/// The share of these that begin where a node owns something, in percent, ...
const OWNED_PERCENT: u64 = 85;
/// ... within this many events.
const OWNED_NTH_MAX: u64 = 6;

const OVERLAP: Heading = Heading::at("overlap", 22, 10);
/// Longer than a lease; shorter; as long as anybody insists.
const LIVES_ON: sweep::Lengths = [20_000, 2_000, 40_000];

fault! {
    /// The process is taken for dead while it lives: its successor boots at once under its name, and new connections
    /// reach that one, while the old process goes on with its tasks, timers and connections, and may open new ones.
    /// Only where the node keeps no files, which its process would lock.
    pub struct Overlap = "overlap" on Node(node) {
        /// For how many virtual milliseconds the old process lives on; then its kernel closes its connections.
        for_ms: u64,
    }
    told "a successor of {node} boots; the old process lives on";
    effective once "the old process has handed something to the network";
    drawn |from| {
        let node = *from.rng.pick(&from.profile.overlaps);
        // From shorter than a lease to longer.
        Overlap::new(node, from.ms(1_000, 40_000))
    };
}

impl Injectable for Overlap {
    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.overlaps.is_empty())
    }

    fn drawing() -> Drawing {
        Drawing {
            joins: Some(Turn::Last),
            one_storm_in: Some((ONE_STORM_IN, "overlap")),
            ..Drawing::default()
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        let can = |node: &&str| at.profile.overlaps.contains(node);
        if let Some(node) = at.process().filter(can) {
            at.lasting(&OVERLAP, LIVES_ON, |for_ms| Overlap::new(node, for_ms));
        }
    }

    fn check_in(&self, profile: &Profile) -> Result<(), String> {
        match &profile.overlaps[..] {
            can if can.contains(&&*self.node) => Ok(()),
            [] => Err("no node of this scenario can have two processes at once".to_owned()),
            can => Err(format!(
                "{} can't have two processes at once; {} can",
                self.node,
                can.join(", ")
            )),
        }
    }

    fn clause(&self, _: &words::Moment<'_>) -> words::Clause {
        let (node, time) = (&self.node, words::time(self.for_ms));
        let lives_on = format!("its old process lives on for {time} while a new one runs");
        format!("{node} is taken for dead and {lives_on}, beginning").into()
    }

    fn stops_process(&self) -> bool {
        true
    }

    fn doubles(&self) -> Option<&str> {
        Some(&self.node)
    }

    /// A successor mostly boots where the old process says that it holds something, or at least something.
    fn aim(&mut self, when: &mut When, from: &mut Draw<'_>) {
        let profile = from.profile;
        let said = |places: &[(&'static str, &'static str)]| {
            let mut places = places.to_vec();
            places.retain(|(at, _)| profile.overlaps.contains(at));
            places
        };
        let mut places = said(&profile.held);
        if places.is_empty() {
            places = said(&profile.events);
        }
        if from.rng.below(100) < OWNED_PERCENT && !places.is_empty() {
            let (owner, event) = *from.rng.pick(&places);
            owner.clone_into(&mut self.node);
            let nth = 1 + from.rng.below(OWNED_NTH_MAX);
            *when = When::nth(owner, Kind::Event(event.to_owned()), nth);
        }
    }

    // Two processes at once, or is it enough that one follows another?
    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        vec![Restart::new(&self.node).into()]
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.overlap(&self.node)
    }

    fn end(&self, target: &dyn Target) {
        target.end_overlap();
    }
}
