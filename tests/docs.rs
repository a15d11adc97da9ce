//! The commands of the documents, run as they stand there.

mod support;

use goldenkey::query::response_settings;
use goldenkey::request::limits;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::{Cluster, Request, Server, Settings, janitor, jwt, server};

/// A server of the tutorial's database, which the documents speak of.
fn tutorial_server() -> (Cluster, Server, String) {
    let cluster = Cluster::start();
    cluster.sql("postgres", "drop role authenticator");
    let scripts = ["0-get-it-running", "1-golden-key", "2-revocation"];
    let scripts = scripts.map(|name| document(&format!("sql/tutorial/{name}.sql")));
    let database = cluster.database(&scripts.concat());
    let settings = Settings::new(&database).set("db-pre-request", "auth.check_token");
    let server = Server::start(&settings);
    // The database is dropped with its cluster, and not before.
    std::mem::forget(database);
    (cluster, server, settings.to_file())
}

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The indented blocks of a Markdown text.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(code) => {
                let block = blocks.last_mut().expect("never empty");
                block.push_str(code);
                block.push('\n');
            }
            // An empty line may stand within a block.
            None if line.is_empty() => blocks.last_mut().expect("never empty").push('\n'),
            None => blocks.push(String::new()),
        }
    }
    blocks.retain(|block| !block.trim().is_empty());
    blocks
}

/// The commands of a session, each with the output that it shows.
fn session(block: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut continued = false;
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((command, _))) if continued => {
                command.push('\n');
                command.push_str(line);
            }
            (None, Some((_, output))) => output.push_str(line),
            (None, None) => {}
        }
        continued = line.ends_with('\\');
    }
    commands
}

fn shell(script: &str, folder: &Path) -> String {
    let program = Path::new(server::BINARY).parent().expect("a file is in a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-e", "-c", script])
        .env("PATH", path)
        .current_dir(folder)
        .output()
        .expect("sh can be run");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_session_of_the_readme_is_real() {
    let (_cluster, server, _) = tutorial_server();
    let readme = document("README.md");
    let block = blocks(&readme).into_iter().find(|block| block.contains("$ curl"));
    let commands = session(&block.expect("the README shows a session"));
    assert_eq!(commands.len(), 5);
    let mut exports = String::new();
    for (command, shown) in commands {
        let command = command
            .replace("localhost:3000", &format!("127.0.0.1:{}", server.port))
            .replace("curl ", "curl -s ")
            .replace('…', &jwt::for_role("todo_user"));
        if command.starts_with("export ") {
            exports = command;
            continue;
        }
        let output = shell(&format!("{exports}\n{command}"), Path::new("/"));
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        assert_eq!(json(&output), json(&shown), "{command}\n{output}");
    }
}

#[test]
fn the_commands_about_tokens_work() {
    let (_cluster, server, configuration) = tutorial_server();
    let folder = janitor::new_folder("docs");
    fs::write(folder.join("tutorial.conf"), configuration).expect("the folder is ours");
    let text = document("docs/getting-started.md");
    let script: String = blocks(section(&text, "Tokens"))
        .into_iter()
        .filter(|block| !block.trim_start().starts_with("select "))
        .collect();
    assert!(script.contains("curl ") && script.contains("keygen"), "{script}");
    let script = script.replace("localhost:3000", &format!("127.0.0.1:{}", server.port));
    let output = shell(&script.replace("curl ", "curl -sf "), &folder);
    assert!(output.contains("finish tutorial 0"), "{output}");
    let inspect = "goldenkey token tutorial.conf --inspect \
                   $(goldenkey token tutorial.conf --role todo_user --claim email=me@example.com \
                   --claim-json 'groups=[\"a\",\"b\"]')";
    assert!(text.contains("--claim email=me@example.com"), "the text has changed");
    let inspected = shell(inspect, &folder);
    assert!(inspected.contains(r#""groups":["a","b"]"#), "{inspected}");
}

/// The section of a document under that heading.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!("## {heading}\n")).expect("it has the section");
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

#[test]
fn a_database_of_ones_own_is_set_up() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "drop role authenticator");
    let database = cluster.database("");
    let text = document("docs/getting-started.md");
    let own = blocks(section(&text, "A database of your own"));
    let [set_up, start] = &own[..] else { panic!("{own:?}") };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let psql = support::pg_bin::folder().join("psql");
    let connection = format!(
        "export PGHOST='{}' PGUSER=postgres PGDATABASE='{}'\n",
        cluster.socket_folder().display(),
        database.name
    );
    shell(&(connection + &set_up.replace("psql ", &format!("{} -X -q ", psql.display()))), root);

    let keygen = start.lines().next().expect("it begins with the secret");
    let secret = shell(keygen, root);
    let settings = Settings::new(&database).set("jwt-secret", secret.trim());
    let server = Server::start(&settings.set("db-pre-request", "auth.check_token"));
    let todos = server.send(&Request::get("/todos"));
    assert_eq!(todos.json()[0]["task"], "finish tutorial 0", "{}", todos.text());
}

#[test]
fn the_commands_about_migrating_work() {
    let (_cluster, server, configuration) = tutorial_server();
    let folder = janitor::new_folder("docs");
    fs::write(folder.join("postgrest.conf"), configuration).expect("the folder is ours");
    let text = document("docs/migrating-from-postgrest.md");
    let commands = blocks(&text).remove(0);
    let dump = commands.trim_start().lines().next().expect("it begins with the dump");
    let here = |command: &str| command.replace("/etc/postgrest.conf", "postgrest.conf");
    let dumped = shell(&here(dump), &folder);
    assert!(dumped.contains("db-pre-request = \"auth.check_token\""), "{dumped}");

    // Beside the PostgREST that still runs, on another port.
    let beside = "PGRST_SERVER_PORT=3001 goldenkey /etc/postgrest.conf";
    assert!(text.contains(beside), "the text has changed");
    let port = support::port::free();
    let script = format!(
        "{} & pid=$!; for try in $(seq 100); do \
         curl -sf 127.0.0.1:{port}/todos && break; sleep 0.1; done; kill $pid; wait $pid",
        here(beside).replace("3001", &port.to_string()),
    );
    let todos = shell(&script, &folder);
    assert!(todos.contains("finish tutorial 0"), "{todos}");
    assert_ne!(port, server.port);
}

#[test]
fn the_command_for_the_description_works() {
    let (_cluster, server, _) = tutorial_server();
    let command = blocks(&document("docs/openapi.md")).remove(0);
    let command = command.replace("localhost:3000", &format!("127.0.0.1:{}", server.port));
    let described = shell(&command.replace("curl ", "curl -sf "), Path::new("/"));
    let described: Value = serde_json::from_str(&described).expect("JSON");
    assert_eq!(described["openapi"], "3.1.0");
}

#[test]
fn postgresql_takes_the_settings_for_small_machines() {
    let text = document("docs/small-vm.md");
    let section = section(&text, "PostgreSQL");
    let rows = section.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        (cells.len() == 6).then(|| (name, [cells[2], cells[3]]))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() >= 8, "{rows:?}");
    for column in 0..2 {
        let settings: Vec<_> = rows.iter().map(|(name, values)| (*name, values[column])).collect();
        let cluster = Cluster::start_with(&settings);
        cluster.sql("postgres", "create role web_anon");
        let sql = blocks(section).into_iter().filter(|block| block.contains("alter role"));
        let sql: String = sql.collect();
        assert!(sql.contains("statement_timeout"), "{sql}");
        cluster.sql("postgres", &sql);
    }
}

#[test]
fn the_links_between_documents_lead_somewhere() {
    let documents = [
        "README.md",
        "ARCHITECTURE.md",
        "docs/getting-started.md",
        "docs/migrating-from-postgrest.md",
        "docs/operations.md",
        "docs/security-model.md",
        "docs/small-vm.md",
    ];
    for path in documents {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let folder = folder.parent().expect("a file is in a folder");
        for link in document(path).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.contains("://") {
                assert!(folder.join(link).exists(), "{path} links to {link}");
            }
        }
    }
}

#[test]
fn the_table_of_limits_has_what_is_enforced() {
    let document = document("docs/security-model.md");
    let section = document.split("## Limits of a request").nth(1).expect("the section");
    let section = section.split("## ").next().expect("its text");
    let written: Vec<usize> = (section.lines().filter_map(|line| line.strip_prefix("| ")))
        .filter_map(|row| row.split(' ').next()?.replace(',', "").parse().ok())
        .collect();
    let enforced = [
        limits::MAX_QUERY_BYTES,
        limits::MAX_PARAMETERS,
        limits::MAX_EMBED_DEPTH,
        limits::MAX_EMBEDS,
        limits::MAX_COLUMNS,
        limits::MAX_LOGIC_DEPTH,
        limits::MAX_FILTERS,
        limits::MAX_ORDER_TERMS,
        limits::MAX_JSON_STEPS,
        limits::MAX_BODY_NAMES,
        limits::MAX_FORM_FIELDS,
        limits::MAX_BODY_DEPTH,
        limits::MAX_ACCEPTED_TYPES,
        response_settings::MAX_FIELDS,
        response_settings::MAX_HEADERS_BYTES,
    ];
    assert_eq!(written, enforced);
}

/// The codes of our own that stand in a text, `GK` and three digits.
fn codes(text: &str) -> Vec<String> {
    let pieces = text.split("GK").skip(1);
    pieces
        .filter_map(|piece| piece.get(..3))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|digits| format!("GK{digits}"))
        .collect()
}

/// The sources in a folder, without their tests.
fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("it is text");
            into.push(text.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
        }
    }
}

#[test]
fn each_code_has_one_meaning_and_a_line_in_the_documents() {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let mut defined: Vec<String> = texts.iter().flat_map(|text| codes(text)).collect();
    defined.sort_unstable();
    let page = document("docs/errors.md");
    let rows = page.lines().filter(|line| line.starts_with("| `GK"));
    let documented: Vec<String> = rows.filter_map(|row| codes(row).into_iter().next()).collect();
    assert!(defined.len() > 10, "{defined:?}");
    assert_eq!(defined, documented, "a code stands at one place of the sources and of the page");
}
