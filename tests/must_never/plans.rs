//! Point 1 again: a plan made for one role lets another one in. PostgreSQL checks USAGE of a
//! schema, and EXECUTE of a function that it inlines, only when the plan is made.

use crate::SQL;
use crate::support::{Cluster, Request, Server, Settings, jwt};
use serde_json::json;

/// As often as it takes for a statement to be prepared and used again.
const OFTEN: usize = 8;

fn get(server: &Server, path: &str, role: &str, schema: &str) -> (u16, String) {
    let request = Request::get(path).bearer(&jwt::for_role(role)).header("Accept-Profile", schema);
    let got = server.send(&request);
    (got.status, if got.status == 200 { got.text() } else { got.code() })
}

#[test]
fn a_statement_prepared_for_one_role_opens_no_schema_to_another() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create schema vault;
         create table vault.gold (id int);
         insert into vault.gold values (79);
         grant usage on schema vault to writer;
         grant select on vault.gold to reader, writer;"
    ));
    let settings = Settings::new(&database).set("db-pool", 1).set("db-schemas", "api, vault");
    let server = Server::start(&settings);
    for _ in 0..OFTEN {
        let own = get(&server, "/gold", "writer", "vault");
        assert_eq!(own, (200, "[{\"id\":79}]".to_string()));
    }
    for _ in 0..OFTEN {
        let other = get(&server, "/gold", "reader", "vault");
        assert_eq!(other, (403, "42501".to_string()));
        assert_eq!(get(&server, "/gold", "writer", "vault").0, 200);
    }
}

#[test]
fn a_statement_prepared_for_one_role_opens_no_function_to_another() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create function api.upper_note(api.notes) returns text language sql stable
           as 'select upper($1.note)';
         revoke execute on function api.upper_note(api.notes) from public;
         grant execute on function api.upper_note(api.notes) to writer;
         insert into api.notes values (1, 'gold');"
    ));
    let server = Server::start(&Settings::new(&database).set("db-pool", 1));
    let path = "/notes?select=upper_note";
    for _ in 0..OFTEN {
        let own = get(&server, path, "writer", "api");
        assert_eq!(own, (200, "[{\"upper_note\":\"GOLD\"}]".to_string()));
    }
    for _ in 0..OFTEN {
        assert_eq!(get(&server, path, "reader", "api"), (403, "42501".to_string()));
        assert_eq!(get(&server, path, "writer", "api").0, 200);
    }
}

#[test]
fn a_statement_prepared_in_one_schema_does_not_read_from_another() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create schema other;
         create table other.notes (id int, note text);
         insert into other.notes values (2, 'other');
         insert into api.notes values (1, 'api');
         grant usage on schema other to reader;
         grant select on other.notes to reader;"
    ));
    let settings = Settings::new(&database).set("db-pool", 1).set("db-schemas", "api, other");
    let server = Server::start(&settings);
    for _ in 0..OFTEN {
        for (id, schema) in [(1, "api"), (2, "other")] {
            let (status, text) = get(&server, "/notes", "reader", schema);
            assert_eq!(status, 200, "{text}");
            let rows: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(rows, json!([{"id": id, "note": schema}]));
        }
    }
}

#[test]
fn a_prepared_statement_survives_a_change_of_its_table() {
    let database = Cluster::shared().database(SQL);
    database.sql("insert into api.notes values (1, 'one')");
    let server = Server::start(&Settings::new(&database).set("db-pool", 1));
    for _ in 0..OFTEN {
        let got = get(&server, "/notes?select=note", "reader", "api");
        assert_eq!(got, (200, "[{\"note\":\"one\"}]".to_string()));
    }
    database.sql("alter table api.notes alter column note type varchar(40)");
    database.sql("alter table api.notes add column more int");
    for path in ["/notes?select=note", "/notes"] {
        for _ in 0..OFTEN {
            assert_eq!(get(&server, path, "reader", "api").0, 200, "{path}");
        }
    }
}
