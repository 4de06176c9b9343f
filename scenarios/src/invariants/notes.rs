//! What is found broken between commits, from what services say: told at the next commit, or when all is judged.

use std::sync::{Arc, Mutex};

use squall::{Sim, check::Findings};

use crate::lock;

/// What one invariant finds so, until it is told. Cheap to clone.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

struct Note {
    tag: &'static str,
    entities: Vec<String>,
    expected: String,
    found: String,
}

impl Notes {
    /// Nothing was found yet that breaks this invariant.
    pub fn watch(sim: &Sim, invariant: &'static str) -> Self {
        let notes = Notes::default();
        let (soon, last) = (notes.clone(), notes.clone());
        sim.always(invariant, move |_, findings| soon.tell(findings));
        sim.finally(invariant, Default::default(), move |_, findings| {
            last.tell(findings);
        });
        notes
    }

    /// The invariant is broken, in the way `tag`.
    pub fn broken(
        &self,
        tag: &'static str,
        entities: &[&str],
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        lock(&self.0).push(Note {
            tag,
            entities: entities.iter().map(|&entity| entity.to_owned()).collect(),
            expected: expected.into(),
            found: found.into(),
        });
    }

    fn tell(&self, findings: &mut Findings) {
        for note in lock(&self.0).drain(..) {
            let entities: Vec<&str> = note.entities.iter().map(String::as_str).collect();
            findings.broken(note.tag, &entities, note.expected, note.found);
        }
    }
}

/// A field of a `tracing` event, as it is told: `name=value`.
pub fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    let mut all = fields.split(' ').filter_map(|field| field.split_once('='));
    all.find_map(|(known, value)| (known == name).then_some(value))
}
