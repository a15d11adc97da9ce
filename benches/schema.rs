//! Looking things up in the schema cache must not cost more in a large schema.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use goldenkey::schema::{
    Cardinality, ExposedSchema, QualifiedName, Relation, RelationKind, Relationship,
    RelationshipKind, SchemaCache,
};
use std::collections::HashMap;
use std::hint::black_box;

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
            insertable: true,
            updatable: true,
            deletable: true,
            primary_key: Vec::new(),
            columns: Vec::new(),
            column_index: HashMap::new(),
            relationships,
        };
        (name(i).name, relation)
    };
    let app =
        ExposedSchema { relations: (0..tables).map(relation).collect(), ..Default::default() };
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

criterion_group!(benches, lookup);
criterion_main!(benches);
