//! Point 2: Client text reaches SQL other than through the two quoting functions, which hold also
//! with `standard_conforming_strings = off`.

use crate::SQL;
use crate::support::{Cluster, Database, Request, Server, Settings, jwt};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

/// Text that ends a literal or an identifier when it is quoted for the wrong rules.
const HOSTILE: [&str; 12] = [
    "'",
    "''",
    "\\",
    "\\'",
    "\\\\'",
    "'; drop table api.notes; --",
    "\\'; drop table api.notes; --",
    "\"; drop table api.notes; --",
    "$$; drop table api.notes; --",
    "\\x27; drop table api.notes; --",
    "\\u0027 \u{2019} \u{ff07} \u{1f5dd}",
    "\n\t\u{1}--",
];

fn start(conforming: &str) -> (Database<'static>, Server) {
    let database = Cluster::shared().database(SQL);
    database.sql(&format!(
        "alter database {} set standard_conforming_strings = {conforming};
         create table api.\"odd \"\" ' \\ name\" (id int, \"col \"\" ' \\ umn\" text);
         insert into api.\"odd \"\" ' \\ name\" values (1, 'found');
         grant select on api.\"odd \"\" ' \\ name\" to web_anon",
        database.name
    ));
    let server = Server::start(&Settings::new(&database).set("db-pool", 1));
    (database, server)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[test]
fn hostile_text_stays_text_with_conforming_strings() {
    text_stays_text("on");
}

#[test]
fn hostile_text_stays_text_with_backslashes_in_plain_literals() {
    text_stays_text("off");
}

fn text_stays_text(conforming: &str) {
    let (database, server) = start(conforming);
    let writer = jwt::for_role("writer");
    for (id, text) in HOSTILE.into_iter().enumerate() {
        let body = json!({"id": id, "note": text}).to_string();
        let got = server.send(&Request::post("/notes", body).bearer(&writer));
        assert_eq!(got.status, 201, "{text:?}: {}", got.text());

        let path = format!("/notes?note=eq.{}&id=eq.{id}", encoded(text));
        let got = server.send(&Request::get(&path));
        assert_eq!(got.json(), json!([{"id": id, "note": text}]), "{text:?}");

        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let path = format!("/notes?id=eq.{id}&note=in.(x,{})", encoded(&format!("\"{quoted}\"")));
        let got = server.send(&Request::get(&path));
        assert_eq!(got.json(), json!([{"id": id, "note": text}]), "{text:?}");

        let patch =
            Request::patch(&format!("/notes?id=eq.{id}"), json!({"note": text}).to_string());
        assert_eq!(server.send(&patch.bearer(&writer)).status, 204, "{text:?}");
    }
    let count = database.value("select count(*) from api.notes");
    assert_eq!(count, Some(HOSTILE.len().to_string()));
}

#[test]
fn hostile_claims_headers_and_cookies_stay_text() {
    for conforming in ["on", "off"] {
        let (_database, server) = start(conforming);
        for text in HOSTILE {
            let claims = json!({"role": "reader", "email": text, "odd'\\\"name": text});
            let header: String = text.chars().filter(|c| ('!'..='~').contains(c)).collect();
            let request = Request::get(&format!("/whoami?role=not.eq.{}", encoded(text)))
                .bearer(&jwt::token(&claims))
                .header("X-Hostile", &header)
                .header("Cookie", &format!("hostile={header}"));
            let got = server.send(&request);
            assert_eq!(got.status, 200, "{text:?}: {}", got.text());
            let row = &got.json()[0];
            assert_eq!(row["claims"], claims, "{text:?}");
            assert_eq!(row["email"], text, "{text:?}");
            assert_eq!(row["headers"]["x-hostile"], header, "{text:?}");
        }
    }
}

#[test]
fn hostile_names_stay_names() {
    for conforming in ["on", "off"] {
        let (database, server) = start(conforming);
        let path = format!("/{}?select=id", encoded("odd \" ' \\ name"));
        assert_eq!(server.send(&Request::get(&path)).json(), json!([{"id": 1}]));
        let column = encoded("col \" ' \\ umn");
        for parameter in ["select", "order", "on_conflict", "columns"] {
            for text in HOSTILE {
                let path = format!("/notes?{parameter}={}", encoded(text));
                let got = server.send(&Request::get(&path));
                assert!(got.status < 500, "{path}: {}", got.text());
            }
            let got = server.send(&Request::get(&format!("/notes?{parameter}={column}")));
            assert!(got.status < 500, "{}", got.text());
        }
        for text in HOSTILE {
            let got = server.send(&Request::get(&format!("/notes?{}=eq.1", encoded(text))));
            assert!(got.status < 500, "{text:?}: {}", got.text());
            let alias = format!("/notes?select={}:id", encoded(&format!("\"{text}\"")));
            let got = server.send(&Request::get(&alias));
            assert!(got.status < 500, "{text:?}: {}", got.text());
        }
        let exists = database.value("select to_regclass('api.notes') is not null");
        assert_eq!(exists.as_deref(), Some("true"));
    }
}
