//! Connections for people: those of this node one by one, and how the copies compare.

use evergate_api::control::{FlowView, FlowsReply, VerifyPeer, VerifyReply};

use super::age;
use super::number::grouped;
use super::page::{Page, Span, Style, dim, plain, strong};

/// A row for each connection, then how many there are.
pub fn table(reply: &FlowsReply, color: bool) -> String {
    let mut page = Page::new(color);
    let marked = reply.flows.iter().any(|flow| flow.mark != 0);
    let zoned = reply.flows.iter().any(|flow| flow.zone != 0);
    if !reply.flows.is_empty() {
        let mut head = vec!["protocol", "from", "to", "answers", "state", "left"];
        head.extend(marked.then_some("mark"));
        head.extend(zoned.then_some("zone"));
        head.extend(["owner", "lives on"]);
        let mut rows = vec![head.into_iter().map(dim).collect()];
        rows.extend(reply.flows.iter().map(|flow| row(flow, marked, zoned)));
        page.table(0, &rows);
    }
    let total = match reply.total {
        1 => "1 connection".to_owned(),
        total => format!("{} connections", grouped(total)),
    };
    if reply.shown < reply.total {
        page.line([plain(format!("{} of {total}", grouped(reply.shown)))]);
        page.next(0, "name a FILTER, or a higher --limit");
    } else {
        page.line([plain(total)]);
    }
    page.finish()
}

fn row(flow: &FlowView, marked: bool, zoned: bool) -> Vec<Span> {
    let mut row = vec![
        plain(&flow.protocol),
        plain(&flow.source),
        plain(&flow.target),
        answers(flow),
        plain(flow.state.as_deref().unwrap_or("-")),
        plain(age::whole(u64::from(flow.timeout_s) * 1000)),
    ];
    row.extend(marked.then(|| plain(format!("{:#x}", flow.mark))));
    row.extend(zoned.then(|| plain(flow.zone.to_string())));
    row.push(match &flow.owner {
        Some(owner) => plain(owner),
        None => Span::new(Style::Warn, "?"),
    });
    row.push(match (flow.protected, &flow.why) {
        (true, _) => Span::new(Style::Good, "yes"),
        (false, Some(why)) => Span::new(Style::Warn, format!("no: {why}")),
        (false, None) => Span::new(Style::Warn, "no"),
    });
    row
}

/// Where answers go, if addresses or ports are translated.
fn answers(flow: &FlowView) -> Span {
    match (flow.reply_source == flow.target, flow.reply_target == flow.source) {
        (true, true) => dim("same"),
        (true, false) => plain(format!("to {}", flow.reply_target)),
        (false, true) => plain(format!("from {}", flow.reply_source)),
        (false, false) => plain(format!("from {} to {}", flow.reply_source, flow.reply_target)),
    }
}

/// How the copies compare: a row for each peer under the sentence.
pub fn verify(reply: &VerifyReply, color: bool) -> String {
    let mut page = Page::new(color);
    let (style, word) = match reply.exit_code() {
        0 => (Style::Good, "equal"),
        1 => (Style::Bad, "different"),
        _ => (Style::Warn, "not known"),
    };
    page.line([Span::new(style, word), plain(format!(": {}", reply.text))]);
    page.table(2, &reply.peers.iter().map(peer).collect::<Vec<_>>());
    if let Some(peer) = reply.peers.iter().find(|peer| peer.equal == Some(false)) {
        page.next(2, &format!("evergate verify in some seconds; evergate resync {}", peer.node));
    }
    page.finish()
}

fn peer(peer: &VerifyPeer) -> Vec<Span> {
    let equal = match (peer.equal, peer.divergent) {
        (Some(true), _) => Span::new(Style::Good, "equal"),
        (Some(false), Some(count)) => Span::new(Style::Bad, format!("{} differ", grouped(count))),
        (Some(false), None) => Span::new(Style::Bad, "differs"),
        (None, _) => Span::new(Style::Warn, "not known"),
    };
    let when = match peer.age_ms {
        None => "never found equal".to_owned(),
        age_ms => format!("found equal {}", age::ago(age_ms)),
    };
    vec![strong(&peer.node), equal, dim(when)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(protocol: &str, source: &str, target: &str) -> FlowView {
        FlowView {
            protocol: protocol.into(),
            source: source.into(),
            target: target.into(),
            reply_source: target.into(),
            reply_target: source.into(),
            state: None,
            timeout_s: 29,
            mark: 0,
            zone: 0,
            owner: Some("gw1".into()),
            protected: true,
            why: None,
        }
    }

    #[test]
    fn each_connection_is_one_row_and_the_rest_is_counted() {
        let tcp = FlowView {
            reply_target: "10.92.0.1:1024".into(),
            state: Some("established".into()),
            timeout_s: 431_990,
            ..flow("tcp", "10.91.0.100:40000", "10.92.0.200:443")
        };
        let udp = FlowView {
            owner: None,
            protected: false,
            why: Some("its source is ignored".into()),
            ..flow("udp", "10.91.0.100:53", "10.92.0.200:53")
        };
        let mut reply = FlowsReply { total: 12_345, shown: 2, flows: vec![tcp, udp] };
        assert_eq!(
            table(&reply, false),
            "\
protocol  from               to               answers            state        left      owner  lives on
tcp       10.91.0.100:40000  10.92.0.200:443  to 10.92.0.1:1024  established  4 d 23 h  gw1    yes
udp       10.91.0.100:53     10.92.0.200:53   same               -            29 s      ?      no: its source is ignored
2 of 12,345 connections
next: name a FILTER, or a higher --limit
"
        );
        reply.total = 2;
        reply.flows[0].mark = 16;
        reply.flows[1].zone = 5;
        let text = table(&reply, false);
        assert!(text.contains("left      mark  zone  owner"), "{text}");
        assert!(text.contains("4 d 23 h  0x10  0     gw1"), "{text}");
        assert!(text.ends_with("\n2 connections\n"), "{text}");
        let none = FlowsReply { total: 0, shown: 0, flows: vec![] };
        assert_eq!(table(&none, false), "0 connections\n");
    }

    #[test]
    fn each_peer_is_equal_different_or_not_known() {
        let peer = |node: &str, equal, divergent, age_ms| VerifyPeer {
            node: node.into(),
            equal,
            divergent,
            verified_at: None,
            age_ms,
        };
        let mut reply = VerifyReply {
            peers: vec![
                peer("gw2", Some(false), Some(1_200), Some(9_000)),
                peer("gw3", None, None, None),
            ],
            text: "1 of 2 copies is not what it should be".into(),
        };
        assert_eq!(
            verify(&reply, false),
            "different: 1 of 2 copies is not what it should be\n\
             \x20 gw2  1,200 differ  found equal 9 s ago\n\
             \x20 gw3  not known     never found equal\n\
             \x20 next: evergate verify in some seconds; evergate resync gw2\n"
        );
        reply.peers = vec![peer("gw2", Some(true), Some(0), Some(400))];
        reply.text = "the copies are whole".into();
        assert_eq!(
            verify(&reply, false),
            "equal: the copies are whole\n  gw2  equal  found equal 400 ms ago\n"
        );
    }
}
