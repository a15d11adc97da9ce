//! Looking things up in the schema cache must not cost more in a large schema, nor finding the
//! function that is meant among many.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use goldenkey::config::OpenApiMode;
use goldenkey::http::{Headers, Request};
use goldenkey::plan::{self, Plan};
use goldenkey::request::{self, ApiRequest};
use goldenkey::schema::{
    Cardinality, ExposedSchema, Parameter, QualifiedName, Relation, RelationKind, Relationship,
    RelationshipKind, ReturnType, Returned, Routine, SchemaCache, Volatility,
};
use std::collections::HashMap;
use std::hint::black_box;

mod brief;

/// A schema of so many tables, all of which refer to the first.
fn schema_of(tables: usize) -> SchemaCache {
    let name = |i: usize| QualifiedName::new("app", format!("table_{i}"));
    let relationship = |i: usize| Relationship {
        source: name(0),
        target: name(i),
        is_self: false,
        kind: RelationshipKind::ForeignKey(Cardinality::OneToMany {
            constraint: format!("table_{i}_fkey").into(),
            columns: vec![("id".into(), "parent_id".into())],
        }),
        source_is_view: false,
        target_is_view: false,
    };
    let relation = |i: usize| {
        let mut relationships: Vec<_> =
            if i == 0 { (1..tables).map(relationship).collect() } else { Vec::new() };
        relationships.sort();
        let relation = Relation {
            name: name(i),
            description: None,
            kind: RelationKind::Table,
            row_security: false,
            extent: Default::default(),
            plain_writes: false,
            insertable: true,
            updatable: true,
            deletable: true,
            primary_key: Vec::new(),
            columns: Vec::new(),
            column_index: HashMap::new(),
            target_index: Default::default(),
            relationships,
        };
        (name(i).name, relation)
    };
    let app = ExposedSchema::new(None, (0..tables).map(relation).collect(), HashMap::new());
    SchemaCache { schemas: HashMap::from([("app".into(), app)]), ..Default::default() }
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schema");
    for tables in [100, 10_000] {
        let cache = schema_of(tables);
        group.bench_function(BenchmarkId::new("relation", tables), |bencher| {
            bencher.iter(|| cache.relation(black_box("app"), black_box("table_42")));
        });
        let hub = cache.relation("app", "table_0").expect("there is a first table");
        let target = QualifiedName::new("app", "table_42");
        group.bench_function(BenchmarkId::new("relationships of a hub", tables), |bencher| {
            bencher.iter(|| hub.relationships_to(black_box(&target)).len());
        });
    }
}

/// A schema of so many functions, each with so many overloads, which have a parameter of the
/// same name and one of their own.
fn functions_of(functions: usize, overloads: usize) -> SchemaCache {
    let parameter = |name: String| Parameter {
        name: name.into(),
        data_type: "integer".into(),
        cast_type: "integer".into(),
        required: true,
        variadic: false,
    };
    let routine = |function: usize, overload: usize| Routine {
        name: QualifiedName::new("app", format!("function_{function}")),
        description: None,
        parameters: vec![parameter("id".to_owned()), parameter(format!("argument_{overload}"))],
        returns: ReturnType {
            is_set: false,
            returned: Returned::Scalar(QualifiedName::new("pg_catalog", "int4")),
        },
        volatility: Volatility::Volatile,
        variadic: false,
        isolation: None,
        settings: Vec::new(),
    };
    let routines = (0..functions).map(|function| {
        let routines: Vec<_> = (0..overloads).map(|overload| routine(function, overload)).collect();
        (routines[0].name.name.clone(), routines)
    });
    let app = ExposedSchema::new(None, HashMap::new(), routines.collect());
    SchemaCache { schemas: HashMap::from([("app".into(), app)]), ..Default::default() }
}

fn resolution(criterion: &mut Criterion) {
    let schemas = ["app".to_owned()];
    let settings = request::Settings {
        schemas: &schemas,
        root_spec: None,
        root_enabled: true,
        tx_override: false,
    };
    let mut http = Request {
        method: "POST".into(),
        path: "/rpc/function_0".into(),
        headers: Headers(vec![("Content-Type".into(), "application/json".into())]),
        body: b"{\"id\": 1, \"argument_0\": 2}".to_vec(),
        ..Request::default()
    };
    let api = ApiRequest::parse(&mut http, &settings).expect("a good request");
    let settings = plan::Settings {
        max_rows: None,
        aggregates_enabled: false,
        plan_enabled: false,
        openapi_mode: OpenApiMode::Disabled,
        legacy_target_names: true,
    };
    let mut group = criterion.benchmark_group("resolve and plan a call");
    for (functions, overloads) in [(1, 1), (5_000, 1), (1, 100), (50, 100)] {
        let cache = functions_of(functions, overloads);
        let id = BenchmarkId::new(format!("{functions} functions"), overloads);
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let plan = plan::plan(&api, &cache, &settings).expect("a plan");
                assert!(matches!(plan, Plan::Call(_)));
            });
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = brief::criterion(); targets = lookup, resolution);
criterion_main!(benches);
