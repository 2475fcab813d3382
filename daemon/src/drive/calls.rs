//! The requests of the control socket. Those that take time wait here for the machine's answer.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use evergate_api::control::{
    ActionReply, ErrorCode, ErrorReply, Reply, Request, RoleReply, SwitchoverReply,
    SwitchoverResult,
};
use evergate_core::heartbeat::{Hold, Outcome, Refusal, Role};
use evergate_core::ident::{GroupId, NodeId, RouterId};
use evergate_core::input::Command;
use evergate_core::{Input, Instant};

use super::Drive;
use super::reload::places;
use crate::cold::{ColdJob, Prepared};
use crate::control::Call;
use crate::wall_clock::WallClock;
use crate::words;

/// The most routers that an error names.
const ROUTERS_NAMED_MAX: usize = 32;
/// The most handovers that are waited for at the same time.
const WAITING_MAX: usize = 64;
/// How long after its own limit a waiting request is given up.
const GRACE: Duration = Duration::from_secs(1);
/// How long `failback` waits.
const FAILBACK_LIMIT: Duration = Duration::from_secs(10);

/// The requests that wait for an answer of the machine.
#[derive(Debug, Default)]
pub struct Pending {
    next_token: u64,
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    reply: SyncSender<Reply>,
    group: String,
    from: Option<String>,
    to: Option<String>,
    until: Instant,
    failback: bool,
}

impl Drive {
    /// Answers a request, or lets it wait.
    pub(super) fn serve_call(&mut self, now: Instant, call: Call) {
        let Call { request, reply } = call;
        let answer = match request {
            Request::Status {} => {
                let status = crate::status::status(&self.node, &self.facts, now, &WallClock::now());
                Some(Reply::Status(Box::new(status)))
            }
            Request::Router { router } => Some(self.report_router(now, &router)),
            Request::Role { group } => Some(self.role_of(&group)),
            Request::Why { group } => Some(match self.group_named(&group) {
                Ok(id) => {
                    Reply::Why(crate::why::why(&self.node, &self.facts, id, now, &WallClock::now()))
                }
                Err(error) => Reply::Error(error),
            }),
            Request::Events { .. } => {
                Some(refuse(ErrorCode::Internal, "events are served elsewhere"))
            }
            Request::Switchover { group, to, timeout_ms, hold_ms } => {
                let limit = Duration::from_millis(timeout_ms);
                self.switchover(now, &group, to.as_deref(), limit, hold_ms, &reply)
            }
            Request::Failback { group } => self.failback(now, &group, &reply),
            Request::Lock { group } => Some(self.lock(now, group.as_deref(), true)),
            Request::Unlock { group } => Some(self.lock(now, group.as_deref(), false)),
            Request::Resync { node } => Some(self.resync(node.as_deref())),
            Request::Verify {} => Some(self.verify(now)),
            Request::Flows { filter, limit } => self.list(filter.as_deref(), limit, &reply),
            Request::Reload { plan } => {
                let job = ColdJob::Reload { plan, reply: Some(reply.clone()) };
                let busy = "another reload is under way; try again";
                self.cold.try_send(job).err().map(|_| refuse(ErrorCode::Busy, busy))
            }
        };
        if let Some(answer) = answer {
            // Whoever asked may have gone.
            let _ = reply.try_send(answer);
        }
    }

    fn group_named(&self, name: &str) -> Result<GroupId, ErrorReply> {
        let groups = &self.layout.core.groups;
        if let Some(position) = groups.iter().position(|group| group.name == name) {
            return Ok(GroupId::at(position));
        }
        let known: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let text = format!("no group is called {name}; there is: {}", known.join(", "));
        Err(ErrorReply::new(ErrorCode::UnknownGroup, text))
    }

    fn node_named(&self, name: &str) -> Result<NodeId, ErrorReply> {
        let nodes = &self.layout.core.nodes;
        if let Some(position) = nodes.iter().position(|node| node.name == name) {
            return Ok(NodeId::at(position));
        }
        let known: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let text = format!("no node is called {name}; there is: {}", known.join(", "));
        Err(ErrorReply::new(ErrorCode::UnknownNode, text))
    }

    pub(super) fn report_router(&self, now: Instant, name: &str) -> Reply {
        match self.router_named(name) {
            Ok((group, router)) => {
                let (source, place) = (self.source_of(group, router), (group, router));
                let (node, facts, clock) = (&self.node, &self.facts, WallClock::now());
                let report = crate::status::router(node, facts, now, &clock, place, source);
                Reply::Router(Box::new(report))
            }
            Err(error) => Reply::Error(error),
        }
    }

    /// A router by its identity, which may be without the family if only one router begins so.
    fn router_named(&self, name: &str) -> Result<(GroupId, RouterId), ErrorReply> {
        let routers = places(&self.layout);
        let family = |id: &str| id.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let exact = routers.get(name).map(|(_, at)| *at);
        let mut near = routers.iter().filter(|(id, _)| family(id)).map(|(_, (_, at))| *at);
        match (exact, near.next(), near.next()) {
            (Some(at), ..) | (None, Some(at), None) => Ok(at),
            (None, first, _) => {
                let known: Vec<&str> = routers.keys().copied().take(ROUTERS_NAMED_MAX).collect();
                let what = if first.is_some() { "more than one router" } else { "no router" };
                let text = format!("{what} is called {name}; there is: {}", known.join(", "));
                Err(ErrorReply::new(ErrorCode::UnknownRouter, text))
            }
        }
    }

    fn role_of(&self, name: &str) -> Reply {
        let id = match self.group_named(name) {
            Ok(id) => id,
            Err(error) => return Reply::Error(error),
        };
        let role = self.node.groups()[id.index()].role();
        Reply::Role(RoleReply {
            group: name.into(),
            node: self.layout.me().into(),
            state: words::state(role),
            active: role == Role::Active,
        })
    }

    fn switchover(
        &mut self,
        now: Instant,
        name: &str,
        to: Option<&str>,
        within: Duration,
        hold_ms: Option<u64>,
        reply: &SyncSender<Reply>,
    ) -> Option<Reply> {
        let group = match self.group_named(name) {
            Ok(group) => group,
            Err(error) => return Some(Reply::Error(error)),
        };
        let to = match to.map(|name| self.node_named(name)).transpose() {
            Ok(to) => to,
            Err(error) => return Some(Reply::Error(error)),
        };
        let target = self
            .node
            .with_scene(now, group, |scene, group| to.or_else(|| group.default_target(scene)));
        let waiting = self.waiting(now, group, target, within, false, reply);
        let Some(token) = self.wait_for(waiting) else {
            return Some(refuse(ErrorCode::Busy, "too many handovers are waited for; try again"));
        };
        let hold = hold_ms.map_or(Hold::Open, |ms| Hold::Until(Duration::from_millis(ms)));
        let command = Command::Switchover { token, group, to: target, within, hold };
        self.feed(now, Input::Command(command));
        None
    }

    fn failback(&mut self, now: Instant, name: &str, reply: &SyncSender<Reply>) -> Option<Reply> {
        let group = match self.group_named(name) {
            Ok(group) => group,
            Err(error) => return Some(Reply::Error(error)),
        };
        let waiting = self.waiting(now, group, None, FAILBACK_LIMIT, true, reply);
        let Some(token) = self.wait_for(waiting) else {
            return Some(refuse(ErrorCode::Busy, "too many handovers are waited for; try again"));
        };
        let command = Command::Failback { token, group, within: FAILBACK_LIMIT };
        self.feed(now, Input::Command(command));
        None
    }

    fn waiting(
        &self,
        now: Instant,
        group: GroupId,
        to: Option<NodeId>,
        within: Duration,
        failback: bool,
        reply: &SyncSender<Reply>,
    ) -> Waiting {
        let active = self.node.with_scene(now, group, |scene, group| group.active_node(scene));
        let name = |node: NodeId| self.layout.core.name(node).to_owned();
        Waiting {
            reply: reply.clone(),
            group: self.layout.core.groups[group.index()].name.clone(),
            from: active.map(name),
            to: to.map(name),
            until: now + within + GRACE,
            failback,
        }
    }

    fn wait_for(&mut self, waiting: Waiting) -> Option<u64> {
        if self.pending.waiting.len() >= WAITING_MAX {
            return None;
        }
        self.pending.next_token += 1;
        let token = self.pending.next_token;
        self.pending.waiting.insert(token, waiting);
        Some(token)
    }

    /// The machine has answered.
    pub(super) fn answer_call(&mut self, token: u64, outcome: Outcome) {
        let Some(waiting) = self.pending.waiting.remove(&token) else { return };
        let answer = if waiting.failback {
            failback_answer(&waiting, outcome)
        } else {
            Reply::Switchover(switchover_answer(&waiting, outcome))
        };
        // Whoever asked may have gone.
        let _ = waiting.reply.try_send(answer);
    }

    pub(super) fn expire_calls(&mut self, now: Instant) {
        let over = |(token, waiting): (&u64, &Waiting)| (waiting.until <= now).then_some(*token);
        let late: Vec<u64> = self.pending.waiting.iter().filter_map(over).collect();
        for token in late {
            self.answer_call(token, Outcome::Failed);
        }
    }

    fn lock(&mut self, now: Instant, name: Option<&str>, locked: bool) -> Reply {
        let all = 0..self.layout.core.groups.len();
        let groups = match name.map(|name| self.group_named(name)).transpose() {
            Ok(Some(group)) => vec![group],
            Ok(None) => all.map(GroupId::at).collect(),
            Err(error) => return Reply::Error(error),
        };
        if locked && let Some(refused) = self.lock_refusal(now, &groups) {
            return refused;
        }
        let mut changed = false;
        for group in &groups {
            changed |= self.node.groups()[group.index()].locked != locked;
            let group = *group;
            let command = if locked { Command::Lock { group } } else { Command::Unlock { group } };
            self.feed(now, Input::Command(command));
        }
        self.save_locks();
        let names =
            groups.iter().map(|g| self.layout.core.groups[g.index()].name.clone()).collect();
        let me = self.layout.me();
        let text = match (locked, changed) {
            (true, true) => format!("{me} is locked out until `evergate unlock`"),
            (true, false) => format!("{me} was locked out already"),
            (false, true) => format!("{me} takes part again"),
            (false, false) => format!("{me} was not locked out"),
        };
        let reply = ActionReply { groups: names, changed, text };
        if locked { Reply::Lock(reply) } else { Reply::Unlock(reply) }
    }

    /// The last node that can serve a group is never locked out of it. In a split, the other one can.
    fn lock_refusal(&self, now: Instant, groups: &[GroupId]) -> Option<Reply> {
        let alone = groups.iter().find(|id| {
            let group = &self.node.groups()[id.index()];
            group.holds()
                && self.node.with_scene(now, **id, |scene, group| {
                    let elsewhere = group.peers_in(scene, Role::Active).next().is_some();
                    group.best_peer(scene).is_none() && !elsewhere
                })
        })?;
        let name = &self.layout.core.groups[alone.index()].name;
        let text = format!(
            "{name} is active here and no other node is ready to take it; see `evergate why {name}`"
        );
        Some(refuse(ErrorCode::Refused, text))
    }

    fn save_locks(&mut self) {
        let locked = self.node.groups().iter().filter(|group| group.locked);
        let names = locked.map(|g| self.layout.core.groups[g.id.index()].name.clone()).collect();
        if self.cold.try_send(ColdJob::SaveLocks(names)).is_err() {
            self.complain("the locks could not be kept: they end with this process");
        }
    }

    /// Takes what the cold thread has prepared.
    pub(super) fn take_prepared(&mut self, now: Instant) {
        while let Ok(prepared) = self.prepared.try_recv() {
            match prepared {
                Prepared::Configuration { layout, secrets, answer, reply } => {
                    self.apply(now, *layout, secrets);
                    for line in answer.plan.clone() {
                        self.complain(&format!("reload: {line}"));
                    }
                    if let Some(reply) = reply {
                        let _ = reply.try_send(evergate_api::control::Reply::Reload(answer));
                    }
                }
                Prepared::Secrets { secrets, answer, reply } => {
                    self.secrets = secrets;
                    self.arm_guards();
                    self.take_keys();
                    self.publish_estate();
                    self.estate.reload_ended();
                    if let Some(reply) = reply {
                        let _ = reply.try_send(evergate_api::control::Reply::Reload(answer));
                    }
                }
                Prepared::NotApplied(answer) => {
                    self.estate.reload_ended();
                    for error in &answer.errors {
                        self.complain(&format!("reload refused, nothing was changed: {error}"));
                    }
                }
                Prepared::Neighbours(known) => {
                    for (ifindex, address) in known {
                        if let Some(interface) = self.port_of(ifindex)
                            && !self.is_ours(address)
                        {
                            self.neighbours.named(now, interface, address);
                        }
                    }
                }
                Prepared::Snapshot(picture) => self.take_picture(now, picture),
                Prepared::Complaint(text) => self.complain(&text),
            }
        }
    }
}

fn refuse(code: ErrorCode, text: impl Into<String>) -> Reply {
    Reply::Error(ErrorReply::new(code, text))
}

fn switchover_answer(waiting: &Waiting, outcome: Outcome) -> SwitchoverReply {
    let to = waiting.to.clone().unwrap_or_else(|| "another node".into());
    let (result, gap_ms, text) = match outcome {
        Outcome::Done { gap } => {
            let gap = gap.as_secs_f64() * 1000.0;
            let text =
                format!("{} is active on {to}; nobody served for {gap:.1} ms", waiting.group);
            (SwitchoverResult::Done, Some(gap), text)
        }
        Outcome::Refused(why) => {
            (SwitchoverResult::Refused, None, refusal(why, &to, &waiting.group))
        }
        Outcome::Failed => {
            let text =
                format!("{to} did not take {} over in time; it stays where it was", waiting.group);
            (SwitchoverResult::Failed, None, text)
        }
    };
    SwitchoverReply {
        group: waiting.group.clone(),
        result,
        from: waiting.from.clone(),
        to: waiting.to.clone(),
        gap_ms,
        phases_ms: None,
        text,
    }
}

fn failback_answer(waiting: &Waiting, outcome: Outcome) -> Reply {
    let group = &waiting.group;
    let groups = vec![group.clone()];
    match outcome {
        Outcome::Done { .. } => {
            let text = format!("{group} is no longer held; it is on the best node that is ready");
            Reply::Failback(ActionReply { groups, changed: true, text })
        }
        Outcome::Refused(why) => {
            refuse(ErrorCode::Refused, refusal(why, "the preferred node", group))
        }
        Outcome::Failed => {
            let text = format!(
                "the preferred node did not take {group} over in time; see `evergate why {group}`"
            );
            refuse(ErrorCode::Refused, text)
        }
    }
}

fn refusal(why: Refusal, to: &str, group: &str) -> String {
    match why {
        Refusal::NoActive => {
            format!("{group} is active on no node that we hear: there is nothing to hand over")
        }
        Refusal::NotAMember => format!("{to} does not run {group}, or is a router of another make"),
        Refusal::NotReady => format!("{to} is not ready; see `evergate status`"),
        Refusal::AlreadyThere => format!("{group} is active on {to} already"),
        Refusal::Busy => format!("another handover of {group} is under way; try again"),
        Refusal::NobodyReady => format!("no other node is ready to take {group}"),
        Refusal::TimedOut => format!("the active node of {group} did not answer in time"),
    }
}
