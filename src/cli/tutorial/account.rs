//! Leaves root behind: PostgreSQL refuses to run as root, and so does the tutorial.
//!
//! The whole process changes its user, for good, before it starts anything.

use crate::cli::Failure;
use std::fs;
use std::io;

/// Who takes root's place, best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// A user of the system.
#[derive(Debug, PartialEq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// The effective user of this process.
pub fn effective_uid() -> u32 {
    // SAFETY: geteuid has no arguments, touches no memory of ours and cannot fail.
    unsafe { libc::geteuid() }
}

impl Account {
    /// The account to continue as, when this process is root's; `None` when it is not.
    ///
    /// # Errors
    /// When the system has neither a user `postgres` nor `nobody`.
    pub fn instead_of_root() -> Result<Option<Account>, Failure> {
        if effective_uid() != 0 {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd")
            .map_err(|error| Failure::io("cannot read /etc/passwd", error))?;
        UNPRIVILEGED.iter().find_map(|name| find(&users, name)).map(Some).ok_or_else(|| {
            "PostgreSQL does not run as root, and there is no user postgres or nobody \
             to run it: start the tutorial as an ordinary user"
                .to_owned()
                .into()
        })
    }

    /// Turns this process into this account's, for good. Call it before there are other
    /// threads.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn assume(&self) -> Result<(), Failure> {
        // The order matters: once the user is changed, the groups cannot be.
        // SAFETY: plain system calls on integers; setgroups reads no list of length zero.
        let done = unsafe {
            libc::setgroups(0, std::ptr::null()) == 0
                && libc::setgid(self.gid) == 0
                && libc::setuid(self.uid) == 0
        };
        if done {
            return Ok(());
        }
        let attempt = format!("cannot continue as the user {}", self.name);
        Err(Failure::io(attempt, io::Error::last_os_error()))
    }
}

/// The account of that name in the text of a passwd file; never one that is root.
fn find(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (found && uid != 0).then(|| Account { name: name.to_owned(), uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnobody2:x:1:1::/:\nnobody:x:65534:65533::/:\n";
        let account = Account { name: "nobody".to_owned(), uid: 65534, gid: 65533 };
        assert_eq!(find(users, "nobody"), Some(account));
        assert_eq!(find(users, "postgres"), None);
    }

    #[test]
    fn an_account_with_roots_number_is_not_taken() {
        assert_eq!(find("postgres:x:0:0::/:\n", "postgres"), None);
    }
}
