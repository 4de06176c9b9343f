//! Histories: what clients asked one object and were told, and whether some order of it explains every answer.
//!
//! A history is *linearizable* (Herlihy, Wing, TOPLAS 1990) if its operations can be put into one order that a
//! sequential [`Model`] of the object gives the same answers in, and in which none comes before another that had ended
//! before it began. The search is that of Wing and Gong with Lowe's memory of the states seen.
//!
//! It judges what the services said, not what their databases hold: this is a client's view.

mod search;

use std::{collections::BTreeMap, fmt::Debug, hash::Hash};

use squall_core::time::VirtualTime;

/// The object as it would be if it served one request at a time.
pub trait Model: Debug + Send + Sync + 'static {
    /// All that there is to know of the object.
    type State: Clone + Debug + Eq + Hash;
    /// What it can be asked.
    type Call: Clone + Debug + Send + Sync;
    /// What it can answer.
    type Answer: Clone + Debug + Send + Sync;

    /// The object before the first call.
    fn initial(&self) -> Self::State;

    /// What `call` makes of the object, and what the object says to it.
    fn serve(&self, state: &Self::State, call: &Self::Call) -> (Self::State, Self::Answer);

    /// Whether `told` may be said where the model says `right`. Equal, unless answers leave something open.
    fn explains(&self, right: &Self::Answer, told: &Self::Answer) -> bool;

    /// The fixed name of what goes wrong when no order explains the answer to this call.
    fn tag(&self, call: &Self::Call) -> &'static str;
}

/// Longer histories of one object are not judged.
pub const OPERATIONS_MAX: usize = 128;
/// The most tries for a history; one that needs more, because too many of its operations overlap, is not judged.
pub const TRIES_MAX: u64 = 100_000;

/// One operation.
#[derive(Debug)]
struct Operation<M: Model> {
    call: M::Call,
    invoked: VirtualTime,
    /// Which event of the history the invocation was: one thread runs everything, so events have one order.
    from: u64,
    end: End<M::Answer>,
}

#[derive(Debug)]
enum End<A> {
    /// It is unknown whether it took effect, or will.
    Unknown,
    /// It certainly had no effect.
    Failed,
    /// It took effect between its invocation and this event.
    Answered {
        answer: A,
        at: VirtualTime,
        event: u64,
    },
}

/// An operation that was invoked, to say how it ended.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "without a word about its end the operation's outcome is unknown"]
pub struct Ticket {
    object: String,
    place: usize,
}

/// The operations on some objects that share a model.
///
/// ```
/// # mod squall { pub use squall_core::time; pub use squall_engine::check; }
/// use squall::{check::history::{History, Model}, time::VirtualTime};
///
/// /// A counter that can be raised, and says what it was.
/// #[derive(Debug)]
/// struct Counter;
///
/// impl Model for Counter {
///     type State = u32;
///     type Call = ();
///     type Answer = u32;
///
///     fn initial(&self) -> u32 {
///         0
///     }
///     fn serve(&self, state: &u32, _: &()) -> (u32, u32) {
///         (state + 1, *state)
///     }
///     fn explains(&self, right: &u32, told: &u32) -> bool {
///         right == told
///     }
///     fn tag(&self, _: &()) -> &'static str {
///         "raise"
///     }
/// }
///
/// let mut history = History::new(Counter);
/// for told in [0, 0] {
///     let raise = history.invoked("counter", VirtualTime::ZERO, ());
///     history.ok(raise, VirtualTime::ZERO, told);
/// }
/// assert_eq!(history.judge().broken.len(), 1, "two calls, one after the other, were both the first");
/// ```
#[derive(Debug)]
pub struct History<M: Model> {
    model: M,
    objects: BTreeMap<String, Vec<Operation<M>>>,
    events: u64,
}

/// What was found of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Objects whose history was judged.
    pub judged: u64,
    /// Objects whose history is too long or has too many operations at once: nothing is known of them.
    pub too_wide: u64,
    /// Objects whose answers no order explains.
    pub broken: Vec<Unexplained>,
}

/// The first answer of an object that no order of what was asked before explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexplained {
    /// The object.
    pub object: String,
    /// The model's name for it.
    pub tag: &'static str,
    /// The call.
    pub call: String,
    /// What it was told.
    pub answer: String,
    /// When.
    pub at: VirtualTime,
    /// How many operations had begun by then, this one included.
    pub among: usize,
}

impl<M: Model> History<M> {
    /// An empty history.
    pub fn new(model: M) -> Self {
        History {
            model,
            objects: BTreeMap::new(),
            events: 0,
        }
    }

    /// An operation on `object` begins. Until its end is told, its outcome is unknown: it may take effect at any later
    /// time, or never.
    pub fn invoked(&mut self, object: &str, at: VirtualTime, call: M::Call) -> Ticket {
        let from = self.event();
        let operations = match self.objects.get_mut(object) {
            Some(operations) => operations,
            None => self.objects.entry(object.to_owned()).or_default(),
        };
        operations.push(Operation {
            call,
            invoked: at,
            from,
            end: End::Unknown,
        });
        Ticket {
            object: object.to_owned(),
            place: operations.len() - 1,
        }
    }

    /// It was answered. A refusal is an answer too: it tells something about the object.
    pub fn ok(&mut self, ticket: Ticket, at: VirtualTime, answer: M::Answer) {
        let event = self.event();
        self.end(&ticket, End::Answered { answer, at, event });
    }

    /// It certainly had no effect: it was not even sent.
    pub fn failed(&mut self, ticket: Ticket) {
        self.end(&ticket, End::Failed);
    }

    /// How many operations were invoked and answered so far: as long as it stays, so does the judgement.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Looks for an order that explains the answers, for each object on its own (linearizability is a local property).
    pub fn judge(&self) -> Judged {
        let mut all = Judged::default();
        for (object, operations) in &self.objects {
            match self.first_unexplained(operations) {
                Ok(None) => all.judged += 1,
                Ok(Some((place, among))) => {
                    all.judged += 1;
                    all.broken
                        .extend(self.unexplained(object, &operations[place], among));
                }
                Err(TooWide) => all.too_wide += 1,
            }
        }
        all
    }

    /// The place of the operation whose answer is the first that no order explains, and how many had begun by then.
    ///
    /// What was told up to some moment is linearizable if what was told up to a later one is, so it is found by
    /// halving.
    fn first_unexplained(
        &self,
        operations: &[Operation<M>],
    ) -> Result<Option<(usize, usize)>, TooWide> {
        let mut answers: Vec<(u64, usize)> = operations
            .iter()
            .enumerate()
            .filter_map(|(place, operation)| match operation.end {
                End::Answered { event, .. } => Some((event, place)),
                End::Unknown | End::Failed => None,
            })
            .collect();
        answers.sort_unstable();
        if answers.is_empty() || self.holds(operations, u64::MAX)? {
            return Ok(None);
        }
        // The first so many answers are explained; the first so many are not.
        let (mut good, mut bad) = (0, answers.len());
        while bad - good > 1 {
            let middle = usize::midpoint(good, bad);
            match self.holds(operations, answers[middle - 1].0) {
                Ok(true) => good = middle,
                Ok(false) => bad = middle,
                // It is broken; only where cannot be told more closely.
                Err(TooWide) => break,
            }
        }
        let (event, place) = answers[bad - 1];
        let among = operations.iter().filter(|o| o.from < event).count();
        Ok(Some((place, among)))
    }

    /// Whether some order explains what was told up to this event.
    fn holds(&self, operations: &[Operation<M>], until: u64) -> Result<bool, TooWide> {
        let seen = operations
            .iter()
            .filter(|o| o.from < until && !matches!(o.end, End::Failed));
        let seen = seen.map(|operation| search::Seen {
            call: &operation.call,
            from: operation.from,
            told: match &operation.end {
                End::Answered { answer, event, .. } if *event <= until => Some((*event, answer)),
                _ => None,
            },
        });
        search::is_linearizable(&self.model, seen.collect())
    }

    fn unexplained(
        &self,
        object: &str,
        operation: &Operation<M>,
        among: usize,
    ) -> Option<Unexplained> {
        let End::Answered { answer, at, .. } = &operation.end else {
            return None;
        };
        Some(Unexplained {
            object: object.to_owned(),
            tag: self.model.tag(&operation.call),
            call: format!("{:?}, asked at {}", operation.call, operation.invoked),
            answer: format!("{answer:?}"),
            at: *at,
            among,
        })
    }

    fn event(&mut self) -> u64 {
        self.events += 1;
        self.events
    }

    fn end(&mut self, ticket: &Ticket, end: End<M::Answer>) {
        let operations = self.objects.get_mut(&ticket.object);
        let operation = operations.and_then(|all| all.get_mut(ticket.place));
        operation
            .expect("a ticket is of the history that gave it")
            .end = end;
    }
}

/// The search was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooWide;

#[cfg(test)]
mod tests;
