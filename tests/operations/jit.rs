//! Compilation just in time, which makes small requests on tables that were never analysed
//! slow.

use super::SQL;
use crate::support::{Cluster, Request, Server, Settings};

const SHOWS_JIT: &str = "create function api.jit() returns text language sql stable as \
    $$ select current_setting('jit') $$;";

fn jit_of(settings: &Settings) -> String {
    Server::start(settings).send(&Request::get("/rpc/jit")).text()
}

#[test]
fn sessions_begin_without_it_unless_somebody_wants_it() {
    let cluster = Cluster::start_with(&[("jit", "on")]);
    let database = cluster.database(&format!("{SQL}{SHOWS_JIT}"));
    let settings = Settings::new(&database);
    assert_eq!(jit_of(&settings), "\"off\"");
    assert_eq!(jit_of(&settings.clone().set("db-jit", true)), "\"on\"");
    let wanted = format!("{}?options=-c%20jit%3Don", database.uri());
    assert_eq!(jit_of(&settings.clone().set("db-uri", wanted)), "\"on\"");
    database.sql(
        "do $$ begin execute format('alter database %I set jit = on', \
                  current_database()); end $$",
    );
    assert_eq!(jit_of(&settings), "\"on\"");
}
