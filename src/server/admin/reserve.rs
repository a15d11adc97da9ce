//! Descriptors held in reserve, to have some when the service has taken all others.

use std::fs::File;
use std::io;

/// One for a client of the admin server, one to see whether the service accepts.
const DESCRIPTORS: usize = 2;

/// The reserve.
pub struct Reserve(Vec<File>);

impl Reserve {
    /// A full reserve.
    ///
    /// # Errors
    /// There are not enough descriptors.
    pub fn new() -> io::Result<Self> {
        (0..DESCRIPTORS).map(|_| open()).collect::<io::Result<_>>().map(Reserve)
    }

    /// Gives the descriptors back to the process; whether there were any.
    pub fn release(&mut self) -> bool {
        let had_any = !self.0.is_empty();
        self.0.clear();
        had_any
    }

    /// Takes them again, as far as there are some.
    pub fn refill(&mut self) {
        while self.0.len() < DESCRIPTORS {
            match open() {
                Ok(file) => self.0.push(file),
                Err(_) => return,
            }
        }
    }
}

fn open() -> io::Result<File> {
    File::open("/dev/null")
}

/// Whether an error means that the process or the system is out of descriptors.
pub fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
