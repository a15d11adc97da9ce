//! Reading the files that the configuration is made of, within bounds of size and time.
//!
//! What is no regular file (a pipe, a FIFO, a process substitution) gives its content once. It is
//! kept for as long as the process lives, since the configuration is read at each reload.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest file that is read.
const MAX_FILE_BYTES: usize = 16 << 20;

/// How long a writer may take to fill a pipe and close it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was read from pipes.
static KEPT: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// The content of a file; of a pipe what it gave the first time.
///
/// # Errors
/// When it cannot be read, is too long, or is a pipe whose writer does not come to an end.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_within(path, PATIENCE)
}

fn read_within(path: &Path, patience: Duration) -> io::Result<Vec<u8>> {
    let is_regular = |metadata: &fs::Metadata| metadata.is_file() || metadata.is_dir();
    // One reader at a time, so that two do not share the content of one pipe.
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_regular(&fs::metadata(path)?)
        && let Some(bytes) = kept.get(path)
    {
        return Ok(bytes.clone());
    }
    // Opening a FIFO would wait for its writer for as long as that takes.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if is_regular(&file.metadata()?) {
        return read_all(file, |file, buffer| file.read(buffer));
    }
    let deadline = Instant::now() + patience;
    let bytes = read_all(file, |file, buffer| read_when_ready(file, buffer, deadline))?;
    kept.insert(path.to_owned(), bytes.clone());
    Ok(bytes)
}

fn read_all(
    mut file: File,
    read: impl Fn(&mut File, &mut [u8]) -> io::Result<usize>,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        match read(&mut file, &mut buffer)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
        if bytes.len() > MAX_FILE_BYTES {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "it is longer than 16 MiB"));
        }
    }
}

fn read_when_ready(file: &mut File, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&*file, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => {
                let text = "it is a pipe, and its writer has not closed it in time";
                return Err(io::Error::new(ErrorKind::TimedOut, text));
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match file.read(buffer) {
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn fifo(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }

    #[test]
    fn a_pipe_is_read_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder);
        let writing = path.clone();
        let writer = std::thread::spawn(move || {
            let mut pipe = File::options().write(true).open(writing).unwrap();
            pipe.write_all(b"first ").unwrap();
            std::thread::sleep(Duration::from_millis(20));
            pipe.write_all(b"second").unwrap();
        });
        assert_eq!(read(&path).unwrap(), b"first second");
        writer.join().unwrap();
        assert_eq!(read(&path).unwrap(), b"first second");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a file by now").unwrap();
        assert_eq!(read(&path).unwrap(), b"a file by now");
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_or_closes_comes_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(&folder);
        let short = Duration::from_millis(30);
        assert_eq!(read_within(&path, short).unwrap_err().kind(), ErrorKind::TimedOut);
        let _open = File::options().read(true).write(true).open(&path).unwrap();
        assert_eq!(read_within(&path, short).unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn what_has_no_end_is_too_long() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }
}
