//! One look, of any kind.

use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use evergate_core::check::Reading;

use super::program::Programs;
use super::{Look, Order, Seen, fail, neighbour, pass, ping, program, route};

/// The longest name of a process that the kernel keeps, in bytes (proc(5), `comm`).
const COMM_MAX: usize = 15;
/// The most bytes of a file with a number.
const NUMBER_BYTES_MAX: u64 = 64;

/// Looks once and says what was found. A program that hangs is told of before it is gone.
pub(super) fn look(order: &Order, programs: &Programs, told: program::Told) {
    let within = order.timeout;
    let seen = match &order.look {
        Look::Exec { words, user, group } => {
            let environment = [("EVERGATE_CHECK".to_owned(), order.name.clone())];
            let (environment, group) = (environment.as_slice(), group.as_deref());
            let program = program::Program { words, user, group, environment, input: b"" };
            return program::run(&program, within, programs, told);
        }
        Look::Route(network, prefix) => route::look(*network, *prefix),
        Look::Process(name) => process(name),
        Look::File(path) => file(path),
        Look::Value(path) => value(path),
        Look::Arp(address, interface) => neighbour::look(*address, interface.as_deref(), within),
        Look::Ping(address, interface) => ping::look(*address, interface.as_deref(), within),
        Look::Tcp(address) => tcp(address, within),
    };
    told(seen);
}

fn tcp(address: &SocketAddr, within: Duration) -> Seen {
    match TcpStream::connect_timeout(address, within) {
        Ok(_) => pass("it accepts connections"),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => fail("no answer in time"),
        Err(error) => fail(error.to_string()),
    }
}

fn file(path: &Path) -> Seen {
    match fs::metadata(path) {
        Ok(_) => pass("it exists"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fail("it does not exist"),
        Err(error) => fail(error.to_string()),
    }
}

/// The number in a file; 0 where there is none.
fn value(path: &Path) -> Seen {
    let read = fs::File::open(path).and_then(|file| {
        let mut text = String::new();
        file.take(NUMBER_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    });
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (Reading::Value(0), "it does not exist, which counts as 0".into(), None)
        }
        Err(error) => (Reading::Value(0), format!("{error}, which counts as 0"), None),
        Ok(text) => match text.trim().parse::<i32>() {
            Ok(value) => (Reading::Value(value), value.to_string(), None),
            Err(_) => (Reading::Value(0), "it holds no number, which counts as 0".into(), None),
        },
    }
}

fn process(name: &str) -> Seen {
    let listed = fs::read_dir("/proc");
    let Ok(entries) = listed else { return fail("the processes cannot be listed") };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut processes = numbers.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match processes.find(|pid| is_called(Path::new("/proc").join(pid).as_path(), name)) {
        Some(pid) => pass(format!("it runs as process {pid}")),
        None => fail("no such process runs"),
    }
}

/// The kernel keeps the beginning of a name; the rest is where the program was started.
fn is_called(process: &Path, name: &str) -> bool {
    let Ok(comm) = fs::read(process.join("comm")) else { return false };
    let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
    let kept = &name.as_bytes()[..name.len().min(COMM_MAX)];
    if comm != kept {
        return false;
    }
    if name.len() <= COMM_MAX {
        return !is_dead(process);
    }
    let Ok(line) = fs::read(process.join("cmdline")) else { return false };
    let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
    first.rsplit(|byte| *byte == b'/').next() == Some(name.as_bytes())
}

/// A process that has ended and was not waited for yet.
fn is_dead(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    matches!(state, Some("Z" | "X") | None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_found_by_its_name_and_a_stranger_is_not() {
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        // Tests run in threads; the name of the process is that of its first thread.
        let own = own.trim();
        let pid = std::process::id().to_string();
        let main = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        assert!(!own.is_empty());
        let (reading, ..) = process(main.trim());
        assert_eq!(reading, Reading::Pass);
        assert_eq!(process("no-such-process").0, Reading::Fail);
        assert_eq!(process(&format!("{}-with-a-longer-name", main.trim())).0, Reading::Fail);
    }

    #[test]
    fn a_number_is_read_and_anything_else_counts_as_0() {
        let path = std::env::temp_dir().join(format!("evergate-value-{}", std::process::id()));
        for (text, expected) in [("-20\n", -20), (" 7 ", 7), ("", 0), ("many", 0)] {
            fs::write(&path, text).unwrap();
            assert_eq!(value(&path).0, Reading::Value(expected), "{text}");
        }
        assert_eq!(file(&path).0, Reading::Pass);
        fs::remove_file(&path).unwrap();
        assert_eq!(value(&path).0, Reading::Value(0));
        assert_eq!(file(&path).0, Reading::Fail);
    }

    #[test]
    fn a_port_that_listens_passes_and_one_that_does_not_fails() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let within = Duration::from_secs(1);
        assert_eq!(tcp(&address, within).0, Reading::Pass);
        drop(listener);
        assert_eq!(tcp(&address, within).0, Reading::Fail);
    }
}
