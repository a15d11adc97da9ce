//! What the role of a request may use of a schema, for the description of the API.

use super::body::BodyEncoding;
use super::sql::Sql;
use super::statement::{Answer, Statement};
use crate::plan::DescribePlan;

/// The relations with what may be done with their rows: `r`ead, `i`nsert, `u`pdate,
/// `d`elete. Who may do anything with a relation may know of it.
const RELATIONS: &str = "SELECT json_object_agg(c.relname, concat(\
     CASE WHEN has_any_column_privilege(c.oid, 'SELECT') THEN 'r' END, \
     CASE WHEN has_any_column_privilege(c.oid, 'INSERT') THEN 'i' END, \
     CASE WHEN has_any_column_privilege(c.oid, 'UPDATE') THEN 'u' END, \
     CASE WHEN has_table_privilege(c.oid, 'DELETE') THEN 'd' END)) \
     FROM pg_catalog.pg_class c \
     WHERE c.relnamespace = n.oid \
     AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
     AND NOT c.relispartition \
     AND (pg_has_role(c.relowner, 'USAGE') \
     OR has_table_privilege(c.oid, \
     'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') \
     OR has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))";

/// The functions by name; overloads are told apart by the names and types of their
/// parameters. The types are written for the request's search path, which is how PostgREST
/// shows them to the role.
const ROUTINES: &str = "SELECT json_object_agg(f.name, f.overloads) FROM (\
     SELECT p.proname AS name, json_agg(json_build_array(a.names, a.types)) AS overloads \
     FROM pg_catalog.pg_proc p \
     CROSS JOIN LATERAL (\
     SELECT coalesce(json_agg(coalesce(u.name, '') ORDER BY u.place), '[]') AS names, \
     coalesce(json_agg(format_type(u.type, NULL) ORDER BY u.place), '[]') AS types \
     FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes) \
     WITH ORDINALITY AS u (type, name, mode, place) \
     WHERE coalesce(u.mode, 'i') IN ('i', 'b', 'v')) a \
     WHERE p.pronamespace = n.oid \
     AND p.prokind = 'f' \
     AND has_function_privilege(p.oid, 'EXECUTE') \
     GROUP BY p.proname) f";

/// Writes the statement of a description. Its body is
/// `{"relations": {name: privileges}, "routines": {name: [[[parameter], [type]]]}}`, or null
/// when privileges do not matter.
pub(super) fn write<'a>(plan: &DescribePlan<'a>) -> Statement<'a> {
    let mut sql = Sql::new();
    sql.push("SELECT NULL, 0, ");
    if plan.by_privileges {
        sql.push("(SELECT json_build_object('relations', (")
            .push(RELATIONS)
            .push("), 'routines', (")
            .push(ROUTINES)
            .push("))::text FROM pg_catalog.pg_namespace n WHERE n.nspname = ")
            .value(plan.schema)
            .push(")");
    } else {
        sql.push("NULL");
    }
    sql.push(", NULL, NULL");
    Statement { sql, estimate: None, answer: Answer::Row(BodyEncoding::Text), is_explain: false }
}
