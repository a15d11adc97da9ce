//! What is shipped beside the binary: generated files that must be current, and scripts.
//!
//! `UPDATE_DOCS=1 cargo test --test packaging` writes the generated files anew.

use clap_complete::Shell;
use goldenkey::cli::args::definition;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Holds a committed file against what it is generated from, or writes it.
fn assert_current(path: &str, generated: &[u8]) {
    let path = repository(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let folder = path.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("the repository is writable");
        fs::write(&path, generated).expect("the repository is writable");
    }
    let committed = fs::read(&path).unwrap_or_default();
    let path = path.display();
    assert!(committed == generated, "run UPDATE_DOCS=1 cargo test to write {path}");
}

#[test]
fn the_shell_completions_are_those_of_the_command_line() {
    for (shell, file) in [
        (Shell::Bash, "goldenkey.bash"),
        (Shell::Zsh, "_goldenkey"),
        (Shell::Fish, "goldenkey.fish"),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut definition(), "goldenkey", &mut script);
        assert_current(&format!("packaging/completions/{file}"), &script);
    }
}

#[test]
fn the_man_pages_are_those_of_the_command_line() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    clap_mangen::generate_to(definition(), &folder).expect("the folder is ours");
    let mut pages = 0;
    for entry in fs::read_dir(&folder).expect("the folder is ours") {
        let entry = entry.expect("the folder is ours");
        let name = entry.file_name().into_string().expect("UTF-8");
        let page = fs::read(entry.path()).expect("the file is ours");
        assert_current(&format!("packaging/man/{name}"), &page);
        pages += 1;
    }
    assert_eq!(pages, 1 + definition().get_subcommands().count());
}

/// A folder with the few programs that a script needs, and what stands in for others: each
/// writes its name and arguments into `calls`.
struct Machine(tempfile::TempDir);

impl Machine {
    fn with(real: &[&str], stand_ins: &[&str]) -> Machine {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for name in real {
            let program = ["/usr/bin", "/bin"].iter().map(|bin| Path::new(bin).join(name));
            let program = program.into_iter().find(|path| path.exists()).expect("a usual tool");
            symlink(program, folder.path().join(name)).expect("the folder is ours");
        }
        for name in stand_ins {
            let path = folder.path().join(name);
            let text =
                format!("#!/bin/sh\necho {name} \"$@\" >>'{}/calls'\n", folder.path().display());
            fs::write(&path, text).expect("the folder is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        }
        Machine(folder)
    }

    /// A stand-in for `id -u`.
    fn user(self, number: u32) -> Machine {
        let path = self.0.path().join("id");
        fs::write(&path, format!("#!/bin/sh\necho {number}\n")).expect("the folder is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        self
    }

    fn install_missing(&self) -> Output {
        Command::new("/bin/sh")
            .arg(repository("scripts/install-missing"))
            .env_clear()
            .env("PATH", self.0.path())
            // PostgreSQL is there, wherever these tests run.
            .env("GOLDENKEY_PG_BIN", self.0.path())
            .output()
            .expect("sh can be run")
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.0.path().join("calls")).unwrap_or_default()
    }
}

const ALL: [&str; 6] = ["apt-get", "initdb", "postgres", "cc", "curl", "cargo"];

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn nothing_is_installed_where_nothing_is_missing() {
    let machine = Machine::with(&["tr"], &ALL).user(0);
    let output = machine.install_missing();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((stderr(&output), machine.calls()), (String::new(), String::new()));
}

#[test]
fn what_is_missing_is_named_and_installed() {
    let machine = Machine::with(&["tr", "env"], &["apt-get", "initdb", "postgres", "cargo"]);
    let machine = machine.user(0);
    let output = machine.install_missing();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("gcc libc6-dev curl"), "{}", stderr(&output));
    assert_eq!(
        machine.calls(),
        "apt-get update\n\
         apt-get install --yes --no-install-recommends gcc libc6-dev curl\n"
    );
}

#[test]
fn an_ordinary_user_installs_with_sudo() {
    let stand_ins = ["apt-get", "sudo", "initdb", "postgres", "cc", "cargo"];
    let machine = Machine::with(&["tr", "env"], &stand_ins).user(1000);
    let output = machine.install_missing();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(machine.calls().starts_with("sudo apt-get update\nsudo env "), "{}", machine.calls());
}

#[test]
fn without_apt_get_it_says_what_is_missing() {
    let machine = Machine::with(&["tr"], &["initdb", "postgres", "cc", "cargo"]).user(0);
    let output = machine.install_missing();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("missing: curl"), "{}", stderr(&output));
}

#[test]
fn without_rust_it_says_where_to_get_it() {
    let machine = Machine::with(&["tr"], &["initdb", "postgres", "cc", "curl"]).user(0);
    let output = machine.install_missing();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("rustup.rs"), "{}", stderr(&output));
}

#[test]
fn the_scripts_are_executable_and_have_no_syntax_errors() {
    for script in ["quickstart", "check", ".ci/run", "scripts/install-missing"] {
        let path = repository(script);
        let mode = fs::metadata(&path).expect(script).permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script}");
        let status = Command::new("sh").arg("-n").arg(&path).status().expect("sh can be run");
        assert!(status.success(), "{script}");
    }
}

#[test]
fn the_packaged_configuration_is_read_without_a_warning() {
    use goldenkey::config::{Config, Environment};
    let path = repository("packaging/goldenkey.conf");
    let (_, warnings) =
        Config::load(Some(&path), &Environment::default(), &[]).expect("it can be used");
    assert!(warnings.is_empty(), "{warnings:?}");
}
