//! The far end: files of any length, sent slowly, so that there is time for a fault.

use std::io::{BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;

use super::{PORT, STEP_LIMIT, accept_within, address_in, limited, read_line};
use crate::clock;
use crate::error::{LabError, Result};
use crate::load::pattern;
use crate::netns::Namespace;

/// Bytes sent at once.
const CHUNK: u64 = 16 * 1024;
/// The pause behind each.
const PAUSE: Duration = Duration::from_millis(20);
/// How long to wait before looking whether to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// An FTP server, until it is dropped.
pub struct FtpServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<std::result::Result<(), Errno>>>,
}

impl FtpServer {
    /// Listens in the server's namespace, on both families.
    pub fn start(server: &Namespace) -> Result<Self> {
        let listener = server.enter(|| TcpListener::bind(("::", PORT)))?;
        let listener = listener.map_err(LabError::io("listen for FTP in the server"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = server.thread(move || serve(&listener, &told))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for FtpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Threads of a thread are born in its namespace, so each may open connections.
fn serve(listener: &TcpListener, stop: &Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(control) = accept_within(listener, PATIENCE) else { continue };
        // A session that breaks shows at its client.
        std::thread::spawn(move || drop(talk(control)));
    }
}

/// Where the next file goes.
enum Agreed {
    Nothing,
    Passive(TcpListener),
    Active(SocketAddr),
}

fn talk(control: TcpStream) -> std::io::Result<()> {
    // It waits as long as its client does; only a file is in a hurry.
    control.set_read_timeout(None)?;
    let ours = control.local_addr()?.ip().to_canonical();
    let mut control = BufReader::new(control);
    let mut agreed = Agreed::Nothing;
    control.get_mut().write_all(b"220 lab\r\n")?;
    loop {
        let line = read_line(&mut control)?;
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match word {
            "USER" => "331 any password".to_owned(),
            "PASS" => "230 welcome".to_owned(),
            "TYPE" => "200 binary".to_owned(),
            "PASV" | "EPSV" => {
                let listener = TcpListener::bind((ours, 0))?;
                let port = listener.local_addr()?.port();
                agreed = Agreed::Passive(listener);
                passive_answer(word, ours, port)
            }
            "PORT" | "EPRT" => {
                let address = if word == "PORT" { address_in(rest) } else { extended(rest) };
                agreed = address.map_or(Agreed::Nothing, Agreed::Active);
                if address.is_some() { "200 so be it" } else { "501 no address" }.to_owned()
            }
            "RETR" => {
                let bytes = rest.parse().unwrap_or(0);
                control.get_mut().write_all(b"150 here it comes\r\n")?;
                match send(std::mem::replace(&mut agreed, Agreed::Nothing), bytes) {
                    Ok(()) => "226 all of it".to_owned(),
                    Err(error) => format!("426 {error}"),
                }
            }
            _ => "502 not here".to_owned(),
        };
        control.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
    }
}

fn passive_answer(word: &str, ours: IpAddr, port: u16) -> String {
    match ours {
        IpAddr::V4(address) if word == "PASV" => {
            let [high, low] = port.to_be_bytes();
            let octets = address.octets().map(|octet| octet.to_string()).join(",");
            format!("227 Entering Passive Mode ({octets},{high},{low}).")
        }
        _ => format!("229 Entering Extended Passive Mode (|||{port}|)"),
    }
}

/// `|2|ADDRESS|PORT|`
fn extended(text: &str) -> Option<SocketAddr> {
    let mut parts = text.split('|').skip(2);
    let address: IpAddr = parts.next()?.parse().ok()?;
    Some(SocketAddr::new(address, parts.next()?.parse().ok()?))
}

fn send(agreed: Agreed, bytes: u64) -> std::io::Result<()> {
    let mut stream = match agreed {
        Agreed::Nothing => return Err(std::io::Error::other("nothing was agreed")),
        Agreed::Passive(listener) => accept_within(&listener, STEP_LIMIT)?,
        Agreed::Active(address) => limited(TcpStream::connect_timeout(&address, STEP_LIMIT)?)?,
    };
    for first in (0..bytes).step_by(usize::try_from(CHUNK).unwrap_or(1)) {
        let chunk: Vec<u8> =
            (first..bytes.min(first + CHUNK)).map(|offset| pattern(0, offset)).collect();
        stream.write_all(&chunk)?;
        clock::sleep(PAUSE);
    }
    Ok(())
}
