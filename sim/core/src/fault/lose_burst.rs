//! A message that never arrives.

use super::*;

const REQUEST: Heading = Heading::at("request lost", 9, 15);
const ANSWER: Heading = Heading::at("answer lost", 10, 16);

fault! {
    /// The connection is silently cut at this burst. At a site only.
    pub struct LoseBurst = "lose-burst" on Burst() {}
    told "it is lost and the connection is dead";
    in words |message| "{message} is lost, and its connection is dead";
    effective once "the burst was lost";
}

impl Injectable for LoseBurst {
    fn candidates(at: &mut Candidates<'_>) {
        let Some(burst) = at.burst() else { return };
        let heading = if burst.asks { &REQUEST } else { &ANSWER };
        at.once(heading, LoseBurst {});
    }

    fn at_burst(&self) -> Option<BurstFault> {
        Some(BurstFault::Lose)
    }

    fn weaker(&self, _: &[(&str, &str)]) -> Vec<Action> {
        vec![ResetBurst {}.into()]
    }
}
