//! Who serves, and when the group moves: `priority`, `failback`, `owner`.

use super::super::model::Instance;
use super::{Choice, Fate, Translator, duration};
use crate::toml::Value;

/// The priority of who owns the addresses (RFC 9568 section 5.2.4).
pub const OWNER: u8 = 255;
/// The priority unless something is said, there and here.
pub const PRIORITY_DEFAULT: u8 = 100;

const DELAY: &str = "failback, counted from when this node is ready and not from the first advert of \
                     lower priority";

impl<'t> Translator<'_, 't, '_> {
    /// The priority; 255 where nothing but `state MASTER` is said.
    pub fn priority(&mut self, instance: &Instance<'t>, is_strict: bool) -> Choice<u8> {
        let is_master = instance.master.is_some_and(|master| master.value);
        let mut priority = Choice::of(&instance.priority, &None, PRIORITY_DEFAULT);
        let state = instance.master.as_ref();
        if instance.priority.is_none() && is_master {
            priority.value = OWNER;
            if let Some(state) = state {
                let why = "no priority: keepalived takes 255, so this node is the owner";
                self.told(state, Fate::Exactly, why);
            }
        } else if priority.value == OWNER && !is_master && !is_strict {
            if let Some(state) = state {
                self.told(state, Fate::Changed, "an owner does not wait for others");
            }
        } else if let Some(state) = state {
            let why = match (priority.value == OWNER, state.value) {
                (true, _) => "an owner begins to serve at once",
                (false, true) => "nobody begins as master: it waits for others first, as there",
                (false, false) => "it waits for others first",
            };
            self.told(state, Fate::Exactly, why);
        }
        priority
    }

    /// When the preferred node gets the group back.
    pub fn failback(
        &mut self,
        instance: &Instance<'t>,
        priority: u8,
        is_strict: bool,
    ) -> Choice<Value> {
        let is_master = instance.master.is_some_and(|master| master.value);
        let never = instance.preempt.filter(|preempt| !preempt.value);
        if let Some(preempt) = instance.preempt.filter(|preempt| preempt.value) {
            self.told(&preempt, Fate::Exactly, "failback = \"auto\", which is the default");
        }
        let ignored = if is_master {
            Some("keepalived does not heed it beside `state MASTER`, and so it is left out")
        } else if priority == OWNER {
            Some("keepalived does not heed it with priority 255, and so it is left out")
        } else {
            None
        };
        let delay = instance.preempt_delay.filter(|delay| delay.value > 0);
        if let Some(delay) = instance.preempt_delay.filter(|delay| delay.value == 0) {
            self.told(&delay, Fate::Exactly, "no delay");
        }
        let delay_ignored = match (never.is_some() && ignored.is_none(), is_strict) {
            (true, _) => {
                Some("keepalived does not heed it beside `nopreempt`, and so it is left out")
            }
            (_, true) => Some("keepalived does not heed it in strict mode, and so it is left out"),
            _ => ignored,
        };
        if let (Some(delay), Some(why)) = (delay, delay_ignored) {
            self.told(&delay, Fate::Exactly, why);
        }
        match (never, ignored, delay.filter(|_| delay_ignored.is_none())) {
            (Some(never), None, _) => {
                let by = vec![(never.by.id, never.words)];
                return Choice { value: "manual".into(), by };
            }
            (Some(never), Some(why), _) => self.told(&never, Fate::Exactly, why),
            (None, _, Some(delay)) => {
                let by = vec![(delay.by.id, delay.words)];
                return Choice { value: duration(delay.value), by };
            }
            _ => {}
        }
        Choice::silent("auto".into())
    }

    /// One `failback` for the group. A delay is told here, because it does not count from when
    /// keepalived's does.
    pub fn agreed_failback(&mut self, choices: &[&Choice<Value>]) -> Option<Value> {
        let first = choices.first().map(|choice| &choice.value).filter(|value| is_delay(value));
        let agreed = choices.iter().filter(|choice| Some(&choice.value) == first);
        for (id, words) in agreed.flat_map(|choice| &choice.by) {
            self.words(*id, *words, Fate::Changed, DELAY);
        }
        self.agreed(choices, "failback")
    }
}

fn is_delay(failback: &Value) -> bool {
    !["auto", "manual"].map(Value::from).contains(failback)
}
