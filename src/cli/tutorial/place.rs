//! Opens the place of the data folder, making it first if need be, so that nobody else can lead
//! the way to another one: each step is taken from the folder before it and not from a path, no
//! link is followed that others have laid, and what is given away is what was looked at.

use super::account::{self, Account};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fstat, mkdirat,
    openat, readlinkat, statat,
};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// The most links on the way, as for the kernel.
const LINKS_MAX: usize = 40;

/// Permissions with which others could exchange what is in a folder.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

const ROOT: u32 = 0;

/// Opens the folder at an absolute path, which must be empty or a tutorial's, and gives it to
/// `account`; what is missing on the way is made.
///
/// # Errors
/// A text, when the system refuses, or others have a say in what is there.
pub fn open(path: &Path, account: Option<&Account>) -> Result<OwnedFd, String> {
    let folder = walk(path, account)?;
    let failed =
        |error: Errno| format!("cannot use {}: {}", path.display(), io::Error::from(error));
    let stat = fstat(&folder).map_err(failed)?;
    let owner = account.map_or_else(account::effective_uid, |account| account.uid);
    if stat.st_uid != owner && stat.st_uid != account::effective_uid() {
        return Err(format!(
            "{} belongs to somebody else: name a folder of your own or a new one with --data",
            path.display()
        ));
    }
    if stat.st_uid == owner && is_tutorial(&folder) {
        return Ok(folder);
    }
    if !is_empty(&folder).map_err(failed)? {
        return Err(format!(
            "{} holds something else: name an empty or new folder with --data",
            path.display()
        ));
    }
    if let Some(account) = account {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        fchown(&folder, Some(uid), Some(gid)).map_err(failed)?;
    }
    fchmod(&folder, Mode::RWXU).map_err(failed)?;
    Ok(folder)
}

fn is_tutorial(folder: &OwnedFd) -> bool {
    statat(folder, "tutorial.lock", AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

fn is_empty(folder: &OwnedFd) -> Result<bool, Errno> {
    for entry in Dir::read_from(folder)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Goes down to the folder, one name after the other.
fn walk(path: &Path, account: Option<&Account>) -> Result<OwnedFd, String> {
    let mut names = steps(path);
    let mut folder = open_root()?;
    let mut gone = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        let at = gone.join(&name);
        let failed =
            |error: Errno| format!("cannot use {}: {}", at.display(), io::Error::from(error));
        if account.is_some() {
            check_parent(&gone, &fstat(&folder).map_err(failed)?, account)?;
        }
        match enter(&folder, &name, names.is_empty()) {
            Ok(next) => {
                folder = next;
                gone = at;
            }
            // Linux says the one, others the other.
            Err(Errno::NOTDIR | Errno::LOOP) if links < LINKS_MAX => {
                links += 1;
                let target = follow(&folder, &name, account).map_err(failed)?;
                let Some(target) = target else {
                    return Err(format!("{} is no folder, or a link of somebody's", at.display()));
                };
                if target.is_absolute() {
                    folder = open_root()?;
                    gone = PathBuf::from("/");
                }
                for step in steps(&target).into_iter().rev() {
                    names.push_front(step);
                }
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(folder)
}

/// The names in a path. `..` stays: the kernel resolves it from where one stands.
fn steps(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|component| !matches!(component, Component::RootDir | Component::CurDir))
        .map(|component| component.as_os_str().to_owned())
        .collect()
}

fn open_root() -> Result<OwnedFd, String> {
    openat(CWD, "/", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| format!("cannot use /: {}", io::Error::from(error)))
}

/// Opens a folder in another one, making it first if need be.
fn enter(parent: &OwnedFd, name: &OsStr, is_last: bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            let mode = if is_last { 0o700 } else { 0o755 };
            match mkdirat(parent, name, Mode::from_raw_mode(mode)) {
                Ok(()) | Err(Errno::EXIST) => openat(parent, name, flags, Mode::empty()),
                Err(error) => Err(error),
            }
        }
        opened => opened,
    }
}

/// Where a link leads; `None` when it is no link, or one of somebody who is not trusted.
fn follow(
    parent: &OwnedFd,
    name: &OsStr,
    account: Option<&Account>,
) -> Result<Option<PathBuf>, Errno> {
    let stat = statat(parent.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    if !is_link || !is_trusted(stat.st_uid, account) {
        return Ok(None);
    }
    let target = readlinkat(parent, name, Vec::new())?;
    Ok(Some(PathBuf::from(OsString::from_vec(target.into_bytes()))))
}

/// Makes sure that nobody else can exchange what is in a folder on the way of root's process.
fn check_parent(path: &Path, stat: &Stat, account: Option<&Account>) -> Result<(), String> {
    let writable = stat.st_mode & WRITABLE_BY_OTHERS != 0 && stat.st_mode & STICKY == 0;
    if writable || !is_trusted(stat.st_uid, account) {
        return Err(format!(
            "others can write into {}, and so exchange the data folder for something else: name \
             another place with --data, or start the tutorial as an ordinary user",
            path.display()
        ));
    }
    Ok(())
}

fn is_trusted(uid: u32, account: Option<&Account>) -> bool {
    let own = account.map(|account| account.uid);
    uid == ROOT || uid == account::effective_uid() || own == Some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};

    /// Somebody else of this machine, and the account that takes root's place.
    const STRANGER: u32 = 4242;
    const ACCOUNT: u32 = 4343;

    fn account() -> Account {
        Account { name: "tutorial".to_owned(), uid: ACCOUNT, gid: ACCOUNT }
    }

    /// A folder of root's, when the test runs as root: others cannot make foreign files.
    fn as_root() -> Option<tempfile::TempDir> {
        let folder = tempfile::tempdir().unwrap();
        (account::effective_uid() == ROOT).then_some(folder)
    }

    #[test]
    fn a_new_folder_is_made_private_with_what_leads_to_it() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b/data");
        open(&path, None).unwrap();
        open(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(parent.path().join("a")).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("thesis.txt"), "mine").unwrap();
        let text = open(data.path(), None).unwrap_err();
        assert!(text.contains("holds something else"), "{text}");
    }

    #[test]
    fn a_link_of_ones_own_is_followed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path();
        fs::create_dir(path.join("real")).unwrap();
        symlink("real", path.join("relative")).unwrap();
        symlink(path.join("relative"), path.join("absolute")).unwrap();
        open(&path.join("absolute/data"), None).unwrap();
        assert!(path.join("real/data").is_dir());
        symlink("loop", path.join("loop")).unwrap();
        assert!(open(&path.join("loop"), None).is_err());
    }

    #[test]
    fn as_root_the_folder_is_given_away_and_nothing_else() {
        let Some(parent) = as_root() else { return };
        let path = parent.path().join("a/data");
        open(&path, Some(&account())).unwrap();
        open(&path, Some(&account())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), ACCOUNT);
        assert_eq!(fs::metadata(parent.path().join("a")).unwrap().uid(), ROOT);
    }

    #[test]
    fn as_root_no_link_of_others_is_followed() {
        let Some(parent) = as_root() else { return };
        let victim = tempfile::tempdir().unwrap();
        let link = parent.path().join("data");
        symlink(victim.path(), &link).unwrap();
        lchown(&link, Some(STRANGER), Some(STRANGER)).unwrap();
        for path in [link.clone(), link.join("below")] {
            let text = open(&path, Some(&account())).unwrap_err();
            assert!(text.contains("a link of somebody's"), "{text}");
        }
        assert_eq!(fs::metadata(victim.path()).unwrap().uid(), ROOT);
        assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
    }

    #[test]
    fn as_root_no_foreign_folder_is_given_away() {
        let Some(parent) = as_root() else { return };
        let foreign = parent.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        chown(&foreign, Some(STRANGER), Some(STRANGER)).unwrap();
        let text = open(&foreign, Some(&account())).unwrap_err();
        assert!(text.contains("belongs to somebody else"), "{text}");
        assert_eq!(fs::metadata(&foreign).unwrap().uid(), STRANGER);
    }

    #[test]
    fn as_root_no_folder_is_made_where_others_can_write() {
        let Some(parent) = as_root() else { return };
        let shared = parent.path().join("shared");
        fs::create_dir(&shared).unwrap();
        let with_mode = |mode| {
            fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
            open(&shared.join("data"), Some(&account()))
        };
        for mode in [0o777, 0o775] {
            let text = with_mode(mode).unwrap_err();
            assert!(text.contains("others can write into"), "{text}");
        }
        // As in /tmp, where nobody exchanges what is another's.
        with_mode(0o1777).unwrap();
    }
}
