//! What it costs to read a request, beside floors for the same bytes.
//!
//! Expected: a plain read under 2 µs, a three-level embed with filters under 10 µs, a JSON body
//! within a few times of checking that it is UTF-8.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use goldenkey::http::{Headers, Request};
use goldenkey::request::{ApiRequest, Parameters, Query, Settings, cookies_json, headers_json};
use std::fmt::Write;
use std::hint::black_box;

mod brief;

const PLAIN: &str = "select=id,title,price&id=eq.42";
const EMBEDS: &str = "select=id,name,books!inner(id,title,details->>rating,\
     publishers(name,city,events(kind,starts_at)))&books.price=gte.8.00&books.title=like.The*\
     &books.publishers.city=in.(%22New%20York%22,Torino)&or=(born.gt.1900,and(born.is.null,\
     country.not.eq.US))&order=name.desc.nullslast,id&books.order=price&limit=10&books.limit=5";

fn request(method: &str, query: &str, body: Vec<u8>) -> Request {
    let fields = [
        ("Host", "api.example.org"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("Accept", "application/json, text/plain, */*;q=0.1"),
        ("Accept-Language", "en-US,en;q=0.5"),
        ("Prefer", "count=exact, return=representation"),
        ("Content-Type", "application/json"),
        ("Cookie", "session=0123456789abcdef; theme=dark"),
    ];
    Request {
        method: method.to_owned(),
        path: "/authors".to_owned(),
        query: query.to_owned(),
        headers: Headers(fields.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec()),
        body,
        ..Request::default()
    }
}

fn read(criterion: &mut Criterion) {
    let schemas = ["api".to_owned()];
    let settings =
        Settings { schemas: &schemas, root_spec: None, root_enabled: true, tx_override: false };
    let mut group = criterion.benchmark_group("read");
    for (name, query) in [("plain", PLAIN), ("three-level-embed", EMBEDS)] {
        group.bench_function(format!("query/{name}"), |bencher| {
            bencher.iter(|| Query::parse(black_box(query), Parameters::Filters).unwrap());
        });
        let mut request = request("GET", query, Vec::new());
        group.bench_function(format!("request/{name}"), |bencher| {
            bencher.iter(|| ApiRequest::parse(black_box(&mut request), &settings).unwrap());
        });
    }
    let request = request("GET", PLAIN, Vec::new());
    group.bench_function("headers-to-json", |bencher| {
        bencher.iter(|| (headers_json(&request.headers), cookies_json(&request.headers)));
    });
    group.finish();
}

/// An array of rows of ten columns, as of a bulk insert.
fn rows(count: usize) -> String {
    let mut text = String::from("[");
    for id in 0..count {
        let comma = if id == 0 { "" } else { "," };
        write!(
            text,
            "{comma}{{\"id\":{id},\"name\":\"row number {id}\",\"email\":\"user{id}@example.org\",\
             \"price\":{}.50,\"active\":true,\"tags\":[\"a\",\"b\"],\"note\":null,\
             \"created\":\"2024-05-01T12:00:00Z\",\"details\":{{\"k\":{id}}},\"city\":\"Bodø\"}}",
            id % 100
        )
        .expect("writing to a String does not fail");
    }
    text.push(']');
    text
}

fn body(criterion: &mut Criterion) {
    let schemas = ["api".to_owned()];
    let settings =
        Settings { schemas: &schemas, root_spec: None, root_enabled: true, tx_override: false };
    let mut group = criterion.benchmark_group("body");
    let long_text = format!("{{\"text\":\"{}\"}}", "lorem ipsum dolor ".repeat(300_000));
    for (name, text) in [("rows", rows(20_000)), ("one-long-text", long_text)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("{name}/parse"), |bencher| {
            bencher.iter_batched_ref(
                || request("POST", "", text.clone().into_bytes()),
                |request| ApiRequest::parse(request, &settings).unwrap(),
                BatchSize::LargeInput,
            );
        });
        group.bench_function(format!("{name}/floor-utf8-check"), |bencher| {
            bencher.iter(|| std::str::from_utf8(black_box(text.as_bytes())).unwrap().len());
        });
        group.bench_function(format!("{name}/floor-serde-json-ignored"), |bencher| {
            bencher.iter(|| {
                serde_json::from_str::<serde::de::IgnoredAny>(black_box(&text)).unwrap();
            });
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = brief::criterion(); targets = read, body);
criterion_main!(benches);
