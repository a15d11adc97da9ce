//! `goldenkey keygen` and `goldenkey token`: keys of every kind from the command line to the
//! server, and forged tokens under `--inspect`.

use crate::support::{Settings, janitor, jwt, server};
use crate::{SQL, whoami};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn goldenkey(arguments: &[&str]) -> Output {
    let mut command = Command::new(server::BINARY);
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.output().expect("the binary under test can be run")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("the folder is ours");
    path
}

fn name(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_key_of_every_kind_goes_from_the_command_line_to_the_server() {
    let database = crate::Cluster::shared().database(SQL);
    let folder = janitor::new_folder("keys");
    let others = jwt::for_role("ann");
    for (kind, algorithms) in [
        ("secret", &["HS256"][..]),
        ("rsa", &["RS256"]),
        ("ec", &["ES256"]),
        ("p384", &["ES384"]),
        ("p521", &["ES512"]),
        ("ed25519", &["EdDSA"]),
    ] {
        let made = goldenkey(&["keygen", "--kind", kind, "--kid", "2026"]);
        assert!(made.status.success(), "{kind}: {}", text(&made.stderr));
        let private = write(&folder, "private.jwk", &text(&made.stdout));
        let told = text(&made.stderr);
        let public = if kind == "secret" {
            text(&made.stdout)
        } else {
            told.lines().last().expect("the public key").to_owned()
        };
        assert!(kind == "secret" || !public.contains("\"d\""), "{public}");
        let settings = Settings::new(&database).set("jwt-secret", public);
        let config = write(&folder, "server.conf", &settings.to_file());
        let server = crate::Server::start(&settings);
        for algorithm in algorithms {
            let arguments = [
                "token",
                name(&config),
                "--key",
                name(&private),
                "--algorithm",
                algorithm,
                "--role",
                "ann",
            ];
            let signed = goldenkey(&arguments);
            assert!(signed.status.success(), "{kind} {algorithm}: {}", text(&signed.stderr));
            let token = text(&signed.stdout);
            let got = server.send(&whoami().bearer(&token));
            assert_eq!(
                (got.status, &got.json()["role"]),
                (200, &json!("ann")),
                "{kind}: {}",
                got.text()
            );
            let inspected = goldenkey(&["token", name(&config), "--inspect", &token]);
            assert!(inspected.status.success(), "{}", text(&inspected.stdout));
            assert!(text(&inspected.stdout).contains("accepted, with the role \"ann\""));
        }
        // A token of somebody else, whatever the kind of key.
        let inspected = goldenkey(&["token", name(&config), "--inspect", &others]);
        assert!(!inspected.status.success(), "{}", text(&inspected.stdout));
        // A key signs with no algorithm of another family.
        let other = if kind == "secret" { "RS256" } else { "HS256" };
        let signed =
            goldenkey(&["token", name(&config), "--key", name(&private), "--algorithm", other]);
        assert!(!signed.status.success(), "{kind} signs with {other}: {}", text(&signed.stdout));
    }
}

#[test]
fn a_public_key_signs_nothing() {
    let folder = janitor::new_folder("keys");
    let made = goldenkey(&["keygen", "--kind", "rsa"]);
    let public = write(&folder, "public.jwk", text(&made.stderr).lines().last().expect("a key"));
    let config = write(&folder, "server.conf", &format!("jwt-secret = \"{}\"\n", jwt::SECRET));
    let signed = goldenkey(&["token", name(&config), "--key", name(&public), "--role", "ann"]);
    assert!(!signed.status.success() && signed.stdout.is_empty(), "{}", text(&signed.stdout));
}

#[test]
fn an_inspected_forgery_is_called_one_and_cannot_write_on_the_terminal() {
    let folder = janitor::new_folder("keys");
    let config = write(&folder, "server.conf", &format!("jwt-secret = \"{}\"\n", jwt::SECRET));
    let good = jwt::for_role("ann");
    let signature = good.rsplit('.').next().expect("a signature");
    let now = jwt::now();
    let ansi = "\u{9b}2J\u{9b}31m\u{202e}";
    let spaced = "{\n\n\"alg\":\"HS256\",\r\n\"accepted\":\"yes\"}";
    let claims = jwt::encode(json!({"role": "ann", "x": ansi}).to_string());
    for (token, reason) in [
        (jwt::sign(&json!({"alg": "none"}), &json!({}), b""), "unsecured"),
        (
            jwt::sign(&json!({"alg": "HS256", "kid": ansi}), &json!({"role": ansi}), b"x"),
            "No suitable key",
        ),
        (jwt::sign(&json!({"alg": "HS256"}), &json!({"role": ansi}), b"x"), "has not signed it"),
        (format!("{}.{claims}.{signature}", jwt::encode(spaced)), "has not signed it"),
        (jwt::token(&json!({"role": "ann", "exp": now - 3600, "x": ansi})), "expired"),
        (jwt::token(&json!({"role": "ann", "nbf": now + 3600})), "not yet valid"),
        (jwt::token(&json!({"role": "none"})), "none"),
        (good.replace('.', ".."), "Expected 3 parts"),
        ("\u{1b}[31mx".to_owned(), "Expected 3 parts"),
    ] {
        let inspected = goldenkey(&["token", name(&config), "--inspect", &token]);
        let told = text(&inspected.stdout) + "\n" + &text(&inspected.stderr);
        assert!(!inspected.status.success(), "{told}");
        assert!(told.contains("refused") && told.contains(reason), "{reason}: {told}");
        assert!(!told.contains("accepted, with"), "{told}");
        assert!(!told.contains(jwt::SECRET), "{told}");
        let control = told.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{told:?}");
        assert!(!told.contains('\u{202e}'), "text runs backwards: {told:?}");
        assert!(!told.lines().any(|line| line.starts_with("\"accepted")), "{told}");
    }
}
