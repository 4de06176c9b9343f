use std::{sync::Mutex, time::Duration};

use tracing::{Instrument, info, info_span};

use super::*;

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Sink for Heard {
    fn event(&self, scope: &Scope, level: Level, target: &str, message: &str, fields: &str) {
        let Scope {
            trace_id,
            request_id,
            op,
            saga_id,
        } = scope;
        assert!(target.starts_with("squall"), "{target}");
        let line = format!("{level} [{trace_id}|{request_id}|{op}|{saga_id}] {message} {fields}");
        self.0.lock().unwrap().push(line.trim_end().to_owned());
    }
}

/// What is said during `work`.
fn heard(work: impl FnOnce()) -> Vec<String> {
    let sink = Arc::new(Heard::default());
    let installed = install(sink.clone());
    work();
    drop(installed);
    Arc::into_inner(sink)
        .expect("the thread keeps no sink")
        .0
        .into_inner()
        .unwrap()
}

fn work(trace_id: &str, op: &str, saga_id: &str) -> tracing::Span {
    info_span!("work", trace_id, request_id = "", op, saga_id)
}

fn op() -> String {
    current_scope().op.clone()
}

#[test]
fn an_event_is_heard_once_with_its_fields_in_order() {
    let lines = heard(|| {
        let error = std::io::Error::other("disk full");
        info!(
            sku = "SKU-1",
            n = 3,
            reason = "out of stock",
            "stock refused"
        );
        tracing::error!(%error, ok = false, "store");
        info!("plain {}", 7);
        info!(empty = "");
    });
    assert_eq!(
        lines,
        [
            r#"INFO [|||] stock refused sku=SKU-1 n=3 reason="out of stock""#,
            "ERROR [|||] store error=disk full ok=false",
            "INFO [|||] plain 7",
            r#"INFO [|||]  empty="""#,
        ]
    );
}

#[test]
fn the_scope_is_the_innermost_spans_and_comes_back_when_it_is_left() {
    let lines = heard(|| {
        assert_eq!(*current_scope(), Scope::NONE);
        let outer = work("t1", "alice-1", "");
        let _outer = outer.enter();
        info!("outer");
        {
            let _helper = info_span!("helper", sku = "SKU-1").entered();
            info!("in a span of no scope");
            let _step = work("t1", "alice-1/reserve", "S1").entered();
            info!("in a step");
        }
        info!("outer again");
        info!(parent: None, "nobody's");
        let other = work("t2", "bob-1", "");
        info!(parent: &other, "bob's");
    });
    assert_eq!(
        lines,
        [
            "INFO [t1||alice-1|] outer",
            "INFO [t1||alice-1|] in a span of no scope",
            "INFO [t1||alice-1/reserve|S1] in a step",
            "INFO [t1||alice-1|] outer again",
            "INFO [|||] nobody's",
            "INFO [t2||bob-1|] bob's",
        ]
    );
}

#[test]
fn a_span_inherits_what_it_leaves_empty_but_never_from_another_trace() {
    heard(|| {
        let _outer = work("t1", "alice-1", "S1").entered();
        let scope = |span: tracing::Span| span.in_scope(|| (*current_scope()).clone());
        let same = scope(work("", "alice-1/reserve", ""));
        assert_eq!(
            (same.trace_id.as_str(), same.saga_id.as_str()),
            ("t1", "S1")
        );
        let other = scope(work("t2", "", ""));
        assert_eq!((other.op.as_str(), other.saga_id.as_str()), ("", ""));
    });
}

#[test]
fn a_field_recorded_later_shows_in_the_span_and_in_those_that_inherit_it() {
    let lines = heard(|| {
        let outer = work("t1", "alice-1", "");
        let _outer = outer.enter();
        let _helper = info_span!("helper").entered();
        let sibling = work("t1", "alice-2", "");
        outer.record("saga_id", "S1");
        info!("now known");
        info!(parent: &sibling, "not the sibling's");
    });
    assert_eq!(
        lines,
        [
            "INFO [t1||alice-1|S1] now known",
            "INFO [t1||alice-2|] not the sibling's",
        ]
    );
}

#[test]
fn the_scope_follows_interleaved_tasks() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    heard(|| {
        let seen = seen.clone();
        madsim::runtime::Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(
            async move {
                let task = |name: &'static str, first_ms: u64| {
                    let seen = seen.clone();
                    async move {
                        for step in 0..3 {
                            tokio::time::sleep(Duration::from_millis(first_ms + 10 * step)).await;
                            assert_eq!(op(), name);
                            let inner = async {
                                tokio::time::sleep(Duration::from_millis(7)).await;
                                assert_eq!(op(), format!("{name}/step"));
                                assert_eq!(current_scope().saga_id, name);
                            };
                            inner
                                .instrument(work(name, &format!("{name}/step"), ""))
                                .await;
                            assert_eq!(op(), name);
                            seen.lock().unwrap().push(name);
                        }
                    }
                    .instrument(work(name, name, name))
                };
                futures_util::future::join3(task("a", 2), task("b", 3), task("c", 4)).await;
                assert_eq!(op(), "");
            },
        );
    });
    let seen = seen.lock().unwrap();
    assert_eq!(seen[..4], ["a", "b", "c", "a"], "the tasks take turns");
    assert_eq!(seen.len(), 9);
}

#[test]
fn machinery_goes_unheard_and_so_does_everything_without_a_sink() {
    let lines = heard(|| {
        info!(target: "madsim::task", "a task");
        info!(target: "hyper_util::client", "a connection");
        let _span = info_span!(target: "madsim::node", "node", op = "n").entered();
        assert_eq!(op(), "");
        assert!(!tracing::enabled!(target: "mio::poll", Level::ERROR));
        info!("heard");
    });
    assert_eq!(lines, ["INFO [|||] heard"]);
    let _span = work("t1", "unheard", "").entered();
    assert_eq!(op(), "");
}

#[test]
fn a_span_that_outlives_its_run_disturbs_no_other() {
    let mut leaked = None;
    heard(|| leaked = Some(work("t1", "first", "S1")));
    let lines = heard(|| {
        let second = work("t2", "second", "S2");
        let _second = second.enter();
        let stale = leaked.take().unwrap();
        stale.in_scope(|| info!("inside the stale span"));
        stale.record("saga_id", "S3");
        drop(stale.clone());
        drop(stale);
        info!("after it");
    });
    assert_eq!(
        lines,
        [
            "INFO [t2||second|S2] inside the stale span",
            "INFO [t2||second|S2] after it",
        ]
    );
}

#[test]
fn an_inner_run_on_the_same_thread_gives_the_outer_one_back() {
    let lines = heard(|| {
        let _span = work("t1", "outer", "").entered();
        assert_eq!(heard(|| info!("inner")), ["INFO [|||] inner"]);
        info!("outer");
    });
    assert_eq!(lines, ["INFO [t1||outer|] outer"]);
}

#[test]
fn places_of_closed_spans_are_used_again() {
    heard(|| {
        for round in 0..100 {
            let span = work("t", "op", "");
            let _copy = span.clone();
            let _entered = span.enter();
            assert_eq!(op(), "op", "round {round}");
        }
        with(|state| {
            assert_eq!((state.spans.len(), state.free.len()), (1, 1));
            assert!(state.entered.is_empty());
        });
    });
}

#[test]
fn a_sink_may_close_spans_and_speak() {
    struct Closes(Mutex<Option<tracing::Span>>, Mutex<u32>);
    impl Sink for Closes {
        fn event(&self, _: &Scope, _: Level, _: &str, message: &str, _: &str) {
            assert_eq!(message, "close it");
            drop(self.0.lock().unwrap().take());
            info!("from within");
            *self.1.lock().unwrap() += 1;
        }
    }
    let sink = Arc::new(Closes(Mutex::default(), Mutex::default()));
    let installed = install(sink.clone());
    *sink.0.lock().unwrap() = Some(work("t", "doomed", ""));
    info!("close it");
    info!("close it");
    assert_eq!(*sink.1.lock().unwrap(), 2);
    with(|state| assert_eq!(state.free.len(), 1));
    drop(installed);
}
