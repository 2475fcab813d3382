use std::collections::BTreeMap;

use super::super::limits::LOOKUPS_MAX;
use super::*;
use crate::report::Finding;

/// Files by their path.
#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Files for Memory {
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "it is not there".to_owned())
    }

    fn list(&mut self, directory: &str) -> Vec<String> {
        let inside = |path: &String| {
            let name = path.strip_prefix(directory)?.strip_prefix('/')?;
            (!name.contains('/')).then(|| name.to_owned())
        };
        self.0.keys().filter_map(inside).collect()
    }
}

fn files(all: &[(&str, &str)]) -> Memory {
    Memory(all.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect())
}

/// The lines with their places, and what was told.
fn source(all: &[(&str, &str)]) -> (Result<String, Broken>, Vec<Finding>) {
    let mut ledger = Ledger::default();
    let (source, broken) = read(all[0].0, "one", &mut files(all), &mut ledger);
    let shown = |line: &Line| format!("{}:{} {}", line.place.file, line.place.line, line.text);
    let text = source.lines.iter().map(shown).collect::<Vec<_>>().join("\n");
    (broken.map_or(Ok(text), Err), ledger.finish(&source.files))
}

fn lines(text: &str) -> String {
    source(&[("/k/a", text)]).0.expect("it can be read")
}

/// The lines without their places.
fn texts(text: &str) -> String {
    let all = lines(text);
    let text = |line: &str| line.split_once(' ').map_or("", |(_, text)| text).to_owned();
    all.lines().map(text).collect::<Vec<_>>().join("|")
}

fn broken(text: &str) -> (Option<usize>, String) {
    let broken = source(&[("/k/a", text)]).0.expect_err("it is too much");
    (broken.place.map(|place| place.line), broken.text)
}

#[test]
fn a_condition_keeps_a_line_or_leaves_it_out() {
    assert_eq!(
        lines("@one a\n@two b\n@^one c\n@^two d\n@one @^two e\n@one"),
        "0:1 a\n0:4 d\n0:5 e"
    );
    // Behind a brace it counts for the rest of the line.
    assert_eq!(texts("x { @two y } z\n@one } w"), "x|{|}|w");
}

#[test]
fn a_value_is_looked_up_where_it_is_used() {
    let text = "$BASE=10.2.${SUB}\n$SUB=0\n${BASE}.100/32\n$SUB=10\n${BASE}.100/32";
    assert_eq!(texts(text), "10.2.0.100/32|10.2.10.100/32");
    assert_eq!(texts("$IF=@two\n$IF a\n$IF=@one\n$IF b"), "b");
    assert_eq!(texts("$E=\n$E a ${E}b"), "a b");
    assert_eq!(texts("a $NONE ${NONE}"), "a $NONE ${NONE}");
    assert_eq!(texts("$B=7\nx { $B=9\ny $B\n}"), "x|{|y 9|}");
}

#[test]
fn a_variable_of_several_lines_is_read_anew_where_it_is_used() {
    let text = "$RS= \\\n  r ${N} \\\n$VS= \\\n  v { \\\n$N=1 \\\n$RS \\\n$N=2 \\\n$RS \\\n}\n$VS";
    // The definition of RS goes on, because its last line ends with a backslash.
    assert_eq!(texts(text), "$VS");
    let text =
        "$RS= \\\n  r ${N}\n$VS= \\\n  v { \\\n$N=1 \\\n@two x \\\n$RS \\\n$N=2 \\\n$RS \\\n}\n$VS";
    assert_eq!(texts(text), "v|{|r 1|r 2|}");
}

#[test]
fn an_empty_line_ends_a_definition_and_a_comment_does_not() {
    assert_eq!(texts("$A= \\\nb \\\n\nc\n$A d"), "c|b d");
    assert_eq!(texts("$A= \\\nb \\\n # comment\nc\n$A d"), "b|c|d");
    assert_eq!(texts("$A= \\ # comment\nb\n$A d"), "b d");
    // A definition that is left out leaves its other lines where they are.
    assert_eq!(texts("@two $A= \\\nb \\\nc"), "b \\|c");
}

#[test]
fn a_line_of_a_variable_knows_where_it_is_used() {
    let mut ledger = Ledger::default();
    let text = "$IN= \\\nb \\\nc\n$OUT= \\\n$IN \\\nd\n\n$OUT";
    let (source, _) = read("/k/a", "one", &mut files(&[("/k/a", text)]), &mut ledger);
    let places: Vec<(usize, Option<(usize, usize)>)> =
        source.lines.iter().map(|line| (line.place.line, line.place.used_at)).collect();
    assert_eq!(places, [(2, Some((0, 8))), (3, Some((0, 8))), (6, Some((0, 8)))]);
}

#[test]
fn generators_make_lines_one_within_the_other() {
    assert_eq!(texts("~SEQ(A,2) ~LST(B,x,y) ${A}${B}"), "1x|1y|2x|2y");
    assert_eq!(texts("a { ~SEQ(A,2) b ${A} }"), "a|{|b 1|}|b 2|}");
    // Its variable stays.
    assert_eq!(texts("~SEQ(A,2) x\n$A"), "x|x|2");
    let (_, told) = source(&[("/k/a", "~SEQ(A,0,0,2) x")]);
    assert_eq!((told[0].fate, told[0].why.as_str()), (Fate::Unsupported, "its step is 0"));
    assert_eq!(told[0].text, "~SEQ(…) x");
}

#[test]
fn a_sequence_without_a_number_leaves_its_line_out() {
    for (line, text) in [
        ("~SEQ(i, 1, -1, 3) vrrp_instance Z$i { interface eth0 }", "~SEQ(i, …) vrrp_instance …"),
        ("~SEQx(i, 3, 5, 1) nopreempt", "~SEQx(i, …) nopreempt"),
        ("~SEQ(i, 3, 5, 1) ~SEQ(j, 2) x", "~SEQ(i, …) ~SEQ …"),
    ] {
        let (kept, told) = source(&[("/k/a", line)]);
        assert_eq!(kept, Ok(String::new()), "{line}");
        let told: Vec<_> = told.iter().map(|found| (found.text.as_str(), found.fate)).collect();
        assert_eq!(told, [(text, Fate::Unsupported)], "{line}");
    }
}

#[test]
fn an_include_is_read_in_its_place_and_relative_to_its_file() {
    let all = [
        ("/k/a", "x\ninclude sub/*.conf\nincluder /k/{b,c}\ny ${_PWD}"),
        ("/k/sub/1.conf", "one ${_PWD} ${_INSTANCE}\ninclude ../b"),
        ("/k/sub/2.conf", "two"),
        ("/k/sub/../b", "from below"),
        ("/k/b", "b"),
    ];
    let (text, told) = source(&all);
    let expected = "0:1 x\n1:1 one /k/sub one\n2:1 from below\n3:1 two\n4:1 b\n0:4 y /k";
    assert_eq!(text.expect("it can be read"), expected);
    let missing = told.iter().find(|found| found.line == 3).expect("it is told");
    assert_eq!(missing.fate, Fate::Unsupported);
    assert_eq!(missing.why, "read: 1; not read: /k/c: it is not there");
    let (_, told) = source(&[("/k/a", "include none*\n@one include none\n$I=include none\n$I")]);
    let missing = told.iter().filter(|found| found.fate == Fate::Unsupported).count();
    assert_eq!(missing, 3, "{told:?}");
}

#[test]
fn what_names_itself_is_stopped() {
    assert_eq!(broken("x\n$A=y ${A}\n${A}").0, Some(3));
    assert_eq!(broken("$A=${B} ${B}\n$B=${A}\n${A}").0, Some(3));
    let (line, text) = broken("$A= \\\nx \\\n$A\n\n$A");
    assert!(line.is_some() && text.contains("65536 lines"), "{text}");
    let (_, text) = broken("include a");
    assert!(text.contains("16 files within files"), "{text}");
    let nine: String = "~SEQ(A,9) ".repeat(9);
    assert!(broken(&format!("{nine}x")).1.contains("65536 lines"));
}

#[test]
fn what_is_too_large_is_not_read() {
    assert!(broken(&"x".repeat(LINE_MAX + 1)).1.contains("16384 bytes"));
    assert!(broken(&"x\n".repeat(FILE_MAX)).1.contains("1048576 bytes"));
    let many: String = (0..=5_000).map(|number| format!("$A{number}=\n")).collect();
    assert_eq!(broken(&many).1, "too many variables");
    assert!(broken(&format!("include {}", "{a,b}".repeat(9))).1.contains("too many files"));
    assert!(broken(&format!("include {}", "x".repeat(2_000))).1.contains("too many files"));
    let all = vec![("/k/a".to_owned(), "include *\ninclude *\ninclude *".to_owned())];
    let parts = (0..100).map(|number| (format!("/k/{number}"), "x".to_owned()));
    let all: Vec<(String, String)> = all.into_iter().chain(parts).collect();
    let all: Vec<(&str, &str)> = all.iter().map(|(path, text)| (&path[..], &text[..])).collect();
    let text = source(&all).0.expect_err("each time all of them").text;
    assert!(text.contains("files"), "{text}");
}

#[test]
fn files_are_not_looked_for_without_end() {
    let (text, told) = source(&[("/k/a", &"include {x,y}*\n".repeat(LOOKUPS_MAX))]);
    assert_eq!(text, Ok(String::new()));
    assert!(told.iter().all(|found| found.fate == Fate::Unsupported));
    let (_, told) = source(&[("/k/a", &"include {x,y}\n".repeat(LOOKUPS_MAX))]);
    let last = told.last().expect("each is told of");
    assert!(last.why.contains("looked for 4096 times"), "{last:?}");
}

#[test]
fn only_text_is_read_but_comments_may_be_anything() {
    let mut all = Memory::default();
    all.0.insert("/k/a".into(), b"x # \xff\n! \xfe\ny".to_vec());
    all.0.insert("/k/b".into(), b"x\n\xff".to_vec());
    let mut ledger = Ledger::default();
    let (source, broken) = read("/k/a", "one", &mut all, &mut ledger);
    assert_eq!((source.lines.len(), broken), (2, None));
    let (_, broken) = read("/k/b", "one", &mut all, &mut ledger);
    assert_eq!(broken.and_then(|broken| broken.place).map(|place| place.line), Some(2));
    let (_, broken) = read("/k/c", "one", &mut all, &mut ledger);
    assert_eq!(broken.map(|broken| broken.text), Some("it cannot be read: it is not there".into()));
}
