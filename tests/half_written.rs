//! A request that fails writes nothing: every case of the write suites to which an error was
//! recorded is sent to a server whose transactions are committed, and the tables are
//! compared.

mod support;

#[allow(dead_code, reason = "the conformance tests use the rest")]
#[path = "conformance/suite.rs"]
mod suite;

use postgres::{Client, SimpleQueryMessage};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use suite::{Case, Placeholders, Suite};
use support::{Cluster, Server, http, janitor};

/// The hash of each table's rows, by the table's name. Sequences are left out: PostgreSQL
/// never takes back a number that it gave.
const TABLES: &str = "
    select c.oid::regclass::text, t.hash::text
    from pg_class c
    cross join lateral xmltable('/table/row' passing query_to_xml(format(
        'select md5(coalesce(string_agg(r::text, chr(10) order by r::text), '''')) as hash from %s r',
        c.oid::regclass), false, false, '') columns hash text) t
    where c.relkind = 'r'
      and c.relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')";

#[test]
fn a_failing_request_leaves_every_table_as_it_was() {
    let suites = Suite::load_all().expect("the suites are there");
    let suites: Vec<&Suite> = suites.iter().filter(|s| s.name.starts_with("write-")).collect();
    let (cluster, next, failed) = (Cluster::shared(), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(suite) = suites.get(next.fetch_add(1, Ordering::Relaxed)) {
                    failed.fetch_add(check(cluster, suite), Ordering::Relaxed);
                }
            });
        }
    });
    let failed = failed.into_inner();
    assert!(failed >= 150, "only {failed} requests failed, so little was shown");
}

/// Sends the suite's failing requests; returns how many failed.
fn check(cluster: &Cluster, suite: &Suite) -> usize {
    let name = format!("half_{}", suite.name.replace('-', "_"));
    let database = cluster.database_from(&name, suite.fixture_file().as_deref()).expect("loaded");
    let folder = janitor::new_folder("half");
    let mut fill = Placeholders::new(&database.name, &folder, cluster);
    suite.set_up(&mut fill).expect("the suite is sound");
    let settings = suite.settings(&mut fill).set("db-tx-end", "commit");
    let mut server = Server::spawn(&settings, &folder);
    server.wait_until_ready().unwrap_or_else(|message| panic!("{message}"));
    let mut client = database.connect();
    let mut failed = 0;
    for case in suite.cases.iter().filter(|case| is_refused(case)) {
        if let Some(statement) = &case.before_sql {
            database.sql(&fill.fill(statement));
        }
        let before = tables(&mut client);
        let request = case.request.build(server.port, suite.secret()).expect("a request");
        let response = http::exchange(server.port, &request.to_bytes(), &request.method)
            .unwrap_or_else(|error| panic!("{}/{}: {error}", suite.name, case.name));
        // Some errors were recorded only because the suite's own setting rolls back.
        if response.status >= 400 {
            failed += 1;
            assert_eq!(before, tables(&mut client), "{}/{} wrote", suite.name, case.name);
        }
    }
    server.stop();
    janitor::remove_folder(&folder);
    failed
}

/// Whether an error was recorded for the case.
fn is_refused(case: &Case) -> bool {
    case.skip.is_none() && case.response["status"].as_u64().is_some_and(|status| status >= 400)
}

fn tables(client: &mut Client) -> BTreeMap<String, String> {
    let messages = client.simple_query(TABLES).expect("the query is valid");
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (row.get(0).unwrap_or("").to_owned(), row.get(1).unwrap_or("").to_owned()))
        .collect()
}
