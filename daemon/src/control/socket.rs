//! The socket's file: made for its owner and group only, replaced when stale, removed at the end.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Bytes of a socket's path that Linux takes: `sun_path` less its end mark (unix(7)).
pub const PATH_BYTES_MAX: usize = 107;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// The file of a bound socket, by its identity: what somebody else put in its place is left alone.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// Binds a socket that does not block. Nobody can connect before its mode is set, because it
    /// listens only then.
    pub(crate) fn bind(path: &Path, mode: u32) -> io::Result<(Self, UnixListener)> {
        let length = path.as_os_str().len();
        if length > PATH_BYTES_MAX {
            let text = format!(
                "the path {} has {length} bytes and Linux takes {PATH_BYTES_MAX}: choose a shorter \
                 --socket",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.bind(&SockAddr::unix(path)?).map_err(|error| explain(path, &error))?;
        let file = SocketFile { path: path.to_owned(), identity: identity(path)? };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        socket.listen(BACKLOG)?;
        Ok((file, UnixListener::from(OwnedFd::from(socket))))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket of a daemon that is dead; anything but a socket is somebody's file.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => {
            let text = format!(
                "{} exists and is not a socket: move it, or choose another --socket",
                path.display()
            );
            Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(explain(path, &error)),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn explain(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
