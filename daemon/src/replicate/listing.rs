//! `evergate flows`: the kernel's table as people see it, read a piece at a time beside all else.

use std::sync::mpsc::SyncSender;

use evergate_api::control::{
    ErrorCode, ErrorReply, FlowFilter, FlowView, FlowsReply, Reply, end_text,
};
use evergate_core::flow::{Flow, Part, State, Tuple, protocol, tcp};
use evergate_core::ident::NodeId;

use crate::kernel::conntrack::decode::Message;
use crate::kernel::conntrack::dump::Dump;

/// A list that somebody has asked for.
#[derive(Debug)]
pub struct Listing {
    filter: FlowFilter,
    limit: usize,
    reply: SyncSender<Reply>,
    /// Names of nodes, by number.
    nodes: Vec<String>,
}

/// A list that is being read.
pub(super) struct Reading {
    listing: Listing,
    dump: Dump,
    total: u64,
    flows: Vec<FlowView>,
}

/// Why a connection is not replicated, or who owns it.
pub(super) enum Standing {
    /// It is replicated, and this node's or a peer's.
    Owned(NodeId),
    /// It is not, because of this.
    Alone(&'static str),
}

impl Listing {
    /// What is asked, and where the answer goes.
    pub fn new(
        filter: Option<&str>,
        limit: u32,
        reply: SyncSender<Reply>,
        nodes: Vec<String>,
    ) -> Listing {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Listing { filter: FlowFilter::new(filter), limit, reply, nodes }
    }

    /// Begins to read; `None` where the kernel refuses, which is answered.
    pub(super) fn begin(self) -> Option<Reading> {
        match Dump::start() {
            Ok(dump) => Some(Reading { listing: self, dump, total: 0, flows: Vec::new() }),
            Err(error) => {
                let text = format!("the table of connections cannot be read: {error}");
                let error = ErrorReply::new(ErrorCode::Internal, text);
                // Whoever asked may have gone.
                let _ = self.reply.try_send(Reply::Error(error));
                None
            }
        }
    }
}

impl Reading {
    /// Reads a piece; `None` when it was the last, and the answer is given.
    pub fn read_on(mut self, judge: impl Fn(&Message) -> Standing) -> Option<Reading> {
        let (listing, flows, total) = (&self.listing, &mut self.flows, &mut self.total);
        let more = self.dump.next_chunk(&mut |message| {
            let ends = ends(&message.flow);
            let name = protocol_name(message.flow.key.original.protocol);
            if !listing.filter.admits(&name, &ends) {
                return;
            }
            *total += 1;
            if flows.len() < listing.limit {
                flows.push(view(name, &message.flow, judge(&message), &listing.nodes));
            }
        });
        if more.is_ok_and(|more| more) {
            return Some(self);
        }
        let shown = u64::try_from(self.flows.len()).unwrap_or(u64::MAX);
        let reply = FlowsReply { total: self.total, shown, flows: self.flows };
        // Whoever asked may have gone.
        let _ = self.listing.reply.try_send(Reply::Flows(reply));
        None
    }
}

type End = evergate_api::control::End;

fn ends(flow: &Flow) -> [End; 4] {
    let [source, target] = both(&flow.key.original);
    let [reply_source, reply_target] = both(&flow.reply);
    [source, target, reply_source, reply_target]
}

fn both(tuple: &Tuple) -> [End; 2] {
    let (source, target) = match tuple.part {
        Part::None => (None, None),
        Part::Ports { source, target } => (Some(source), Some(target)),
        Part::Echo { id, .. } => (Some(id), None),
    };
    [(tuple.source, source), (tuple.target, target)]
}

fn view(name: String, flow: &Flow, standing: Standing, nodes: &[String]) -> FlowView {
    let [source, target, reply_source, reply_target] = ends(flow).map(end_text);
    let (owner, why) = match standing {
        Standing::Owned(node) => (nodes.get(node.index()).cloned(), None),
        Standing::Alone(why) => (None, Some(why.to_owned())),
    };
    FlowView {
        protocol: name,
        source,
        target,
        reply_source,
        reply_target,
        state: state_name(flow),
        timeout_s: flow.timeout,
        mark: flow.mark,
        zone: flow.key.zones.original,
        protected: owner.is_some(),
        owner,
        why,
    }
}

fn protocol_name(number: u8) -> String {
    let name = match number {
        protocol::ICMP => "icmp",
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::DCCP => "dccp",
        protocol::GRE => "gre",
        protocol::ICMPV6 => "icmpv6",
        protocol::SCTP => "sctp",
        protocol::UDPLITE => "udplite",
        _ => return number.to_string(),
    };
    name.to_owned()
}

fn state_name(flow: &Flow) -> Option<String> {
    let State::Tcp { state, .. } = flow.state else { return None };
    let name = match state {
        tcp::SYN_SENT => "syn-sent",
        tcp::SYN_RECV => "syn-received",
        tcp::ESTABLISHED => "established",
        tcp::FIN_WAIT => "fin-wait",
        tcp::CLOSE_WAIT => "close-wait",
        tcp::LAST_ACK => "last-ack",
        tcp::TIME_WAIT => "time-wait",
        tcp::CLOSE => "closed",
        tcp::SYN_SENT2 => "syn-sent-twice",
        _ => return None,
    };
    Some(name.to_owned())
}
