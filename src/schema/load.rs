//! Loads the schema cache from the system catalogs.
//!
//! Everything is read in one read-only transaction with an empty search path, in which
//! PostgreSQL writes the names of types with their schemas. Relations and columns are known
//! by their numbers (`oid`, `attnum`) until all is read; names are given to them last.

mod handlers;
mod keys;
mod node_tree;
mod relations;
mod relationships;
mod roles;
mod routines;
mod rows;
mod views;

use super::{ExposedSchema, RoleSettings, SchemaCache};
use postgres::{Client, Error, IsolationLevel, Transaction};
use rows::for_each_row;
use std::collections::HashMap;

/// What to load.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The exposed schemas (`db-schemas`).
    pub schemas: &'a [String],
    /// Further schemas (`db-extra-search-path`): the keys behind an exposed view are also
    /// found through views in these.
    pub extra_search_path: &'a [String],
    /// The settings of functions to keep (`db-hoisted-tx-settings`).
    pub hoisted_settings: &'a [String],
}

impl SchemaCache {
    /// Loads the cache, in one transaction of its own.
    ///
    /// ```no_run
    /// use goldenkey::schema::{LoadOptions, SchemaCache};
    ///
    /// let mut client = postgres::Client::connect("host=/run/postgresql", postgres::NoTls)?;
    /// let schemas = ["api".to_owned()];
    /// let options =
    ///     LoadOptions { schemas: &schemas, extra_search_path: &[], hoisted_settings: &[] };
    /// let cache = SchemaCache::load(&mut client, &options)?;
    /// assert!(cache.relation("api", "films").is_some());
    /// # Ok::<(), postgres::Error>(())
    /// ```
    ///
    /// # Errors
    /// The error of the connection or the database, such as a timeout, or a schema that does
    /// not exist (yet).
    pub fn load(client: &mut Client, options: &LoadOptions<'_>) -> Result<Self, Error> {
        let mut transaction = client
            .build_transaction()
            .read_only(true)
            .isolation_level(IsolationLevel::RepeatableRead)
            .start()?;
        transaction.batch_execute("set local search_path = ''")?;
        check_schemas(&mut transaction, options)?;
        let cache = read(&mut transaction, options)?;
        transaction.commit()?;
        Ok(cache)
    }
}

impl RoleSettings {
    /// Loads the settings of the roles that the login role may take on, by role.
    ///
    /// # Errors
    /// The error of the connection or the database.
    pub fn load(client: &mut Client) -> Result<HashMap<Box<str>, RoleSettings>, Error> {
        let mut transaction = client.build_transaction().read_only(true).start()?;
        transaction.batch_execute("set local search_path = ''")?;
        let server_version_num = server_version_num(&mut transaction)?;
        let settings = roles::read(&mut transaction, server_version_num)?;
        transaction.commit()?;
        Ok(settings)
    }
}

/// Makes sure that all schemas exist: an API that lacks one of them is not the one asked
/// for.
fn check_schemas(
    transaction: &mut Transaction<'_>,
    options: &LoadOptions<'_>,
) -> Result<(), Error> {
    let sql = include_str!("../../sql/catalog/missing_schemas.sql");
    for schemas in [options.schemas, options.extra_search_path] {
        for_each_row(transaction, sql, Some(schemas), |_| Ok(()))?;
    }
    Ok(())
}

fn read(
    transaction: &mut Transaction<'_>,
    options: &LoadOptions<'_>,
) -> Result<SchemaCache, Error> {
    let server_version_num = server_version_num(transaction)?;
    let mut relations = relations::read(transaction, options.schemas)?;
    let keys = keys::read(transaction)?;
    let views = views::read(transaction, &relations, options)?;
    relationships::add_primary_keys(&mut relations, &keys, &views);
    let found = relationships::from_keys(&relations, &keys, &views);
    let computed = relationships::read_computed(transaction, &relations, options.schemas)?;
    relationships::add(&mut relations, found, computed);

    let mut schemas = read_schemas(transaction, options.schemas)?;
    for relation in relations.into_relations() {
        if let Some(schema) = schemas.get_mut(&relation.name.schema) {
            schema.relations.insert(relation.name.name.clone(), relation);
        }
    }
    for routine in routines::read(transaction, options)? {
        if let Some(schema) = schemas.get_mut(&routine.name.schema) {
            schema.routines.entry(routine.name.name.clone()).or_default().push(routine);
        }
    }
    Ok(SchemaCache {
        schemas,
        representations: handlers::read_representations(transaction)?,
        handlers: handlers::read_media_handlers(transaction, options.schemas)?,
        binary_domains: handlers::read_binary_domains(transaction)?,
        role_settings: roles::read(transaction, server_version_num)?,
        claim_settings: read_claim_settings(transaction)?,
        login_sets_jit: login_sets_jit(transaction)?,
        session_sets_response: session_sets_response(transaction)?,
        server_version_num,
    })
}

fn server_version_num(transaction: &mut Transaction<'_>) -> Result<u32, Error> {
    let row =
        transaction.query_typed_one("select current_setting('server_version_num')::int", &[])?;
    // Never negative, so nothing is lost.
    Ok(row.try_get::<_, i32>(0)?.unsigned_abs())
}

fn read_claim_settings(transaction: &mut Transaction<'_>) -> Result<Vec<Box<str>>, Error> {
    let sql = include_str!("../../sql/catalog/claim_settings.sql");
    let mut names = Vec::new();
    for_each_row(transaction, sql, None, |mut cells| {
        names.push(cells.text()?);
        Ok(())
    })?;
    Ok(names)
}

/// The session of the load begins like those of requests.
fn session_sets_response(transaction: &mut Transaction<'_>) -> Result<bool, Error> {
    let sql = "select coalesce(current_setting('response.headers', true), '') <> ''
               or coalesce(current_setting('response.status', true), '') <> ''";
    transaction.query_typed_one(sql, &[])?.try_get(0)
}

fn login_sets_jit(transaction: &mut Transaction<'_>) -> Result<bool, Error> {
    let sql = include_str!("../../sql/catalog/login_jit.sql");
    transaction.query_typed_one(sql, &[])?.try_get(0)
}

fn read_schemas(
    transaction: &mut Transaction<'_>,
    names: &[String],
) -> Result<HashMap<Box<str>, ExposedSchema>, Error> {
    let sql = include_str!("../../sql/catalog/schemas.sql");
    let mut schemas = HashMap::new();
    for_each_row(transaction, sql, Some(names), |mut cells| {
        let name = cells.text()?;
        let schema = ExposedSchema { description: cells.take()?, ..ExposedSchema::default() };
        schemas.insert(name, schema);
        Ok(())
    })?;
    Ok(schemas)
}
