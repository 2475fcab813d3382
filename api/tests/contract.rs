//! The contract on the wire: what users and other programs rely on, letter by letter.

use evergate_api::control::{
    ErrorCode, FlowView, FlowsReply, MAX_FLOWS_LIMIT, MAX_REPLY_BYTES, MAX_REQUEST_BYTES, Reply,
    Request, VerifyPeer, VerifyReply,
};
use evergate_api::status::{Status, Verdict};

const STATUS: &str = include_str!("status.json");

fn reparsed(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("the example is JSON")
}

#[test]
fn status_document_of_the_contract_survives_a_round_trip() {
    let status: Status = serde_json::from_str(STATUS).expect("the example is a status");
    assert_eq!(reparsed(&serde_json::to_string(&status).expect("plain data")), reparsed(STATUS));
}

#[test]
fn a_value_of_a_newer_version_is_kept_as_it_is() {
    let text = STATUS.replace("\"degraded\"", "\"half-degraded\"");
    let status: Status = serde_json::from_str(&text).expect("enums are open");
    assert_eq!(status.verdict, Verdict::Other("half-degraded".to_owned()));
    assert_eq!(status.verdict.exit_code(), 1);
    assert_eq!(reparsed(&serde_json::to_string(&status).expect("plain data")), reparsed(&text));
}

#[test]
fn a_field_of_a_newer_version_is_ignored() {
    let text = STATUS.replacen('{', "{\"weather\":\"fine\",", 1);
    assert!(serde_json::from_str::<Status>(&text).is_ok());
}

#[test]
fn unverified_exits_like_ready() {
    assert_eq!(Verdict::Unverified.exit_code(), 0);
    assert_eq!(Verdict::Split.exit_code(), 2);
}

#[test]
fn requests_are_flat_objects_with_a_verb() {
    let lines = [
        (Request::Status {}, r#"{"verb":"status"}"#),
        (Request::Role { group: "g".into() }, r#"{"verb":"role","group":"g"}"#),
        (
            Request::Events { after: Some(7), follow: true },
            r#"{"verb":"events","after":7,"follow":true}"#,
        ),
        (Request::Lock { group: None }, r#"{"verb":"lock","group":null}"#),
        (Request::Reload { plan: true }, r#"{"verb":"reload","plan":true}"#),
        (Request::Resync { node: None }, r#"{"verb":"resync","node":null}"#),
        (Request::Verify {}, r#"{"verb":"verify"}"#),
        (
            Request::Flows { filter: Some("tcp".into()), limit: 5 },
            r#"{"verb":"flows","filter":"tcp","limit":5}"#,
        ),
    ];
    for (request, line) in lines {
        assert_eq!(request.to_line(), format!("{line}\n"));
        assert_eq!(Request::from_line(line.as_bytes()), Ok(request));
    }
}

#[test]
fn what_a_request_leaves_out_has_a_default() {
    let request = Request::from_line(br#"{"verb":"switchover","group":"g"}"#);
    let expected =
        Request::Switchover { group: "g".into(), to: None, timeout_ms: 10_000, hold_ms: None };
    assert_eq!(request, Ok(expected));
    let request = Request::from_line(br#"{"verb":"flows"}"#);
    assert_eq!(request, Ok(Request::Flows { filter: None, limit: 1_000 }));
    let request = Request::from_line(br#"{"verb":"resync"}"#);
    assert_eq!(request, Ok(Request::Resync { node: None }));
}

#[test]
fn a_status_of_a_daemon_without_counters_of_replication_is_read() {
    let text = STATUS.replace(",\"counters\":{\"told\":7}", "");
    assert_ne!(text, STATUS);
    let status: Status = serde_json::from_str(&text).expect("fields are only added");
    assert!(status.replication.counters.is_empty());
}

#[test]
fn a_comparison_is_equal_only_if_it_is_known_of_every_peer() {
    let peer = |equal: Option<bool>| VerifyPeer {
        node: "gw2".into(),
        equal,
        divergent: None,
        verified_at: None,
        age_ms: None,
    };
    let cases: [(&[Option<bool>], u8); 6] = [
        (&[], 2),
        (&[None], 2),
        (&[Some(true)], 0),
        (&[Some(true), None], 2),
        (&[Some(true), Some(false)], 1),
        (&[None, Some(false)], 1),
    ];
    for (equal, code) in cases {
        let peers = equal.iter().copied().map(peer).collect();
        assert_eq!(VerifyReply { peers, text: String::new() }.exit_code(), code, "{equal:?}");
    }
}

/// The longest texts that a connection can have, so many times, fit one reply.
#[test]
fn the_most_connections_fit_one_line() {
    let end = format!("[{}]:65535", ["ffff"; 8].join(":"));
    let flow = FlowView {
        protocol: "udplite".into(),
        source: end.clone(),
        target: end.clone(),
        reply_source: end.clone(),
        reply_target: end,
        state: Some("shutdown-ack-sent".into()),
        timeout_s: u32::MAX,
        mark: u32::MAX,
        zone: u16::MAX,
        owner: Some("n".repeat(63)),
        protected: false,
        why: Some("w".repeat(100)),
    };
    let most = usize::try_from(MAX_FLOWS_LIMIT).expect("it is small");
    let flows = vec![flow; most];
    let reply = FlowsReply { total: u64::MAX, shown: flows.len() as u64, flows };
    assert!(Reply::Flows(reply).to_line().len() < MAX_REPLY_BYTES);
}

#[test]
fn a_broken_request_is_answered_by_its_cause() {
    let long = vec![b' '; MAX_REQUEST_BYTES + 1];
    let cases: [(&[u8], ErrorCode); 8] = [
        (b"", ErrorCode::BadRequest),
        (b"\xff\xfe", ErrorCode::BadRequest),
        (br#"{"verb":"dance"}"#, ErrorCode::BadRequest),
        (br#"{"verb":"role"}"#, ErrorCode::BadRequest),
        (br#"{"verb":"role","group":"g","force":true}"#, ErrorCode::BadRequest),
        (br#"{"verb":"switchover","group":"g","timeout_ms":600001}"#, ErrorCode::BadRequest),
        (br#"{"verb":"flows","limit":20001}"#, ErrorCode::BadRequest),
        (&long, ErrorCode::TooLong),
    ];
    for (line, code) in cases {
        let error = Request::from_line(line).expect_err("it is broken");
        assert_eq!(error.code, code, "{error}");
    }
    let deep = "[".repeat(MAX_REQUEST_BYTES);
    assert!(Request::from_line(deep.as_bytes()).is_err());
}

#[test]
fn an_error_reply_is_what_the_command_prints() {
    let reply = Reply::from_line(br#"{"error":{"code":"unknown-group","text":"no group `x`"}}"#);
    let Ok(Reply::Error(error)) = &reply else { panic!("an error reply, not {reply:?}") };
    assert_eq!(error.code, ErrorCode::UnknownGroup);
    let line = reply.expect("checked above").to_line();
    assert_eq!(line, "{\"error\":{\"code\":\"unknown-group\",\"text\":\"no group `x`\"}}\n");
}
