//! The private Unix socket between the gate and tiny_http.
//!
//! It is made in a folder that only this user can enter, and its file is removed before the
//! first client comes: nobody else can connect, and nothing is left behind however the process
//! ends. The gate itself connects through a descriptor of the file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// Names tried for the folder before giving up.
const FOLDER_ATTEMPTS: u32 = 100;

/// The listening end, and the way to connect to it.
#[derive(Debug)]
pub(in crate::server) struct PrivateSocket {
    listener: UnixListener,
    file: File,
}

impl PrivateSocket {
    /// Makes the socket.
    ///
    /// # Errors
    /// The temporary folder cannot be written.
    pub(in crate::server) fn new() -> io::Result<PrivateSocket> {
        let folder = private_folder()?;
        let path = folder.join("s");
        let made = PrivateSocket::at(&path);
        // A file that was not made needs no removal.
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir(&folder);
        made.map_err(|error| {
            io::Error::new(error.kind(), format!("the private socket cannot be made: {error}"))
        })
    }

    fn at(path: &Path) -> io::Result<PrivateSocket> {
        let listener = UnixListener::bind(path)?;
        let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
        Ok(PrivateSocket { listener, file })
    }

    /// The listening end, for tiny_http.
    pub(in crate::server) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }

    /// A new connection, which does not block.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        // The file has no name any more; the kernel finds it by its descriptor (proc(5)).
        let path = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        let stream = UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    /// Ends the accept loop of whoever listens.
    pub(in crate::server) fn close(&self) {
        // Fails only when it does not listen any more.
        let _ = socket2::SockRef::from(&self.listener).shutdown(std::net::Shutdown::Both);
    }
}

/// A new folder that only this user can enter.
fn private_folder() -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |t| t.subsec_nanos());
    let mut result = Err(io::Error::from(io::ErrorKind::AlreadyExists));
    for _ in 0..FOLDER_ATTEMPTS {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("goldenkey-{}-{nanos}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        // Creating a folder fails when somebody else has put one, or a link, in its place.
        result = DirBuilder::new().mode(0o700).create(&folder).map(|()| folder);
        match &result {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            _ => break,
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn connections_are_made_without_a_name_in_the_file_system() {
        let socket = PrivateSocket::new().unwrap();
        let name = socket.listener.local_addr().unwrap();
        let folder = name.as_pathname().unwrap().parent().unwrap().to_owned();
        assert!(!folder.exists());
        let mut ours = socket.connect().unwrap();
        let (mut theirs, _) = socket.listener.accept().unwrap();
        ours.write_all(b"x").unwrap();
        let mut byte = [0];
        theirs.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }
}
