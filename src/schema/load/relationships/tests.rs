//! Relationships from keys and views that are given by hand.

use super::super::node_tree::ShownColumn;
use super::*;
use crate::schema::{Column, RelationKind};

/// A database of relations whose columns are numbered from 1.
#[derive(Default)]
struct Catalog {
    relations: Relations,
    keys: Keys,
    shown: HashMap<u32, Vec<ShownColumn>>,
}

fn column(name: &str) -> Column {
    Column {
        name: name.into(),
        description: None,
        nullable: true,
        nominal_type: "integer".into(),
        base_type: "integer".into(),
        max_length: None,
        default: None,
        generated: false,
        enum_labels: Vec::new(),
        is_json: false,
        is_tsvector: false,
        form: Default::default(),
    }
}

impl Catalog {
    fn relation(mut self, oid: u32, name: &str, kind: RelationKind, columns: &[&str]) -> Self {
        let relation = Relation {
            name: QualifiedName::new("app", name),
            description: None,
            kind,
            row_security: false,
            extent: Default::default(),
            plain_writes: false,
            insertable: true,
            updatable: true,
            deletable: true,
            primary_key: Vec::new(),
            columns: columns.iter().map(|name| column(name)).collect(),
            column_index: HashMap::new(),
            target_index: Default::default(),
            relationships: Vec::new(),
        };
        let numbers = (1..).take(columns.len()).collect();
        self.relations.insert(oid, relation, numbers);
        self
    }

    fn table(self, oid: u32, name: &str, columns: &[&str]) -> Self {
        self.relation(oid, name, RelationKind::Table, columns)
    }

    /// A view whose columns show columns of other relations, given by number.
    fn view(mut self, oid: u32, name: &str, columns: &[(&str, u32, i16)]) -> Self {
        let shown = (1..).zip(columns).map(|(column, &(_, origin, origin_column))| ShownColumn {
            column,
            origin,
            origin_column,
        });
        self.shown.insert(oid, shown.collect());
        let names: Vec<_> = columns.iter().map(|column| column.0).collect();
        self.relation(oid, name, RelationKind::View, &names)
    }

    fn primary(mut self, relation: u32, columns: &[i16]) -> Self {
        self.keys.add_primary(relation, columns.to_vec());
        self
    }

    fn foreign(mut self, name: &str, from: (u32, &[i16]), to: (u32, &[i16])) -> Self {
        self.keys.foreign.push(ForeignKey {
            constraint: name.into(),
            relation: from.0,
            columns: from.1.to_vec(),
            target: to.0,
            target_columns: to.1.to_vec(),
        });
        self
    }

    /// The relations with their keys and relationships.
    fn build(self, computed: Vec<Relationship>) -> Relations {
        let Self { mut relations, keys, shown } = self;
        let views = Views::new(&shown, |view| relations.get(view).is_some());
        add_primary_keys(&mut relations, &keys, &views);
        let found = from_keys(&relations, &keys, &views);
        add(&mut relations, found, computed);
        relations
    }
}

fn cardinalities(relations: &Relations, from: u32, to: &str) -> Vec<Cardinality> {
    let relation = relations.get(from).expect("it was made");
    let to = QualifiedName::new("app", to);
    let of = |r: &Relationship| match &r.kind {
        RelationshipKind::ForeignKey(cardinality) => cardinality.clone(),
        RelationshipKind::Computed { .. } => panic!("{r:?} is computed"),
    };
    relation.relationships_to(&to).iter().map(of).collect()
}

fn columns(pairs: &[(&str, &str)]) -> Vec<(Box<str>, Box<str>)> {
    pairs.iter().map(|&(left, right)| (left.into(), right.into())).collect()
}

fn films() -> Catalog {
    Catalog::default()
        .table(1, "directors", &["id"])
        .table(2, "films", &["id", "director_id"])
        .primary(1, &[1])
        .primary(2, &[1])
        .foreign("made_by", (2, &[2]), (1, &[1]))
}

#[test]
fn a_foreign_key_is_many_to_one_and_one_to_many() {
    let relations = films().build(Vec::new());
    assert_eq!(
        cardinalities(&relations, 2, "directors"),
        [Cardinality::ManyToOne {
            constraint: "made_by".into(),
            columns: columns(&[("director_id", "id")]),
        }]
    );
    assert_eq!(
        cardinalities(&relations, 1, "films"),
        [Cardinality::OneToMany {
            constraint: "made_by".into(),
            columns: columns(&[("id", "director_id")]),
        }]
    );
}

#[test]
fn unique_columns_in_any_order_make_a_key_one_to_one() {
    let relations = Catalog::default()
        .table(1, "seats", &["row", "place"])
        .table(2, "tickets", &["id", "seat_row", "seat_place"])
        .primary(2, &[3, 2])
        .foreign("for_seat", (2, &[2, 3]), (1, &[1, 2]))
        .build(Vec::new());
    assert_eq!(
        cardinalities(&relations, 2, "seats"),
        [Cardinality::OneToOne {
            constraint: "for_seat".into(),
            columns: columns(&[("seat_row", "row"), ("seat_place", "place")]),
            source_holds_key: true,
        }]
    );
}

#[test]
fn a_key_is_seen_through_views_of_views_on_both_sides() {
    let relations = films()
        .view(3, "credits", &[("no", 2, 1), ("by", 2, 2)])
        .view(4, "short_credits", &[("by_whom", 3, 2)])
        .view(5, "people", &[("person", 1, 1)])
        .build(Vec::new());
    let expected = Cardinality::ManyToOne {
        constraint: "made_by".into(),
        columns: columns(&[("by_whom", "person")]),
    };
    assert_eq!(cardinalities(&relations, 4, "people"), [expected]);
    assert_eq!(cardinalities(&relations, 1, "short_credits").len(), 1);
    assert_eq!(&*relations.get(3).unwrap().primary_key, ["no".into()]);
    assert!(relations.get(4).unwrap().primary_key.is_empty());
}

#[test]
fn a_view_that_shows_a_part_of_a_key_has_no_relationship() {
    let relations = Catalog::default()
        .table(1, "seats", &["row", "place"])
        .table(2, "tickets", &["seat_row", "seat_place"])
        .view(3, "rows", &[("row", 2, 1)])
        .foreign("for_seat", (2, &[1, 2]), (1, &[1, 2]))
        .build(Vec::new());
    assert!(cardinalities(&relations, 3, "seats").is_empty());
}

#[test]
fn views_that_show_each_other_end_the_search() {
    let relations =
        films().view(3, "chicken", &[("a", 4, 1)]).view(4, "egg", &[("a", 3, 1)]).build(Vec::new());
    assert!(relations.get(3).unwrap().relationships.is_empty());
}

#[test]
fn a_junction_needs_both_keys_in_its_primary_key() {
    let catalog = |primary: &[i16]| {
        films()
            .table(3, "actors", &["id"])
            .table(4, "roles", &["film_id", "actor_id", "role"])
            .primary(4, primary)
            .foreign("in_film", (4, &[1]), (2, &[1]))
            .foreign("by_actor", (4, &[2]), (3, &[1]))
            .build(Vec::new())
    };
    assert_eq!(
        cardinalities(&catalog(&[1, 2, 3]), 2, "actors"),
        [Cardinality::ManyToMany(Junction {
            relation: QualifiedName::new("app", "roles"),
            source_constraint: "in_film".into(),
            target_constraint: "by_actor".into(),
            source_columns: columns(&[("id", "film_id")]),
            target_columns: columns(&[("id", "actor_id")]),
        })]
    );
    assert!(cardinalities(&catalog(&[1, 3]), 2, "actors").is_empty());
}

#[test]
fn a_computed_relationship_takes_the_place_of_those_to_the_relation_of_its_name() {
    let computed = |name| Relationship {
        source: QualifiedName::new("app", "directors"),
        target: QualifiedName::new("app", "films"),
        is_self: false,
        kind: RelationshipKind::Computed {
            function: QualifiedName::new("app", name),
            to_one: false,
        },
        source_is_view: false,
        target_is_view: false,
    };
    let directors =
        |name| films().build(vec![computed(name)]).get(1).unwrap().relationships.clone();
    assert_eq!(directors("films"), [computed("films")]);
    assert_eq!(directors("best_films").len(), 2);
}

#[test]
fn ways_to_show_a_key_are_all_combinations_up_to_a_limit() {
    assert_eq!(combinations(&[vec![1, 2], vec![3]]), [[1, 3], [2, 3]]);
    let wide: Vec<i16> = (1..100).collect();
    assert_eq!(combinations(&[wide.clone(), wide]).len(), MAX_WAYS_TO_SHOW_A_KEY);
}
