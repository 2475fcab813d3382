//! The command as it is run: exit codes, JSON and texts, against a small fake daemon.

mod fake;

use std::time::{Duration, Instant};

use fake::{Behaviour, Daemon, Run, evergate};

const STATUS: &str = include_str!("status/ready.json");

/// The fixture as one line, with another verdict.
fn status(verdict: &str) -> String {
    let mut document: serde_json::Value = serde_json::from_str(STATUS).expect("a fixture is JSON");
    document["verdict"] = verdict.into();
    format!("{{\"status\":{document}}}")
}

/// Runs against a daemon that answers so.
fn answered(answer: &str, words: &[&str]) -> Run {
    Daemon::start(Behaviour::Answer(answer.to_owned())).ask(words)
}

#[test]
fn status_exits_by_its_verdict() {
    let verdicts = [
        ("ready", 0),
        ("unverified", 0),
        ("degraded", 1),
        ("half-ready", 1),
        ("down", 2),
        ("split", 2),
    ];
    for (verdict, code) in verdicts {
        for json in [&["status"][..], &["status", "--json"]] {
            let run = answered(&status(verdict), json);
            assert_eq!(run.code, code, "{verdict}: {run:?}");
            assert_eq!(run.errors, "");
        }
    }
}

#[test]
fn status_json_is_what_the_daemon_said_letter_by_letter() {
    let body = status("ready").replacen("{\"status\":{", "{\"status\":{\"weather\": \"fine\",", 1);
    let run = answered(&body, &["status", "--json"]);
    let inner = &body["{\"status\":".len()..body.len() - 1];
    assert_eq!(run.text, format!("{inner}\n"), "fields of a newer daemon pass too");
}

#[test]
fn output_that_is_no_terminal_has_no_colour() {
    let run = answered(&status("split"), &["status"]);
    assert!(run.text.starts_with("cluster edge / node gw1 / active / SPLIT\n"), "{run:?}");
    assert!(!run.text.contains('\x1b'));
}

#[test]
fn a_router_is_shown_with_its_figures_and_an_unknown_one_is_refused() {
    let text = r#"{"schema":1,"time":"2026-01-01T00:00:00.000Z","node":"gw1","id":"gateway/lan/ipv4",
        "group":"gateway","interface":"lan","family":"ipv4","vrid":51,"version":3,"state":"backup",
        "group_state":"standby","active_address":"10.91.0.2","primary_address":null,"priority":100,
        "advert_ms":1000.0,"active_advert_ms":1000.0,"preempt":true,"accept":true,"up_ms":7,
        "addresses":[{"address":"10.91.0.1/24","present":false}],"active_reason":"not-active",
        "packet_error":"no-error","counting_since":"2026-01-01T00:00:00.000Z","counters":{},
        "all_counters":{"adverts_received":12},"node_counters":{}}"#;
    let line = format!("{{\"router\":{}}}", text.replace('\n', ""));
    let run = answered(&line, &["status", "router", "gateway/lan"]);
    assert_eq!((run.code, run.errors.as_str()), (0, ""));
    let shown = &run.text;
    assert!(
        shown.starts_with("gateway/lan/ipv4 on lan: backup, its group is standby\n"),
        "{shown}"
    );
    for part in ["vrid 51, version 3", "10.91.0.2", "not known", "10.91.0.1/24, not in the kernel"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("adverts_received") && shown.contains(" 12\n"), "{shown}");
    let run = answered(&error("unknown-router"), &["status", "router", "gateway/wan"]);
    assert_eq!(run.code, 1);
}

#[test]
fn role_is_zero_only_when_active() {
    let role = |state: &str, active: bool| {
        let group = r#""group":"gateway","node":"gw1""#;
        format!(r#"{{"role":{{{group},"state":"{state}","active":{active}}}}}"#)
    };
    let run = answered(&role("active", true), &["role", "gateway"]);
    assert_eq!((run.code, run.text.as_str()), (0, "active\n"));
    let run = answered(&role("standby", false), &["role", "gateway"]);
    assert_eq!((run.code, run.text.as_str()), (1, "standby\n"));
    let run = answered(&error("unknown-group"), &["role", "gatway"]);
    assert_eq!(run.code, 2, "it cannot be told: {run:?}");
}

#[test]
fn switchover_exits_by_its_end_and_prints_the_gap() {
    let end = |result: &str| {
        let nodes = r#""from":"gw1","to":"gw2","gap_ms":0.0,"phases_ms":null"#;
        let text = r#""text":"as asked""#;
        format!(r#"{{"switchover":{{"group":"gateway","result":"{result}",{nodes},{text}}}}}"#)
    };
    for (result, code) in [("done", 0), ("refused", 1), ("failed", 2), ("dreamt", 2)] {
        let run = answered(&end(result), &["switchover", "gateway"]);
        assert_eq!(run.code, code, "{run:?}");
    }
    let run = answered(&end("done"), &["switchover", "gateway"]);
    assert!(run.text.contains("nobody served for 0 ms"), "{run:?}");
    let run = answered(&error("unknown-node"), &["switchover", "gateway", "--to", "gw9"]);
    assert_eq!(run.code, 1, "nothing was changed: {run:?}");
}

#[test]
fn a_switchover_is_asked_with_its_options() {
    let daemon = Daemon::start(Behaviour::Answer(error("refused")));
    daemon.ask(&["switchover", "g", "--to", "gw2", "--timeout", "1.5s", "--hold", "2h"]);
    assert_eq!(
        daemon.asked(),
        "{\"verb\":\"switchover\",\"group\":\"g\",\"to\":\"gw2\",\"timeout_ms\":1500,\
         \"hold_ms\":7200000}"
    );
    let daemon = Daemon::start(Behaviour::Answer(error("refused")));
    daemon.ask(&["switchover", "g"]);
    assert!(daemon.asked().contains("\"timeout_ms\":10000"));
}

#[test]
fn reload_exits_like_check() {
    let end = |result: &str, warnings: &str, errors: &str| {
        let lists = format!(r#""plan":[],"warnings":{warnings},"errors":{errors}"#);
        format!(r#"{{"reload":{{"result":"{result}",{lists}}}}}"#)
    };
    let cases = [
        (end("applied", "[]", "[]"), 0),
        (end("planned", r#"["w"]"#, "[]"), 1),
        (end("refused", "[]", r#"["e"]"#), 2),
        (error("busy"), 2),
    ];
    for (answer, code) in cases {
        assert_eq!(answered(&answer, &["reload"]).code, code, "{answer}");
    }
}

#[test]
fn locks_and_failbacks_are_done_or_refused() {
    for verb in ["lock", "unlock", "failback"] {
        let done = format!(r#"{{"{verb}":{{"groups":["g"],"changed":true,"text":"it is"}}}}"#);
        let run = answered(&done, &[verb, "g"]);
        assert_eq!((run.code, run.text.as_str()), (0, "done: it is\n"));
        assert_eq!(answered(&error("refused"), &[verb, "g"]).code, 1);
    }
}

#[test]
fn a_resync_names_a_node_or_none() {
    let done = r#"{"resync":{"groups":[],"changed":true,"text":"gw2 tells all again"}}"#;
    let daemon = Daemon::start(Behaviour::Answer(done.to_owned()));
    let run = daemon.ask(&["resync", "gw2"]);
    assert_eq!((run.code, run.text.as_str()), (0, "done: gw2 tells all again\n"));
    assert_eq!(daemon.asked(), r#"{"verb":"resync","node":"gw2"}"#);
    let daemon = Daemon::start(Behaviour::Answer(error("unknown-node")));
    assert_eq!(daemon.ask(&["resync"]).code, 1);
    assert_eq!(daemon.asked(), r#"{"verb":"resync","node":null}"#);
}

#[test]
fn verify_exits_by_what_is_known() {
    let end = |peers: &[&str]| {
        let peer = |equal: &&str| {
            let rest = r#""divergent":null,"verified_at":null,"age_ms":null"#;
            format!(r#"{{"node":"gw2","equal":{equal},{rest}}}"#)
        };
        let peers: Vec<String> = peers.iter().map(peer).collect();
        format!(r#"{{"verify":{{"peers":[{}],"text":"as asked"}}}}"#, peers.join(","))
    };
    let cases: [(&[&str], u8, &str); 4] = [
        (&["true"], 0, "equal: as asked\n"),
        (&["true", "false"], 1, "different: as asked\n"),
        (&["true", "null"], 2, "not known: as asked\n"),
        (&[], 2, "not known: as asked\n"),
    ];
    for (peers, code, text) in cases {
        let run = answered(&end(peers), &["verify"]);
        assert_eq!(run.code, i32::from(code), "{run:?}");
        assert!(run.text.starts_with(text), "{run:?}");
        let run = answered(&end(peers), &["verify", "--json"]);
        assert_eq!(run.code, i32::from(code), "{run:?}");
        assert!(run.text.starts_with("{\"peers\":["), "{run:?}");
    }
    assert_eq!(answered(&error("refused"), &["verify"]).code, 2, "it cannot be told");
}

#[test]
fn flows_are_asked_with_filter_and_limit() {
    let none = r#"{"flows":{"total":0,"shown":0,"flows":[]}}"#;
    let daemon = Daemon::start(Behaviour::Answer(none.to_owned()));
    let run = daemon.ask(&["flows", "tcp 10.91.0.100", "--limit", "5"]);
    assert_eq!((run.code, run.text.as_str()), (0, "0 connections\n"));
    assert_eq!(daemon.asked(), r#"{"verb":"flows","filter":"tcp 10.91.0.100","limit":5}"#);
    let daemon = Daemon::start(Behaviour::Answer(none.to_owned()));
    let run = daemon.ask(&["flows", "--json"]);
    assert_eq!(run.text, "{\"total\":0,\"shown\":0,\"flows\":[]}\n");
    assert_eq!(daemon.asked(), r#"{"verb":"flows","filter":null,"limit":1000}"#);
    assert_eq!(answered(&error("refused"), &["flows"]).code, 1);
}

#[test]
fn events_come_line_by_line_until_their_end() {
    let answer = format!("{}\n{}\n{END}", event(1), event(2));
    let run = answered(&answer, &["events", "--json"]);
    let lines: Vec<serde_json::Value> =
        run.text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(run.code, 0);
    assert_eq!(
        lines.iter().map(|line| line["seq"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
    assert_eq!(answered(END, &["events"]).text, "no events after #2\n");
}

#[test]
fn a_followed_stream_that_breaks_is_no_answer() {
    let run = answered(&event(1), &["events", "--follow", "--json"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.text.starts_with("{\"seq\":1"), "what came before is shown: {run:?}");
    assert!(run.text.lines().last().is_some_and(|line| line.contains("\"no-answer\"")));
}

#[test]
fn every_verb_without_an_answer_exits_3_in_time() {
    let verbs: [&[&str]; 14] = [
        &["status"],
        &["status", "router", "g/r"],
        &["role", "g"],
        &["events"],
        &["why", "g"],
        &["failback", "g"],
        &["lock"],
        &["unlock"],
        &["reload"],
        &["reload", "--plan"],
        &["resync"],
        &["resync", "gw2"],
        &["verify"],
        &["flows"],
    ];
    let behaviours = [
        Behaviour::Silence,
        Behaviour::Close,
        Behaviour::Answer("SSH-2.0-OpenSSH_9.2".to_owned()),
        Behaviour::Answer("{\"half\":".to_owned()),
        Behaviour::Answer(END.replace("events_end", "surprise")),
    ];
    for behaviour in behaviours {
        let daemon = Daemon::start(behaviour.clone());
        for verb in verbs {
            let start = now();
            let run = daemon.ask(&[verb, &["--timeout", "100ms", "--json"]].concat());
            assert_eq!(run.code, 3, "{behaviour:?} {verb:?}: {run:?}");
            assert!(run.text.starts_with("{\"error\":{\"code\":\""), "{run:?}");
            assert!(start.elapsed() < Duration::from_secs(2), "{behaviour:?} {verb:?}");
        }
    }
}

#[test]
fn an_answer_to_another_question_is_none() {
    let run = answered(END, &["status"]);
    assert_eq!(run.code, 3);
    assert!(run.errors.contains("`events_end`, which was not asked"), "{run:?}");
}

#[test]
fn a_missing_socket_says_what_to_do() {
    let run = evergate(&["--socket", "/nonexistent/evergate.sock", "status"]);
    assert_eq!((run.code, run.text.as_str()), (3, ""));
    assert!(run.errors.contains("does not exist"), "{run:?}");
    assert!(run.errors.contains("next: systemctl start evergated"), "{run:?}");
    let run = evergate(&["--socket", "/nonexistent/evergate.sock", "status", "--json"]);
    assert!(run.text.starts_with("{\"error\":{\"code\":\"no-answer\",\"text\":\""), "{run:?}");
}

#[test]
fn wrong_usage_exits_64_and_help_0() {
    let wrong: [&[&str]; 8] = [
        &[],
        &["dance"],
        &["role"],
        &["status", "--timeout", "2"],
        &["switchover", "g", "--timeout", "11min"],
        &["events", "--after", "yesterday"],
        &["flows", "--limit", "20001"],
        &["firewall", "--chain", "inet fw in; flush ruleset"],
    ];
    for words in wrong {
        assert_eq!(evergate(words).code, 64, "{words:?}");
    }
    let run = evergate(&["status", "--timeout", "2", "--json"]);
    assert!(run.text.starts_with("{\"error\":{\"code\":\"usage\",\"text\":\""), "{run:?}");
    assert!(run.text.contains("needs a unit"), "{run:?}");
    for words in [&["--help"][..], &["status", "--help"], &["--version"]] {
        assert_eq!(evergate(words).code, 0, "{words:?}");
    }
}

#[test]
fn a_line_that_never_ends_does_not_fill_the_memory() {
    let run = Daemon::start(Behaviour::Flood).ask(&["status", "--json", "--timeout", "20s"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.text.contains("\"bad-answer\""), "{run:?}");
}

const END: &str = r#"{"events_end":{"seq":2,"lost":0}}"#;

fn event(seq: u64) -> String {
    let nothing = r#""group":null,"from":null,"to":null,"reason":null,"phases_ms":null"#;
    let time = r#""time":"2026-01-02T03:04:05.678Z","node":"gw1""#;
    format!(r#"{{"event":{{"seq":{seq},{time},"event":"config",{nothing},"text":"t"}}}}"#)
}

fn error(code: &str) -> String {
    format!(r#"{{"error":{{"code":"{code}","text":"because"}}}}"#)
}

/// A test of a timeout needs a clock.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
