//! What the services say: a `tracing` subscriber for one run on one thread.
//!
//! One static dispatcher serves the process and knows nothing; whatever is said goes to the [`Sink`] that is
//! [`install`]ed on the thread that says it. Without one, everything is switched off.
//!
//! Spans matter only for the four fields of a [`Scope`]; the innermost entered span's is the [`current_scope`].
//! Nothing that depends on the process (span ids, addresses, threads) reaches a sink.

use std::{
    cell::RefCell,
    fmt::{self, Write},
    mem,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    dispatcher::{self, DefaultGuard, Dispatch},
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

use tracing_core::span::Current;

use super::Scope;

/// Where the events of a run go.
pub trait Sink: Send + Sync {
    /// A service said something. `fields` are the event's own, `name=value name2="two words"`.
    ///
    /// Whatever is said from within this call goes unheard.
    fn event(&self, scope: &Scope, level: Level, target: &str, message: &str, fields: &str);
}

/// Sends what is said on this thread to `sink`, until the guard is dropped on this thread.
pub fn install(sink: Arc<dyn Sink>) -> Installed {
    static DISPATCH: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(ThreadSubscriber));
    static GENERATION: AtomicU64 = AtomicU64::new(1);
    let state = State {
        sink: Some(sink),
        generation: GENERATION.fetch_add(1, Ordering::Relaxed) << GENERATION_SHIFT,
        ..State::default()
    };
    Installed {
        outer: STATE.replace(state),
        _default: dispatcher::set_default(&DISPATCH),
    }
}

/// Ends an [`install`] when dropped, and forgets all of its spans.
pub struct Installed {
    outer: State,
    // Restores the thread's earlier dispatcher; not `Send`, so neither is this.
    _default: DefaultGuard,
}

impl Drop for Installed {
    fn drop(&mut self) {
        // The sink may own a whole world, so it is dropped after the borrow.
        let _ended = STATE.try_with(|state| state.replace(mem::take(&mut self.outer)));
    }
}

/// The scope of the innermost span entered on this thread; empty where there is none.
pub fn current_scope() -> Arc<Scope> {
    with(|state| state.current()).unwrap_or_default()
}

/// A task's turn begins: where it will wait is not known yet.
pub(crate) fn turn_begins() {
    with(|state| {
        state.left.clear();
        state.follows = true;
    });
}

/// The scope in which the task waits whose turn has just ended. Every span of its futures has been exited by then, the
/// innermost first, and those of futures that have ended are closed.
pub(crate) fn waits_in() -> Arc<Scope> {
    with(|state| {
        state.follows = false;
        let waits = state
            .left
            .iter()
            .find_map(|&left| state.spans[left].as_ref());
        waits.map_or_else(|| state.empty.clone(), |span| span.scope.clone())
    })
    .unwrap_or_default()
}

/// Span ids carry the generation of their installation above this bit, so that a span which outlives its run (or
/// wanders to another thread) touches no other task's.
const GENERATION_SHIFT: u32 = 32;

/// Prefixes of targets that are never heard: the machinery below the services.
const UNHEARD: [&str; 3] = ["madsim", "hyper", "mio"];

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// Nothing foreign may run inside: formatting, sinks and their destructors come back here.
fn with<T>(work: impl FnOnce(&mut State) -> T) -> Option<T> {
    STATE.try_with(|state| work(&mut state.borrow_mut())).ok()
}

#[derive(Default)]
struct State {
    sink: Option<Arc<dyn Sink>>,
    generation: u64,
    spans: Vec<Option<Span>>,
    /// Indices of `spans` that are `None`; each once.
    free: Vec<usize>,
    /// Entered spans, innermost last. All are open.
    entered: Vec<usize>,
    /// Spans that were exited since one was last entered, in that order; noted only while `follows`.
    left: Vec<usize>,
    follows: bool,
    /// What a span without one shows.
    empty: Arc<Scope>,
    message: String,
    fields: String,
}

struct Span {
    /// Shared by the span that declares it and those that inherit it unchanged.
    scope: Arc<Scope>,
    metadata: &'static Metadata<'static>,
    references: usize,
}

impl State {
    fn index(&self, id: &Id) -> Option<usize> {
        let bits = id.into_u64();
        (bits >> GENERATION_SHIFT == self.generation >> GENERATION_SHIFT)
            .then(|| (bits & ((1 << GENERATION_SHIFT) - 1)) as usize - 1)
    }

    fn id(&self, index: usize) -> Id {
        Id::from_u64(self.generation | (index as u64 + 1))
    }

    fn span(&mut self, id: &Id) -> Option<&mut Span> {
        let index = self.index(id)?;
        self.spans.get_mut(index)?.as_mut()
    }

    fn current(&self) -> Arc<Scope> {
        self.entered
            .last()
            .and_then(|&index| self.spans[index].as_ref())
            .map_or_else(|| self.empty.clone(), |span| span.scope.clone())
    }

    /// The scope that a new span or an event is said in.
    fn around(&mut self, parent: Option<&Id>, contextual: bool) -> Arc<Scope> {
        match parent {
            Some(parent) => match self.span(parent) {
                Some(span) => span.scope.clone(),
                None => self.empty.clone(),
            },
            None if contextual => self.current(),
            None => self.empty.clone(),
        }
    }

    fn open(&mut self, scope: Arc<Scope>, metadata: &'static Metadata<'static>) -> Id {
        let span = Some(Span {
            scope,
            metadata,
            references: 1,
        });
        let index = match self.free.pop() {
            Some(index) => {
                self.spans[index] = span;
                index
            }
            None => {
                self.spans.push(span);
                self.spans.len() - 1
            }
        };
        self.id(index)
    }
}

struct ThreadSubscriber;

impl Subscriber for ThreadSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if UNHEARD.iter().any(|p| metadata.target().starts_with(p)) {
            Interest::never()
        } else {
            Interest::sometimes()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        with(|state| state.sink.is_some()).unwrap_or(false)
            && !UNHEARD.iter().any(|p| metadata.target().starts_with(p))
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let declares = attributes.fields().iter().any(|f| is_scope(f.name()));
        let mut declared = ScopeVisitor::default();
        if declares {
            attributes.record(&mut declared);
        }
        with(|state| {
            let around = state.around(attributes.parent(), attributes.is_contextual());
            let scope = if declares {
                declared.0.inherit(&around);
                Arc::new(declared.0)
            } else {
                around
            };
            state.open(scope, attributes.metadata())
        })
        .unwrap_or_else(|| Id::from_u64(u64::MAX))
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let Some(Some(old)) = with(|state| state.span(id).map(|span| span.scope.clone())) else {
            return;
        };
        let mut visitor = ScopeVisitor((*old).clone());
        values.record(&mut visitor);
        let new = Arc::new(visitor.0);
        with(|state| {
            for span in state.spans.iter_mut().flatten() {
                if Arc::ptr_eq(&span.scope, &old) {
                    span.scope = new.clone();
                }
            }
        });
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(Some((sink, scope, mut message, mut fields))) = with(|state| {
            let sink = state.sink.clone()?;
            let scope = state.around(event.parent(), event.is_contextual());
            let buffers = (mem::take(&mut state.message), mem::take(&mut state.fields));
            Some((sink, scope, buffers.0, buffers.1))
        }) else {
            return;
        };
        message.clear();
        fields.clear();
        event.record(&mut EventVisitor {
            message: &mut message,
            fields: &mut fields,
        });
        let metadata = event.metadata();
        sink.event(
            &scope,
            *metadata.level(),
            metadata.target(),
            &message,
            &fields,
        );
        with(|state| (state.message, state.fields) = (message, fields));
    }

    fn enter(&self, id: &Id) {
        with(|state| {
            if let Some(index) = state.index(id).filter(|_| state.span(id).is_some()) {
                state.entered.push(index);
                state.left.clear();
            }
        });
    }

    fn exit(&self, id: &Id) {
        with(|state| {
            let index = state.index(id);
            if let Some(place) = state.entered.iter().rposition(|i| Some(*i) == index) {
                state.entered.remove(place);
            }
            state.left.extend(index.filter(|_| state.follows));
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        with(|state| {
            if let Some(span) = state.span(id) {
                span.references += 1;
            }
        });
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        with(|state| {
            let Some(span) = state.span(&id) else {
                return false;
            };
            span.references -= 1;
            if span.references > 0 {
                return false;
            }
            let index = state.index(&id).expect("it names an open span");
            state.spans[index] = None;
            state.entered.retain(|entered| *entered != index);
            state.left.retain(|left| *left != index);
            state.free.push(index);
            true
        })
        .unwrap_or(false)
    }

    fn current_span(&self) -> Current {
        with(|state| {
            let index = *state.entered.last()?;
            let metadata = state.spans[index].as_ref()?.metadata;
            Some(Current::new(state.id(index), metadata))
        })
        .flatten()
        .unwrap_or_else(Current::none)
    }
}

fn is_scope(field: &str) -> bool {
    matches!(field, "trace_id" | "request_id" | "op" | "saga_id")
}

#[derive(Default)]
struct ScopeVisitor(Scope);

impl ScopeVisitor {
    fn field(&mut self, name: &str) -> Option<&mut String> {
        match name {
            "trace_id" => Some(&mut self.0.trace_id),
            "request_id" => Some(&mut self.0.request_id),
            "op" => Some(&mut self.0.op),
            "saga_id" => Some(&mut self.0.saga_id),
            _ => None,
        }
    }
}

impl Visit for ScopeVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(kept) = self.field(field.name()) {
            *kept = value.to_owned();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if let Some(kept) = self.field(field.name()) {
            kept.clear();
            // A `String` takes whatever is written; a failing `Debug` leaves what it wrote.
            let _ = write!(kept, "{value:?}");
        }
    }
}

struct EventVisitor<'a> {
    message: &'a mut String,
    fields: &'a mut String,
}

impl EventVisitor<'_> {
    /// Where the field's value is to be written.
    fn place(&mut self, field: &Field) -> &mut String {
        if field.name() == "message" {
            return self.message;
        }
        if !self.fields.is_empty() {
            self.fields.push(' ');
        }
        self.fields.push_str(field.name());
        self.fields.push('=');
        self.fields
    }

    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // As above: writing to a `String` does not fail by itself.
        let _ = self.place(field).write_fmt(value);
    }
}

impl Visit for EventVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let apart = |byte| matches!(byte, b' ' | b'"' | b'\n' | b'\t');
        let plain = !value.is_empty() && !value.bytes().any(apart);
        if plain || field.name() == "message" {
            self.place(field).push_str(value);
        } else {
            self.write(field, format_args!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.write(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests;
