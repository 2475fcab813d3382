//! FTP through the gateways: on one connection the ends agree on another one, and a gateway that
//! filters and translates must read along. Every byte of a file is checked.

mod server;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::clock;
use crate::error::{LabError, Result};
use crate::load::pattern;
use crate::netns::Namespace;

pub use server::FtpServer;

/// The port of FTP; the only one to which [`crate::firewall::Firewall::ftp`] lets connections begin.
pub const PORT: u16 = 21;
/// How long any single step may take: several retransmissions of TCP.
const STEP_LIMIT: Duration = Duration::from_secs(20);
/// How long a connection may take to open that must not open.
const REFUSAL_LIMIT: Duration = Duration::from_secs(2);
/// The most bytes of a line that is read.
const LINE_MAX: u64 = 512;

/// Who opens the connection on which a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The client, to a port that the server has named (`PASV`, `EPSV`).
    Passive,
    /// The server, to a port that the client has named (`PORT`, `EPRT`).
    Active,
}

/// A client that has logged in.
pub struct Session<'a> {
    client: &'a Namespace,
    control: BufReader<TcpStream>,
    mode: Mode,
}

/// What both ends have agreed on: the next file goes there.
pub enum Agreed {
    /// The client opens a connection to this address.
    Passive(SocketAddr),
    /// The client waits for one here.
    Active(TcpListener),
}

/// A file that is under way.
pub struct Transfer {
    stream: TcpStream,
    expected: u64,
    checked: u64,
}

impl<'a> Session<'a> {
    /// Connects and logs in.
    pub fn open(client: &'a Namespace, target: IpAddr, mode: Mode) -> Result<Self> {
        let address = SocketAddr::new(target, PORT);
        let connect = || TcpStream::connect_timeout(&address, STEP_LIMIT);
        let stream = client.enter(connect)?.and_then(limited);
        let stream = stream.map_err(LabError::io(format!("connect to FTP at {address}")))?;
        let mut session = Self { client, control: BufReader::new(stream), mode };
        session.expect("220")?;
        for (line, code) in [("USER lab", "331"), ("PASS lab", "230"), ("TYPE I", "200")] {
            session.ask(line, code)?;
        }
        Ok(session)
    }

    /// Agrees on the connection of the next file.
    pub fn agree(&mut self) -> Result<Agreed> {
        let ours = self.control.get_ref().local_addr().map_err(LabError::io("look at a socket"))?;
        let theirs =
            self.control.get_ref().peer_addr().map_err(LabError::io("look at a socket"))?;
        let listen = || TcpListener::bind((ours.ip(), 0));
        match (self.mode, ours.ip()) {
            (Mode::Passive, IpAddr::V4(_)) => {
                let answer = self.ask("PASV", "227")?;
                address_in(&answer).map(Agreed::Passive).ok_or_else(|| odd("PASV", &answer))
            }
            (Mode::Passive, IpAddr::V6(_)) => {
                let answer = self.ask("EPSV", "229")?;
                let port = answer.rsplit("|||").next().and_then(|rest| rest.split('|').next());
                let port = port.and_then(|port| port.parse().ok());
                let port: u16 = port.ok_or_else(|| odd("EPSV", &answer))?;
                Ok(Agreed::Passive(SocketAddr::new(theirs.ip(), port)))
            }
            (Mode::Active, address) => {
                let listener = self.client.enter(listen)?.map_err(LabError::io("listen"))?;
                let port = listener.local_addr().map_err(LabError::io("look at a socket"))?.port();
                let line = match address {
                    IpAddr::V4(address) => {
                        let [high, low] = port.to_be_bytes();
                        let octets = address.octets().map(|octet| octet.to_string()).join(",");
                        format!("PORT {octets},{high},{low}")
                    }
                    IpAddr::V6(address) => format!("EPRT |2|{address}|{port}|"),
                };
                self.ask(&line, "200")?;
                Ok(Agreed::Active(listener))
            }
        }
    }

    /// Asks for a file of so many bytes and opens the connection on which it comes.
    pub fn begin(&mut self, agreed: Agreed, bytes: u64) -> Result<Transfer> {
        let stream = match agreed {
            Agreed::Passive(address) => {
                let connect = || TcpStream::connect_timeout(&address, STEP_LIMIT);
                let doing = format!("connect to {address}, as agreed");
                let stream = self.client.enter(connect)?.map_err(LabError::io(doing))?;
                self.ask(&format!("RETR {bytes}"), "150")?;
                stream
            }
            Agreed::Active(listener) => {
                self.ask(&format!("RETR {bytes}"), "150")?;
                accept(&listener)?
            }
        };
        let stream = limited(stream).map_err(LabError::io("prepare a transfer"))?;
        Ok(Transfer { stream, expected: bytes, checked: 0 })
    }

    /// Takes a file to its end and the word that it was whole.
    pub fn finish(&mut self, mut transfer: Transfer) -> Result<()> {
        transfer.take(transfer.expected)?;
        let mut more = [0];
        match transfer.stream.read(&mut more) {
            Ok(0) => self.expect("226").map(drop),
            Ok(_) => Err(LabError::Claim("the file is longer than it was".to_owned())),
            Err(source) => Err(LabError::Io { doing: "end a transfer".to_owned(), source }),
        }
    }

    /// A whole file.
    pub fn fetch(&mut self, bytes: u64) -> Result<()> {
        let agreed = self.agree()?;
        let transfer = self.begin(agreed, bytes)?;
        self.finish(transfer)
    }

    fn ask(&mut self, line: &str, code: &str) -> Result<String> {
        let sent = self.control.get_mut().write_all(format!("{line}\r\n").as_bytes());
        sent.map_err(LabError::io(format!("say {line}")))?;
        self.expect(code)
    }

    fn expect(&mut self, code: &str) -> Result<String> {
        let line = read_line(&mut self.control);
        let line = line.map_err(LabError::io(format!("wait for {code} of FTP")))?;
        if line.starts_with(code) { Ok(line) } else { Err(odd(code, &line)) }
    }
}

impl Transfer {
    /// Takes the file up to so many bytes; every one must be right.
    pub fn take(&mut self, up_to: u64) -> Result<()> {
        let mut room = [0; 16 * 1024];
        while self.checked < up_to.min(self.expected) {
            let length = self.stream.read(&mut room).map_err(|source| LabError::Io {
                doing: format!("read a file behind byte {}", self.checked),
                source,
            })?;
            let expected = (self.checked..).map(|offset| pattern(0, offset));
            let wrong = room[..length].iter().copied().ne(expected.take(length));
            if length == 0 || wrong {
                let what = if wrong { "is wrong" } else { "has ended" };
                let text = format!("the file {what} behind byte {}", self.checked);
                return Err(LabError::Claim(text));
            }
            self.checked += length as u64;
        }
        Ok(())
    }
}

/// Does a connection to a port that nobody has agreed on open?
pub fn opens(client: &Namespace, address: SocketAddr) -> Result<bool> {
    client.enter(|| TcpStream::connect_timeout(&address, REFUSAL_LIMIT).is_ok())
}

/// How many connections the gateway expects.
pub fn expected(gateway: &Namespace) -> Result<usize> {
    // Of the thread: the name without it is that of the whole process, whose namespace is another one.
    let file = "/proc/thread-self/net/nf_conntrack_expect";
    let text = gateway.enter(|| fs::read_to_string(file))?;
    Ok(text.map_err(LabError::io(format!("read {file}")))?.lines().count())
}

fn limited(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_read_timeout(Some(STEP_LIMIT))?;
    stream.set_write_timeout(Some(STEP_LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Waits for one connection, but not for ever.
fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let doing = LabError::io("wait for the connection of a file");
    match accept_within(listener, STEP_LIMIT) {
        Ok(stream) => Ok(stream),
        Err(source) => Err(doing(source)),
    }
}

fn accept_within(listener: &TcpListener, limit: Duration) -> std::io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let end = clock::now() + limit;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return limited(stream);
            }
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if clock::now() >= end => {
                return Err(std::io::Error::from(std::io::ErrorKind::TimedOut));
            }
            Err(_) => clock::sleep(Duration::from_millis(5)),
        }
    }
}

/// A line without its end; an error where there is none.
fn read_line(control: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    control.by_ref().take(LINE_MAX).read_line(&mut line)?;
    match line.ends_with('\n') {
        true => Ok(line.trim_end().to_owned()),
        false => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
    }
}

/// The address in `227 ... (h1,h2,h3,h4,p1,p2)` or in what follows `PORT`.
fn address_in(text: &str) -> Option<SocketAddr> {
    let start = text.find('(').map_or(text, |at| &text[at + 1..]);
    let numbers = start.trim_end_matches([')', '.', ' ']).split(',');
    let numbers: Vec<u8> = numbers.map_while(|number| number.trim().parse().ok()).collect();
    let [a, b, c, d, high, low] = numbers[..] else { return None };
    Some(SocketAddr::new([a, b, c, d].into(), u16::from_be_bytes([high, low])))
}

fn odd(question: &str, answer: &str) -> LabError {
    LabError::Answer { question: question.to_owned(), text: answer.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_an_answer_and_in_a_command() {
        let address = Some(SocketAddr::new([10, 92, 0, 10].into(), 0xabcd));
        assert_eq!(address_in("227 Entering Passive Mode (10,92,0,10,171,205)."), address);
        assert_eq!(address_in("10,92,0,10,171,205"), address);
        assert_eq!(address_in("227 Entering Passive Mode"), None);
    }
}
