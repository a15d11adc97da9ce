//! A request from end to end, without HTTP: read, planned, run against a real database,
//! presented. Each measurement stands beside its floor.

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use goldenkey::app::{App, Loader};
use goldenkey::config::Environment;
use goldenkey::http::{Headers, Request};
use goldenkey::request::{ApiRequest, Settings};
use goldenkey::{plan, query};
use serde_json::json;
use std::hint::black_box;
use support::cluster::Cluster;
use support::jwt;

mod brief;

const FIXTURE: &str = "
    create schema api;
    create table api.authors (id int primary key, name text not null, country text);
    create table api.books (
        id int primary key, title text not null, pages int,
        author_id int references api.authors
    );
    create table api.reviews (
        id int primary key, book_id int references api.books, stars int, body text
    );
    insert into api.authors select n, 'author ' || n, 'XX' from generate_series(1, 100) n;
    insert into api.books
        select n, 'book ' || n, n % 700, 1 + n % 100 from generate_series(1, 10000) n;
    insert into api.reviews
        select n, 1 + n % 10000, n % 6, 'review ' || n from generate_series(1, 20000) n;
    create index on api.reviews (book_id);
    create index on api.books (author_id);
    analyze;
    do $$ begin create role bench_reader nologin; exception when duplicate_object then null; end $$;
    grant bench_reader to authenticator;
    grant usage on schema api to bench_reader;
    grant select on all tables in schema api to bench_reader;
";

const BY_KEY: &str = "id=eq.4711&select=id,title,pages";
const THREE_LEVELS: &str = "select=id,name,books(id,title,reviews(stars,body))&id=eq.7\
                            &books.pages=gt.100&books.order=id&books.limit=5\
                            &books.reviews.stars=gte.3&books.reviews.order=id";

const OPTIONS: query::Options =
    query::Options { max_rows: None, rows: true, response_is_set: false, read_only: true };

fn app(uri: &str) -> App {
    let environment = Environment::from([
        ("PGRST_DB_URI", uri),
        ("PGRST_DB_SCHEMAS", "api"),
        ("PGRST_JWT_SECRET", jwt::SECRET),
        ("PGRST_DB_POOL", "2"),
    ]);
    let loader = Loader::new(None, environment);
    let app = loader.start().expect("the settings are good");
    loader.load(&app).unwrap_or_else(|error| panic!("{error}"));
    app
}

fn request(path: &str, query: &str, token: &str) -> Request {
    let fields = [
        ("Host", "localhost:3000"),
        ("User-Agent", "bench/1.0"),
        ("Accept", "application/json"),
        ("Authorization", &format!("Bearer {token}")),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Request {
        method: "GET".into(),
        path: path.into(),
        query: query.into(),
        headers: Headers(fields.to_vec()),
        ..Request::default()
    }
}

fn planning(criterion: &mut Criterion, app: &App, token: &str) {
    let live = app.live();
    let schema = live.schema.as_deref().expect("loaded");
    let schemas = ["api".to_owned()];
    let settings =
        Settings { schemas: &schemas, root_spec: None, root_enabled: true, tx_override: false };
    let mut group = criterion.benchmark_group("parse, plan and write SQL");
    for (name, path, query) in
        [("read by key", "/books", BY_KEY), ("three levels with filters", "/authors", THREE_LEVELS)]
    {
        let mut request = request(path, query, token);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let api = ApiRequest::parse(&mut request, &settings).expect("a good request");
                let plan = plan::plan(&api, schema, &live.plan_settings).expect("a plan");
                black_box(query::write(&plan, &api, OPTIONS).sql.shape().len())
            });
        });
    }
    group.finish();
}

fn handling(criterion: &mut Criterion, app: &App, token: &str, uri: &str) {
    let mut group = criterion.benchmark_group("handle");
    let mut client = postgres::Client::connect(uri, postgres::NoTls).expect("a connection");
    group.bench_function("floor: an empty round trip", |bencher| {
        bencher.iter(|| client.simple_query("").expect("an answer"));
    });
    let message = same_message();
    client
        .batch_execute(
            "set role bench_reader; prepare k1 as select count(*), coalesce(json_agg(r)::text, '[]') from \
             (select id, title, pages from api.books where id = $1) r; reset role",
        )
        .expect("prepared");
    group.bench_function("floor: the same message by hand", |bencher| {
        bencher.iter(|| client.simple_query(&message).expect("an answer"));
    });
    for (name, path, query) in
        [("read by key", "/books", BY_KEY), ("three levels with filters", "/authors", THREE_LEVELS)]
    {
        let request = request(path, query, token);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let response = app.handle(request.clone());
                assert_eq!(response.status, 200);
                black_box(response.body.len())
            });
        });
    }
    group.finish();
}

/// What `read by key` sends, as somebody would write it by hand.
fn same_message() -> String {
    "begin isolation level read committed read only;\
     set local search_path = api, public;\
     set local role = 'bench_reader';\
     set local request.jwt.claims = '{\"role\":\"bench_reader\"}';\
     set local request.jwt.claim.role = 'bench_reader';\
     set local request.method = 'GET';\
     set local request.path = '/books';\
     set local request.headers = '{\"host\":\"localhost:3000\",\"user-agent\":\"bench/1.0\"}';\
     set local request.cookies = '{}';\
     execute k1('4711');\
     commit"
        .to_owned()
}

fn benches(criterion: &mut Criterion) {
    let cluster = Cluster::shared();
    let database = cluster.database(FIXTURE);
    let uri = database.uri();
    let app = app(&uri);
    let token = jwt::token(&json!({ "role": "bench_reader" }));
    planning(criterion, &app, &token);
    handling(criterion, &app, &token, &uri);
}

criterion_group!(name = handle; config = brief::criterion(); targets = benches);
criterion_main!(handle);
