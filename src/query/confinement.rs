//! Proof by many examples that client text stays inside literals and quoted identifiers.

use super::{Options, write};
use crate::config::OpenApiMode;
use crate::http::Request;
use crate::plan::{self, Settings};
use crate::request::arbitrary::{condition, order_terms, select_items};
use crate::request::ast::SelectItem;
use crate::request::{self, ApiRequest};
use crate::schema::{ExposedSchema, QualifiedName, Relation, RelationKind, SchemaCache};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

/// All words that a reading statement may have outside quotes.
const VOCABULARY: &str = "SELECT FROM WHERE AND OR NOT AS NULL NULLIF COALESCE IS TRUE FALSE \
    UNKNOWN DISTINCT GROUP ORDER BY ASC DESC NULLS FIRST LAST LIMIT OFFSET CAST ANY ALL \
    count sum avg min max json_agg json_build_object text int jsonb to_json to_jsonb to_tsvector \
    to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery current_setting true E \
    CASE WHEN THEN ELSE END octet_length length regexp_replace \
    bigint bit varying boolean char character dec decimal double precision float integer \
    interval json national nchar numeric real smallint time with without zone timestamp varchar";

/// What is left of a statement without its literals and quoted identifiers.
fn outside_quotes(sql: &str) -> String {
    let mut left = String::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        let escapes = c == '\'' && left.ends_with(" E");
        if !matches!(c, '\'' | '"') {
            left.push(c);
            continue;
        }
        loop {
            match chars.next().expect("what is opened is closed") {
                '\\' if escapes => _ = chars.next(),
                end if end == c && chars.peek() == Some(&c) => _ = chars.next(),
                end if end == c => break,
                _ => {}
            }
        }
        left.push(' ');
    }
    left
}

fn schema() -> SchemaCache {
    let relation = Relation {
        name: QualifiedName::new("api", "things"),
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
        relationships: Vec::new(),
    };
    let relations = HashMap::from([("things".into(), relation)]);
    let exposed = ExposedSchema::new(None, relations, HashMap::new());
    SchemaCache { schemas: HashMap::from([("api".into(), exposed)]), ..SchemaCache::default() }
}

fn api_request() -> ApiRequest {
    let schemas = ["api".to_owned()];
    let settings = request::Settings {
        schemas: &schemas,
        root_spec: None,
        root_enabled: true,
        tx_override: false,
    };
    let mut request =
        Request { method: "GET".into(), path: "/things".into(), ..Request::default() };
    ApiRequest::parse(&mut request, &settings).expect("a plain request")
}

proptest! {
    #[test]
    fn no_client_text_stands_outside_quotes(
        items in select_items(),
        conditions in prop::collection::vec(condition(), 0..4),
        order in order_terms(),
        rows: bool,
    ) {
        let mut api = api_request();
        // Embeds name relationships, of which there are none here.
        let is_field = |item: &SelectItem| matches!(item, SelectItem::Field(_));
        api.query.select = items.into_iter().filter(is_field).collect();
        api.query.filters = conditions.into_iter().map(|c| (Vec::new(), c)).collect();
        api.query.order = vec![(Vec::new(), order.into_iter().filter(|t| t.relation.is_none()).collect())];
        let settings = Settings {
            max_rows: Some(100),
            aggregates_enabled: true,
            plan_enabled: false,
            openapi_mode: OpenApiMode::Disabled,
            legacy_target_names: true,
        };
        let options =
            Options { max_rows: Some(100), rows, response_is_set: true, read_only: true };
        let schema = schema();
        let plan = plan::plan(&api, &schema, &settings).expect("a plan");
        let statement = write(&plan, &api, options);
        let vocabulary: HashSet<&str> = VOCABULARY.split_whitespace().collect();
        let mut inline = String::new();
        statement.sql.write_inline(&mut inline);
        for sql in [statement.sql.shape(), &inline] {
            let left = outside_quotes(sql);
            for word in left.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                let is_number = word.bytes().all(|b| b.is_ascii_digit());
                prop_assert!(is_number || vocabulary.contains(word), "{word:?} in {sql}");
            }
            prop_assert!(left.is_ascii() && !left.contains(';') && !left.contains("--"), "{sql}");
        }
    }
}
