//! Faults of the gateway, switched on from outside to see how its callers cope: by a test, a storm, a person with curl.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};

use crate::kit::lock;

/// What the gateway does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Works after a delay, even if the caller has gone by then.
    Slow(Duration),
    /// Answers 500 before doing any work. A gateway that stores every answer stores this one too.
    Error,
    /// Answers 429 before looking at the request; never stored.
    Throttle,
    /// Never answers and does no work.
    TimeoutBefore,
    /// Does the work and never answers.
    TimeoutAfter,
    /// Works, and sends the call's webhook once more after a delay.
    LateDuplicateWebhook(Duration),
}

impl Fault {
    /// The fault's kind, as counted and as written in JSON.
    pub fn kind(self) -> &'static str {
        match self {
            Fault::Slow(_) => "slow",
            Fault::Error => "error",
            Fault::Throttle => "throttle",
            Fault::TimeoutBefore => "timeout-before",
            Fault::TimeoutAfter => "timeout-after",
            Fault::LateDuplicateWebhook(_) => "late-duplicate-webhook",
        }
    }

    /// The delay that comes with it, if any.
    pub fn delay(self) -> Option<Duration> {
        match self {
            Fault::Slow(delay) | Fault::LateDuplicateWebhook(delay) => Some(delay),
            _ => None,
        }
    }
}

/// What is asked of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// `POST /authorizations`
    Authorize,
    /// `POST /charges`
    Charge,
    /// `POST /captures`
    Capture,
    /// `POST /voids`
    Void,
    /// `POST /refunds`
    Refund,
    /// `GET /payments/{reference}` and `GET /requests/{key}`
    Lookup,
}

/// One standing order to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleBody", into = "RuleBody")]
pub struct Rule {
    /// What to do.
    pub fault: Fault,
    /// To which operation; `None` is any.
    pub operation: Option<Operation>,
    /// How often still; `None` is until cleared.
    pub times: Option<u32>,
}

impl Rule {
    /// Misbehaves towards the next `times` calls of any operation.
    pub fn next(fault: Fault, times: u32) -> Self {
        Rule {
            fault,
            operation: None,
            times: Some(times),
        }
    }

    /// Misbehaves towards every call until cleared.
    pub fn always(fault: Fault) -> Self {
        Rule {
            fault,
            operation: None,
            times: None,
        }
    }

    /// The same, towards one operation only.
    pub fn on(self, operation: Operation) -> Self {
        Rule {
            operation: Some(operation),
            ..self
        }
    }
}

/// A [`Rule`] as JSON: `{"fault":"slow","delay_ms":500,"operation":"capture","times":3}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleBody {
    fault: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
}

impl TryFrom<RuleBody> for Rule {
    type Error = String;

    fn try_from(body: RuleBody) -> Result<Self, String> {
        let delay = || {
            body.delay_ms
                .map(Duration::from_millis)
                .ok_or_else(|| format!("`{}` needs `delay_ms`", body.fault))
        };
        let fault = match body.fault.as_str() {
            "slow" => Fault::Slow(delay()?),
            "error" => Fault::Error,
            "throttle" => Fault::Throttle,
            "timeout-before" => Fault::TimeoutBefore,
            "timeout-after" => Fault::TimeoutAfter,
            "late-duplicate-webhook" => Fault::LateDuplicateWebhook(delay()?),
            other => {
                return Err(format!(
                    "`{other}` is no fault; use slow, error, throttle, timeout-before, timeout-after or late-duplicate-webhook"
                ));
            }
        };
        Ok(Rule {
            fault,
            operation: body.operation,
            times: body.times,
        })
    }
}

impl From<Rule> for RuleBody {
    fn from(rule: Rule) -> Self {
        RuleBody {
            fault: rule.fault.kind().to_owned(),
            delay_ms: rule.fault.delay().map(|d| d.as_millis() as u64),
            operation: rule.operation,
            times: rule.times,
        }
    }
}

/// The gateway's behaviour, as set from outside. It outlives the gateway's process.
#[derive(Debug, Default)]
pub struct Behaviour {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    applied: BTreeMap<&'static str, u64>,
    calls: usize,
    calls_max: usize,
}

impl Behaviour {
    /// Adds a rule; of several that match a call, the oldest applies.
    pub fn add(&self, rule: Rule) {
        lock(&self.state).rules.push(rule);
    }

    /// Replaces all rules.
    pub fn replace(&self, rules: Vec<Rule>) {
        lock(&self.state).rules = rules;
    }

    /// Behaves well again. Calls that are never answered stay so.
    pub fn clear(&self) {
        lock(&self.state).rules.clear();
    }

    /// The rules that stand.
    pub fn rules(&self) -> Vec<Rule> {
        lock(&self.state).rules.clone()
    }

    /// How often each kind of fault was applied to a call.
    pub fn applied(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.state).applied.clone()
    }

    /// Calls whose caller waits for the answer now.
    pub fn calls(&self) -> usize {
        lock(&self.state).calls
    }

    /// The most that [`calls`](Self::calls) ever was. Where links are cut, a caller that hung up is counted until the
    /// gateway learns of it.
    pub fn calls_max(&self) -> usize {
        lock(&self.state).calls_max
    }

    /// What happens to a call of this operation; the rule is used up by one.
    pub(super) fn draw(&self, operation: Operation) -> Option<Fault> {
        let mut state = lock(&self.state);
        let at = state.rules.iter().position(|rule| {
            rule.times != Some(0) && rule.operation.is_none_or(|only| only == operation)
        })?;
        let rule = &mut state.rules[at];
        let fault = rule.fault;
        if let Some(times) = &mut rule.times {
            *times -= 1;
            if *times == 0 {
                state.rules.remove(at);
            }
        }
        *state.applied.entry(fault.kind()).or_default() += 1;
        Some(fault)
    }

    /// Counts a call until the guard is dropped: when it is answered, or when the caller hangs up.
    pub(super) fn enter(&self) -> Call<'_> {
        let mut state = lock(&self.state);
        state.calls += 1;
        state.calls_max = state.calls_max.max(state.calls);
        Call(self)
    }
}

/// One call under way.
pub(super) struct Call<'a>(&'a Behaviour);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).calls -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_used_up_by_the_operations_that_it_names() {
        let behaviour = Behaviour::default();
        behaviour.add(Rule::next(Fault::Error, 2).on(Operation::Capture));
        assert_eq!(behaviour.draw(Operation::Void), None);
        assert_eq!(behaviour.draw(Operation::Capture), Some(Fault::Error));
        assert_eq!(behaviour.draw(Operation::Capture), Some(Fault::Error));
        assert_eq!(behaviour.draw(Operation::Capture), None);
        assert_eq!(behaviour.applied(), BTreeMap::from([("error", 2)]));
    }

    #[test]
    fn a_standing_rule_lasts_until_cleared() {
        let behaviour = Behaviour::default();
        behaviour.add(Rule::always(Fault::Throttle));
        for _ in 0..5 {
            assert_eq!(behaviour.draw(Operation::Refund), Some(Fault::Throttle));
        }
        behaviour.clear();
        assert_eq!(behaviour.draw(Operation::Refund), None);
    }

    #[test]
    fn rules_read_back_from_their_own_json_and_say_what_is_missing() {
        let rule = Rule::next(Fault::Slow(Duration::from_millis(500)), 3).on(Operation::Capture);
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(
            json,
            r#"{"fault":"slow","delay_ms":500,"operation":"capture","times":3}"#
        );
        assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
        let error = serde_json::from_str::<Rule>(r#"{"fault":"slow"}"#).unwrap_err();
        assert!(error.to_string().contains("delay_ms"), "{error}");
    }

    #[test]
    fn the_gauge_remembers_its_maximum() {
        let behaviour = Behaviour::default();
        let both = (behaviour.enter(), behaviour.enter());
        drop(both);
        drop(behaviour.enter());
        assert_eq!((behaviour.calls(), behaviour.calls_max()), (0, 2));
    }
}
