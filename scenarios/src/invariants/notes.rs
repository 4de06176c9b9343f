//! What is found broken between commits, from what services say: told at the next commit, or when all is judged.

use std::sync::{Arc, Mutex};

use squall::{Sim, check::Findings};

use crate::lock;

/// What one invariant finds so. Cheap to clone.
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
        let (soon, last, mut told) = (notes.clone(), notes.clone(), 0);
        sim.always(invariant, move |_, findings| {
            told = soon.tell(told, findings);
        });
        sim.finally(invariant, Default::default(), move |_, findings| {
            last.tell(0, findings);
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

    fn tell(&self, told: usize, findings: &mut Findings) -> usize {
        let notes = lock(&self.0);
        for note in &notes[told..] {
            let entities: Vec<&str> = note.entities.iter().map(String::as_str).collect();
            findings.broken(note.tag, &entities, &note.expected, &note.found);
        }
        notes.len()
    }
}

/// A field of a `tracing` event, as it is told: `name=value`.
pub fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    let mut all = fields.split(' ').filter_map(|field| field.split_once('='));
    all.find_map(|(known, value)| (known == name).then_some(value))
}
