//! What the schema cache holds, loaded from a real database.

mod support;

use goldenkey::schema::{
    Cardinality, Column, IsolationLevel, LoadOptions, QualifiedName, Relation, RelationKind,
    Relationship, RelationshipKind, Returned, Routine, SchemaCache, Volatility,
};
use postgres::NoTls;
use std::path::Path;
use support::{Cluster, Database};

/// A database with a fixture of the conformance suites.
fn fixture(name: &str) -> Database<'static> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/fixtures");
    let database =
        format!("schema_{}_{:?}", name.trim_end_matches(".sql"), std::thread::current().id());
    Cluster::shared().database_from(&database, Some(&folder.join(name))).expect("the fixture loads")
}

fn load(database: &Database<'_>, schemas: &[&str]) -> SchemaCache {
    load_with(database, schemas, &[], &[])
}

fn load_with(
    database: &Database<'_>,
    schemas: &[&str],
    extra_search_path: &[&str],
    hoisted_settings: &[&str],
) -> SchemaCache {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut client =
        postgres::Client::connect(&database.uri(), NoTls).expect("it takes connections");
    let options = LoadOptions {
        schemas: &owned(schemas),
        extra_search_path: &owned(extra_search_path),
        hoisted_settings: &owned(hoisted_settings),
    };
    SchemaCache::load(&mut client, &options).expect("the catalogs can be read")
}

fn relation<'a>(cache: &'a SchemaCache, schema: &str, name: &str) -> &'a Relation {
    cache.relation(schema, name).unwrap_or_else(|| panic!("no relation {schema}.{name}"))
}

fn column<'a>(cache: &'a SchemaCache, schema: &str, relation_name: &str, name: &str) -> &'a Column {
    relation(cache, schema, relation_name).column(name).expect("the column is there")
}

fn routine<'a>(cache: &'a SchemaCache, schema: &str, name: &str) -> &'a Routine {
    match cache.routines(schema, name) {
        [routine] => routine,
        other => panic!("{} functions named {name}", other.len()),
    }
}

/// The relationships from a relation, or those of them to a target, one a line:
/// `target: kind constraint (column = column, ...)`.
fn relationships(from: &Relation, to: &str) -> Vec<String> {
    from.relationships.iter().filter(|r| *r.target.name == *to).map(describe).collect()
}

fn describe(relationship: &Relationship) -> String {
    let equal = |pairs: &[(Box<str>, Box<str>)]| {
        pairs.iter().map(|(a, b)| format!("{a} = {b}")).collect::<Vec<_>>().join(", ")
    };
    match &relationship.kind {
        RelationshipKind::Computed { function, to_one } => {
            format!("computed {function}, {}", if *to_one { "one" } else { "many" })
        }
        RelationshipKind::ForeignKey(cardinality) => match cardinality {
            Cardinality::OneToMany { constraint, columns } => {
                format!("one-to-many {constraint} ({})", equal(columns))
            }
            Cardinality::ManyToOne { constraint, columns } => {
                format!("many-to-one {constraint} ({})", equal(columns))
            }
            Cardinality::OneToOne { constraint, columns, source_holds_key } => {
                let side = if *source_holds_key { "holder" } else { "other side" };
                format!("one-to-one {constraint} ({}) {side}", equal(columns))
            }
            Cardinality::ManyToMany(junction) => format!(
                "many-to-many {} {} ({}) {} ({})",
                junction.relation,
                junction.source_constraint,
                equal(&junction.source_columns),
                junction.target_constraint,
                equal(&junction.target_columns),
            ),
        },
    }
}

fn primary_key(relation: &Relation) -> Vec<&str> {
    relation.primary_key.iter().map(|name| &**name).collect()
}

#[test]
fn relations_of_all_kinds_are_there_and_partitions_are_not() {
    let database = fixture("read.sql");
    let cache = load(&database, &["api"]);
    assert_eq!(relation(&cache, "api", "books").kind, RelationKind::Table);
    assert_eq!(relation(&cache, "api", "visits").kind, RelationKind::PartitionedTable);
    assert_eq!(relation(&cache, "api", "book_list").kind, RelationKind::View);
    assert_eq!(relation(&cache, "api", "genre_sizes").kind, RelationKind::MaterializedView);
    assert!(cache.relation("api", "visits_2023").is_none());
    assert!(cache.relation("vault", "keys").is_none());
    assert!(cache.server_version_num >= 140_000);
}

#[test]
fn columns_keep_their_order_and_are_found_by_name() {
    let database = fixture("read.sql");
    let cache = load(&database, &["api"]);
    let books = relation(&cache, "api", "books");
    assert_eq!(&*books.columns[0].name, "id");
    assert_eq!(&*books.columns[11].name, "sequel_to");
    assert_eq!(&*books.column("author_id").unwrap().base_type, "integer");
    assert!(books.column("nothing").is_none());
    assert!(column(&cache, "api", "books", "details").is_json);
    assert!(!column(&cache, "api", "books", "tags").is_json);
    let words = column(&cache, "api", "reviews", "words");
    assert!(words.is_tsvector && words.generated && words.default.is_none());
    assert!(cache.relation("api", "Reading Rooms").unwrap().column("quo\"te").is_some());
}

#[test]
fn types_defaults_and_comments_are_told_as_documentation_needs_them() {
    let database = fixture("config_openapi.sql");
    let cache = load(&database, &["lib"]);
    assert!(cache.schemas["lib"].description.as_deref().unwrap().starts_with("Town Library\n"));
    let description = |name| relation(&cache, "lib", name).description.as_deref();
    assert_eq!(description("recent"), Some("New on the shelf"));
    let books = |name| column(&cache, "lib", "books", name);
    assert_eq!(
        (&*books("isbn").nominal_type, &*books("isbn").base_type),
        ("character(13)", "character")
    );
    assert_eq!(books("isbn").max_length, Some(13));
    assert_eq!(books("isbn").description.as_deref(), Some("Thirteen digits, no dashes"));
    assert_eq!(
        (&*books("price").nominal_type, &*books("price").base_type),
        ("numeric(8,2)", "numeric")
    );
    assert_eq!(books("price").max_length, None);
    assert_eq!(&*books("medium").base_type, "lib.medium");
    assert_eq!(books("medium").enum_labels, ["paper", "audio", "braille"]);
    assert_eq!(books("medium").default.as_deref(), Some("'paper'::lib.medium"));
    assert_eq!(books("id").default.as_deref(), Some("nextval('lib.books_id_seq')"));
    assert_eq!(books("added_at").default.as_deref(), Some("now()"));
    assert!(books("author_id").nullable && !books("title").nullable);
}

#[test]
fn domains_lend_their_columns_a_base_type_a_default_and_not_null() {
    let database = Cluster::shared().database(
        "create schema app;
         create type app.mood as enum ('glad', 'sad');
         create domain app.inner as varchar(5) default 'x';
         create domain app.outer as app.inner not null;
         create domain app.temper as app.mood;
         create table app.t (a app.inner, b app.outer, c app.temper, d app.inner default 'y');",
    );
    let cache = load(&database, &["app"]);
    let of = |name| column(&cache, "app", "t", name);
    assert_eq!(
        (&*of("a").nominal_type, &*of("a").base_type),
        ("app.\"inner\"", "character varying")
    );
    assert_eq!(of("a").max_length, Some(5));
    assert_eq!(of("a").default.as_deref(), Some("'x'::character varying"));
    assert_eq!(of("d").default.as_deref(), Some("'y'::character varying"));
    assert_eq!(&*of("b").base_type, "character varying");
    assert!(of("a").nullable && !of("b").nullable);
    assert_eq!(&*of("c").base_type, "app.temper");
    assert_eq!(of("c").enum_labels, ["glad", "sad"]);
}

#[test]
fn views_tell_which_writes_they_take() {
    let database = fixture("write.sql");
    let cache = load(&database, &["lend"]);
    let writes = |name| {
        let r = relation(&cache, "lend", name);
        (r.insertable, r.updatable, r.deletable)
    };
    assert_eq!(writes("tools"), (true, true, true));
    assert_eq!(writes("meter_log"), (true, true, true));
    assert_eq!(writes("shelf"), (true, true, true));
    assert_eq!(writes("branch_totals"), (false, false, false));
    assert_eq!(writes("loan_desk"), (true, true, true));
    // Its only column is computed: a trigger inserts, and rows can be deleted all the same.
    assert_eq!(writes("drop_box"), (true, false, true));
}

#[test]
fn keys_of_tables_keep_their_order_and_views_inherit_those_they_show_in_full() {
    let database = Cluster::shared().database(
        "create schema app;
         create table app.t (z int, a int, note text, primary key (z, a));
         create table app.u (id int primary key);
         create view app.whole as select note, a, z as zed, z as again from app.t;
         create view app.part as select a, note from app.t;
         create view app.both as select u.id, t.z, t.a from app.t, app.u;",
    );
    let cache = load(&database, &["app"]);
    let key = |name| primary_key(relation(&cache, "app", name));
    assert_eq!(key("t"), ["z", "a"]);
    assert_eq!(key("whole"), ["zed", "a"]);
    assert!(key("part").is_empty());
    assert_eq!(key("both"), ["id", "z", "a"]);
}

#[test]
fn foreign_keys_are_relationships_from_both_sides() {
    let database = fixture("read.sql");
    let cache = load(&database, &["api"]);
    let of = |from, to| relationships(relation(&cache, "api", from), to);
    assert_eq!(
        of("copies", "shelves"),
        ["many-to-one copies_shelf (branch_id = branch_id, shelf_code = code)"]
    );
    assert_eq!(
        of("shelves", "copies"),
        ["one-to-many copies_shelf (branch_id = branch_id, code = shelf_code)"]
    );
    assert_eq!(
        of("manuscripts", "books"),
        ["one-to-one manuscripts_book_id_fkey (book_id = id) holder"]
    );
    assert_eq!(
        of("books", "manuscripts"),
        ["one-to-one manuscripts_book_id_fkey (id = book_id) other side"]
    );
    assert_eq!(of("cards", "members"), ["one-to-one cards_member_id_fkey (member_id = id) holder"]);
    assert_eq!(
        of("transfers", "branches"),
        [
            "many-to-one transfer_origin (from_branch = id)",
            "many-to-one transfer_target (to_branch = id)",
        ]
    );
    assert_eq!(
        of("books", "books")[..2],
        [
            "one-to-many books_sequel_to_fkey (id = sequel_to)",
            "many-to-one books_sequel_to_fkey (sequel_to = id)",
        ]
    );
    assert_eq!(of("branches", "keys"), [""; 0]);
}

#[test]
fn a_partitioned_table_has_each_of_its_relationships_once() {
    let database = fixture("read.sql");
    let cache = load(&database, &["api"]);
    let of = |from, to| relationships(relation(&cache, "api", from), to);
    assert_eq!(of("visits", "branches"), ["many-to-one visits_branch_id_fkey (branch_id = id)"]);
    assert_eq!(of("visits", "visit_notes").len(), 1);
    assert_eq!(
        of("visit_notes", "visits"),
        ["many-to-one visit_notes_visit_id_visit_day_fkey (visit_id = id, visit_day = day)"]
    );
}

#[test]
fn junctions_make_many_to_many_relationships() {
    let database = fixture("read.sql");
    let cache = load(&database, &["api"]);
    let of = |from, to| relationships(relation(&cache, "api", from), to);
    assert_eq!(
        of("branches", "books"),
        [
            "many-to-one featured_book (featured_book_id = id)",
            "many-to-many api.stock stock_branch_id_fkey (id = branch_id) stock_book_id_fkey (id = book_id)",
        ]
    );
    let junctions: Vec<_> = of("members", "books");
    assert_eq!(junctions.len(), 2);
    assert!(junctions[0].starts_with("many-to-many api.holds"));
    assert!(junctions[1].starts_with("many-to-many api.ratings"));
    assert_eq!(of("members", "members").len(), 2, "each way through follows");
    // vault.duties is a junction, too, but hidden.
    assert_eq!(of("members", "branches"), [""; 0]);
    // transfers has two keys to branches, but its own primary key holds neither.
    assert_eq!(of("branches", "branches"), [""; 0]);
}

#[test]
fn views_have_the_relationships_of_the_keys_they_show() {
    let database = fixture("read.sql");
    let cache = load(&database, &["api"]);
    let of = |from, to| relationships(relation(&cache, "api", from), to);
    assert_eq!(of("book_list", "authors"), ["many-to-one books_author_id_fkey (author_id = id)"]);
    assert_eq!(of("cheap_titles", "authors"), ["many-to-one books_author_id_fkey (writer = id)"]);
    assert_eq!(of("authors", "cheap_titles"), ["one-to-many books_author_id_fkey (id = writer)"]);
    assert_eq!(
        of("author_totals", "authors"),
        ["many-to-one books_author_id_fkey (author_id = id)"]
    );
    assert_eq!(
        of("genre_sizes", "genres"),
        ["many-to-one book_genres_genre_id_fkey (genre_id = id)"]
    );
    assert_eq!(
        of("stories_with_reviews", "authors"),
        ["many-to-one books_author_id_fkey (author_id = id)"]
    );
    assert_eq!(
        of("books", "manuscript_list"),
        ["one-to-one manuscripts_book_id_fkey (id = book_id) other side"]
    );
    assert_eq!(
        of("book_list", "genres"),
        ["many-to-many api.book_genres book_genres_book_id_fkey (id = book_id) \
         book_genres_genre_id_fkey (id = genre_id)"]
    );
    assert_eq!(
        of("cheap_books", "book_list"),
        ["many-to-one books_sequel_to_fkey (sequel_to = id)"]
    );
    assert_eq!(of("cheap_books", "cheap_books").len(), 2);
    assert_eq!(of("catalogue", "authors"), [""; 0]);
    let to_view = relation(&cache, "api", "authors")
        .relationships
        .iter()
        .find(|r| *r.target.name == *"book_list");
    assert!(to_view.is_some_and(|r| r.target_is_view && !r.source_is_view && !r.is_self));
}

#[test]
fn a_view_that_shows_a_key_twice_has_a_relationship_for_each() {
    let database = Cluster::shared().database(
        "create schema app;
         create table app.a (id int primary key);
         create table app.b (id int primary key, a_id int references app.a);
         create view app.twice as select a_id as one, a_id as two from app.b;",
    );
    let cache = load(&database, &["app"]);
    assert_eq!(
        relationships(relation(&cache, "app", "twice"), "a"),
        ["many-to-one b_a_id_fkey (one = id)", "many-to-one b_a_id_fkey (two = id)",]
    );
}

#[test]
fn a_view_over_a_junction_is_a_junction() {
    let database = Cluster::shared().database(
        "create schema app;
         create schema hidden;
         create table app.a (id int primary key);
         create table app.b (id int primary key);
         create table hidden.a_b (a int references app.a, b int references app.b, primary key (a, b));
         create view app.link as select a as left_id, b as right_id from hidden.a_b;",
    );
    let cache = load(&database, &["app"]);
    assert_eq!(
        relationships(relation(&cache, "app", "a"), "b"),
        ["many-to-many app.link a_b_a_fkey (id = left_id) a_b_b_fkey (id = right_id)"]
    );
}

#[test]
fn hidden_views_are_seen_through_when_the_extra_search_path_names_their_schema() {
    let database = Cluster::shared().database(
        "create schema app;
         create schema hidden;
         create table app.a (id int primary key);
         create table hidden.b (id int primary key, a_id int references app.a);
         create view hidden.v as select * from hidden.b;
         create view app.w as select a_id from hidden.v;",
    );
    let found = |cache: &SchemaCache| relationships(relation(cache, "app", "w"), "a").len();
    assert_eq!(found(&load(&database, &["app"])), 0);
    assert_eq!(found(&load_with(&database, &["app"], &["hidden"], &[])), 1);
}

#[test]
fn columns_of_views_are_found_whatever_their_names_and_their_query() {
    let database = Cluster::shared().database(
        r#"create schema app;
           create table app.a (id int primary key);
           create table app.b (":resorigtbl" int primary key, "{(x) \" int references app.a, t text);
           create view app.odd as select * from app.b where t in ('{', '}', '(', '\', ' :targetList (', '');
           create view app.deep as
             with recursive r as (select 1 as n union all select n + 1 from r where n < 3)
             select s.*, (select max(n) from r), case when s.t = 'x' then 1 end, array[1, 2]
             from (select "{(x) \" as k, t from app.b order by ":resorigtbl" limit 5) s
             group by s.k, s.t having count(*) > 0 order by s.k, length(s.t);
           create view app.joined as
             select a.id, b.":resorigtbl" as no from app.a full join app.b on a.id = b."{(x) \";
           create view app.merged as
             select id, t from app.a join (select "{(x) \" as id, t from app.b) b using (id);
           create view app.lateral as
             select l.k from app.a, lateral (select "{(x) \" as k from app.b where t = a.id::text) l;
           create view app.none as select;"#,
    );
    let cache = load(&database, &["app"]);
    let to_a = |name| relationships(relation(&cache, "app", name), "a");
    let expected = |column: &str| vec![format!("many-to-one b_{{(x) \\_fkey ({column} = id)")];
    assert_eq!(to_a("odd"), expected("{(x) \\"));
    assert_eq!(to_a("deep"), expected("k"));
    assert_eq!(to_a("lateral"), expected("k"));
    assert_eq!(primary_key(relation(&cache, "app", "odd")), [":resorigtbl"]);
    assert_eq!(primary_key(relation(&cache, "app", "joined")), ["id", "no"]);
    assert_eq!(primary_key(relation(&cache, "app", "merged")), ["id"]);
    assert!(relation(&cache, "app", "none").columns.is_empty());
}

#[test]
fn computed_relationships_take_the_place_of_detected_ones() {
    let database = fixture("read.sql");
    let cache = load(&database, &["api"]);
    let of = |from, to| relationships(relation(&cache, "api", from), to);
    assert_eq!(of("members", "cards"), ["computed api.cards, one"]);
    assert_eq!(of("cards", "members").len(), 1, "the other way is as before");
    assert!(of("authors", "books").contains(&"computed api.first_book, one".to_owned()));
    assert!(of("books", "books").contains(&"computed api.same_author, many".to_owned()));
    assert!(of("genres", "genres").contains(&"computed api.child_genres, many".to_owned()));
}

#[test]
fn several_schemas_are_kept_apart_and_related() {
    let database = fixture("config_schemas.sql");
    let cache = load(&database, &["alpha", "beta", "Gamma Δ"]);
    assert_eq!(cache.schemas.len(), 3);
    assert!(cache.relation("Gamma Δ", "items").unwrap().column("größe").is_some());
    let extras = relation(&cache, "beta", "extras");
    let targets: Vec<_> = extras.relationships.iter().map(|r| r.target.to_string()).collect();
    assert_eq!(targets, ["alpha.items", "beta.items"]);
}

#[test]
fn functions_tell_their_parameters_and_what_they_return() {
    let database = fixture("rpc.sql");
    let cache = load(&database, &["bake"]);
    let of = |name| routine(&cache, "bake", name);
    let scalar = |name| Returned::Scalar(QualifiedName::new("pg_catalog", name));

    let greet = of("greet");
    assert_eq!(greet.volatility, Volatility::Stable);
    assert!(greet.parameters.iter().all(|p| !p.required));
    assert_eq!(greet.returns.returned, scalar("text"));
    assert!(of("total").variadic && of("total").parameters[0].variadic);
    assert_eq!(&*of("total").parameters[0].data_type, "integer[]");
    assert_eq!(of("one_out").returns.returned, Returned::Composite(None));
    assert!(of("one_out").parameters.is_empty());
    assert_eq!(of("two_out").parameters.len(), 1);
    assert_eq!(of("two_inout").parameters.len(), 3);
    assert!(!of("two_inout").parameters[2].required);
    assert!(of("table_of_two").returns.is_set);
    assert_eq!(of("table_of_two").returns.returned, Returned::Composite(None));
    assert_eq!(of("give_record").returns.returned, scalar("record"));
    assert_eq!(of("fail_plain").returns.returned, Returned::Void);
    assert_eq!(
        of("half_of").returns.returned,
        Returned::Scalar(QualifiedName::new("bake", "percent"))
    );
    assert_eq!(cache.routines("bake", "parcel").len(), 4);
    assert_eq!(&*of("echo_json").parameters[0].name, "");
}

#[test]
fn what_cannot_be_called_by_name_is_left_out() {
    let database = fixture("rpc.sql");
    let cache = load(&database, &["bake"]);
    for name in ["tidy_up", "on_change", "longest", "echo_int", "two_unnamed"] {
        assert!(cache.routines("bake", name).is_empty(), "{name}");
    }
}

#[test]
fn functions_may_use_types_of_other_schemas_and_rows_behind_domains() {
    let database = Cluster::shared().database(
        "create schema app;
         create schema other;
         create type other.pair as (a int, b bit(3));
         create domain app.pair as other.pair;
         create function app.swap(x bit, y character, z other.pair) returns app.pair language sql as 'select $3';
         create function app.late(out total int, n int) language sql as 'select 1';",
    );
    let cache = load(&database, &["app"]);
    let swap = routine(&cache, "app", "swap");
    assert_eq!(
        swap.returns.returned,
        Returned::Composite(Some(QualifiedName::new("other", "pair")))
    );
    let types: Vec<_> = swap.parameters.iter().map(|p| (&*p.data_type, &*p.cast_type)).collect();
    assert_eq!(
        types,
        [("bit", "bit varying"), ("character", "character varying"), ("other.pair", "other.pair"),]
    );
    assert_eq!(&*routine(&cache, "app", "late").parameters[0].name, "n");
}

#[test]
fn settings_of_functions_are_kept_when_they_are_to_be_hoisted() {
    let database = fixture("rpc.sql");
    let cache = load_with(
        &database,
        &["bake"],
        &[],
        &["statement_timeout", "default_transaction_isolation"],
    );
    let of = |name| routine(&cache, "bake", name);
    assert_eq!(of("too_slow").settings, [("statement_timeout".into(), "100ms".into())]);
    assert_eq!(of("work_mem").settings, []);
    assert_eq!(of("isolation_serializable").isolation, Some(IsolationLevel::Serializable));
    assert_eq!(of("isolation_repeatable").isolation, Some(IsolationLevel::RepeatableRead));
    assert_eq!(of("isolation").isolation, None);
}

#[test]
fn casts_of_domains_are_representations() {
    let database = fixture("write_reps.sql");
    let representations = load(&database, &["paint"]).representations;
    let function = |name| Some(QualifiedName::new("paint", name));
    assert_eq!(representations.to_json.get("paint.hue").cloned(), function("hue_to_json"));
    assert_eq!(representations.from_json.get("paint.hue").cloned(), function("hue_from_json"));
    assert_eq!(representations.from_text.get("paint.hue").cloned(), function("hue_from_text"));
}

#[test]
fn aggregates_that_return_media_types_are_handlers() {
    let database = fixture("read_handlers.sql");
    let handlers = load(&database, &["api"]).handlers;
    let targets = |media_type: &str| {
        let of_type = handlers.get(media_type).map(Vec::as_slice).unwrap_or_default();
        of_type.iter().map(|h| h.target.as_ref().map(ToString::to_string)).collect::<Vec<_>>()
    };
    assert_eq!(targets("image/x-dots"), [Some("api.pictures".to_owned())]);
    assert_eq!(targets("text/csv"), [Some("api.captions".to_owned())]);
    assert_eq!(targets("application/vnd.gallery+json"), [None]);
    assert_eq!(targets("*/*"), [Some("api.wall.any".to_owned())]);
    assert!(handlers["*/*"][0].any_media_type);
    assert_eq!(targets("text/html"), []);
}

#[test]
fn settings_of_roles_are_those_that_the_login_role_may_set() {
    let database = fixture("auth.sql");
    database.sql(&format!(
        "alter role note_slow in database \"{}\" set statement_timeout = '90ms'; \
         do $$ begin create role note_outsider nologin; exception when duplicate_object then null; end $$; \
         alter role note_outsider set work_mem = '1MB';",
        database.name
    ));
    let roles = load(&database, &["notes"]).role_settings;
    assert_eq!(roles["note_slow"].settings, [("statement_timeout".into(), "90ms".into())]);
    assert_eq!(roles["note_iso"].isolation, Some(IsolationLevel::RepeatableRead));
    let mut tuned = roles["note_tuned"].settings.clone();
    tuned.sort();
    assert_eq!(
        tuned,
        [("TimeZone".into(), "Asia/Tokyo".into()), ("work_mem".into(), "5MB".into())]
    );
    assert!(!roles.contains_key("note_outsider") && !roles.contains_key("web_anon"));
}

#[test]
fn loading_leaves_the_connection_as_it_was() {
    let database = fixture("read.sql");
    let mut client = postgres::Client::connect(&database.uri(), NoTls).unwrap();
    client.batch_execute("set search_path = toolbox").unwrap();
    let schemas = ["api".to_owned()];
    let options = LoadOptions { schemas: &schemas, extra_search_path: &[], hoisted_settings: &[] };
    SchemaCache::load(&mut client, &options).unwrap();
    let query = "select current_setting('search_path'), current_setting('transaction_read_only'), \
                 (select count(*) from pg_prepared_statements where statement not like 'select current_setting%')";
    let row = client.query_one(query, &[]).unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("toolbox", "off", 0_i64));
}

#[test]
fn the_cache_can_be_shown_as_json_which_is_the_same_each_time() {
    let database = fixture("read.sql");
    let cache = load(&database, &["api"]);
    let text = |cache: &SchemaCache| serde_json::to_string(cache).unwrap();
    assert_eq!(text(&cache), text(&load(&database, &["api"])));
    let json = serde_json::to_value(&cache).unwrap();
    let books = &json["schemas"]["api"]["relations"]["books"];
    assert_eq!(books["name"], "api.books");
    assert_eq!(books["columns"][1]["name"], "title");
    assert_eq!(books["primary_key"], serde_json::json!(["id"]));
}
