//! A name server that does not answer.

use super::*;

fault! {
    /// The node's programs find no addresses: `getaddrinfo` fails for now (`EAI_AGAIN`).
    pub struct FailNames = "fail-names" on Program(node) {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 20_000),
    }
    told "{node} resolves no names";
    effective once "a name was looked up", counted as NameFailed(node);
}

impl Injectable for FailNames {
    fn switch(&self, target: &dyn Target, on: bool) {
        target.fail_names(&self.node, on);
    }
}
