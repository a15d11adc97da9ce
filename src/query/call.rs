//! The call of a function, as the source of a reading query.

use super::payload::JsonBody;
use super::sql::Sql;
use crate::plan::{ArgumentSource, BODY_ALIAS as BODY, CALL_ALIAS, CallPlan, SCALAR_COLUMN};
use crate::request::Payload;
use crate::schema::{Parameter, Returned};

/// Appends what follows `FROM`: the function with its arguments, named by the result's
/// alias.
pub fn push_call<'a>(sql: &mut Sql<'a>, plan: &CallPlan<'a>, payload: &'a Option<Payload>) {
    if returns_bare_record(plan) {
        return push_call_of_record(sql, plan, payload);
    }
    if let ArgumentSource::Json(parameters) = &plan.arguments {
        push_body_row(sql, parameters, payload);
        sql.push(", LATERAL ");
    }
    sql.qualified(&plan.routine.name).push("(");
    push_arguments(sql, &plan.arguments, payload);
    sql.push(") AS ").identifier(&plan.result.alias);
    if !matches!(plan.routine.returns.returned, Returned::Composite(_)) {
        sql.push("(").identifier(SCALAR_COLUMN).push(")");
    }
    debug_assert!(
        plan.result.alias == CALL_ALIAS || *plan.result.alias == *plan.routine.name.name,
        "a result is named after the call or the function"
    );
}

/// A bare `record` has columns only once it is there: it is no source of columns, but a
/// value with them inside.
fn returns_bare_record(plan: &CallPlan) -> bool {
    matches!(&plan.routine.returns.returned, Returned::Scalar(t) if &*t.name == "record")
}

fn push_call_of_record<'a>(sql: &mut Sql<'a>, plan: &CallPlan<'a>, payload: &'a Option<Payload>) {
    sql.push("(SELECT ").qualified(&plan.routine.name).push("(");
    push_arguments(sql, &plan.arguments, payload);
    sql.push(") AS ").identifier(SCALAR_COLUMN);
    if let ArgumentSource::Json(parameters) = &plan.arguments {
        sql.push(" FROM ");
        push_body_row(sql, parameters, payload);
    }
    sql.push(") AS ").identifier(&plan.result.alias);
}

fn push_arguments<'a>(
    sql: &mut Sql<'a>,
    arguments: &ArgumentSource<'a>,
    payload: &'a Option<Payload>,
) {
    let mut first = true;
    match arguments {
        ArgumentSource::None => {}
        ArgumentSource::Json(parameters) => {
            for parameter in parameters {
                sql.separate(&mut first, ", ");
                push_name(sql, parameter);
                sql.column(BODY, &parameter.name);
            }
        }
        ArgumentSource::Direct(given) => {
            for (parameter, values) in given {
                sql.separate(&mut first, ", ");
                push_name(sql, parameter);
                push_direct(sql, parameter, values);
            }
        }
        ArgumentSource::Body(parameter) => push_raw(sql, parameter, payload),
    }
}

fn push_name(sql: &mut Sql, parameter: &Parameter) {
    if parameter.variadic {
        sql.push("VARIADIC ");
    }
    sql.identifier(&parameter.name).push(" => ");
}

fn push_direct<'a>(sql: &mut Sql<'a>, parameter: &Parameter, values: &[&'a str]) {
    if !parameter.variadic {
        // A parameter that was given has a value.
        let value = values.first().copied().unwrap_or_default();
        sql.value(value).push("::").push(&parameter.cast_type);
        return;
    }
    sql.push("ARRAY[");
    let mut first = true;
    for value in values {
        sql.separate(&mut first, ", ").value(*value);
    }
    sql.push("]::").push(&parameter.cast_type);
}

fn push_raw<'a>(sql: &mut Sql<'a>, parameter: &Parameter, payload: &'a Option<Payload>) {
    match payload {
        Some(Payload::Json(json)) => {
            // PostgreSQL says what is wrong with an empty text.
            let text = if json.is_empty { "" } else { json.text.as_str() };
            sql.value(text).push("::").push(&parameter.cast_type);
        }
        Some(Payload::Text(text)) => {
            sql.value(text.as_str()).push("::").push(&parameter.cast_type);
        }
        Some(Payload::Bytes(bytes)) => {
            sql.push("decode(").value(hex(bytes)).push(", 'hex')");
        }
        Some(Payload::Form(_)) | None => {
            sql.push("NULL::").push(&parameter.cast_type);
        }
    }
}

/// The body's (first) object as a typed row.
fn push_body_row<'a>(sql: &mut Sql<'a>, parameters: &[&Parameter], payload: &'a Option<Payload>) {
    sql.push("(SELECT ").identifier(BODY).push(".* FROM ");
    JsonBody::of(payload).unwrap_or(JsonBody::EMPTY_ROW).push_records(sql);
    sql.push(" AS ").identifier(BODY).push("(");
    let mut first = true;
    for parameter in parameters {
        sql.separate(&mut first, ", ").identifier(&parameter.name).push(" ");
        sql.push(&parameter.cast_type);
    }
    sql.push(") LIMIT 1) AS ").identifier(BODY);
}

/// Two lower-case hexadecimal digits a byte.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}
