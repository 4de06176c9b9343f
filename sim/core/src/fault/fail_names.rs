//! A name server that does not answer.

use super::*;

fault! {
    /// The node's programs find no addresses: `getaddrinfo` fails for now (`EAI_AGAIN`).
    pub struct FailNames = "fail-names" on Node(node) {
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
    told "{node} resolves no names";
    effective once "a name was looked up", counted as NameFailed(node);
    drawn |from| FailNames::new(from.program(), from.ms(100, 20_000));
}

impl Injectable for FailNames {
    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.programs.is_empty())
    }

    fn check_in(&self, profile: &Profile) -> Result<(), String> {
        profile.runs_a_program(&self.node)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.fail_names(&self.node, on);
    }
}
