//! Everything that a reload may change, made ready for requests.

use super::revocations::Revocations;
use crate::auth::{self, Authenticator, CacheCounters, FetchedKeys, KeyError, ServerEncoding};
use crate::config::connection::SessionDefaults;
use crate::config::{Config, OpenApiMode, TxEnd, read_input};
use crate::plan;
use crate::query::Sql;
use crate::request;
use crate::response::{Cors, openapi};
use crate::schema::{RoleSettings, SchemaCache};
use crate::transaction::PreludeSettings;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What requests are answered with: immutable, and swapped whole.
#[derive(Clone)]
pub struct Live {
    /// The configuration.
    pub config: Arc<Config>,
    /// What verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// What the database has; `None` until it was first loaded.
    pub schema: Option<Arc<SchemaCache>>,
    /// What roles bring along, where it was read after the schema cache.
    role_settings: Option<Arc<HashMap<Box<str>, RoleSettings>>>,
    /// What planning takes of the configuration.
    pub plan_settings: plan::Settings,
    /// What all transactions set alike.
    pub prelude: PreludeSettings,
    /// What it has in common with its predecessors.
    pub lasting: Lasting,
    /// The call of `db-pre-request`.
    pub pre_request: Option<String>,
    /// Who may read answers from other origins.
    pub cors: Cors,
    /// What of the configuration is in the description of the API.
    pub openapi: openapi::Settings,
    /// The name of `db-root-spec`, as requests know it.
    root_spec: Option<String>,
    /// What there is to say about keys and paths, for the operator.
    warnings: Arc<[String]>,
    /// The search path of each exposed schema.
    search_paths: HashMap<String, String>,
}

/// What outlives reloads of the configuration.
#[derive(Clone, Default)]
pub struct Lasting {
    /// Hits and misses of the token cache.
    pub cache_counters: Arc<CacheCounters>,
    /// The revoked claims.
    pub revocations: Arc<Revocations>,
    /// Keys from URLs.
    pub fetched_keys: Arc<FetchedKeys>,
    /// The encoding of the database, once it was reached.
    pub server_encoding: Arc<ServerEncoding>,
}

impl Live {
    /// Prepares a configuration. The texts are warnings for the operator.
    ///
    /// # Errors
    /// When a key or path of the authentication settings cannot be used.
    pub fn new(config: Config, lasting: &Lasting) -> Result<(Self, Vec<String>), KeyError> {
        let (authenticator, warnings) = Authenticator::new(auth_settings(&config, lasting)?)?;
        let live = Self::with(config, lasting, Arc::new(authenticator), None);
        Ok((Live { warnings: warnings.as_slice().into(), ..live }, warnings))
    }

    /// Prepares a configuration to take the place of this one. What does not change stays:
    /// verified tokens, keys that were fetched, and the schema cache. The texts are warnings
    /// for the operator.
    ///
    /// # Errors
    /// When a key or path of the authentication settings cannot be used.
    pub fn succeeded_by(
        &self,
        config: Config,
        lasting: &Lasting,
    ) -> Result<(Self, Vec<String>), KeyError> {
        // What `jwt-issuers` names is a file, which may have changed.
        if config == *self.config && config.jwt_issuers.is_none() {
            return Ok((self.clone(), self.warnings.to_vec()));
        }
        let settings = auth_settings(&config, lasting)?;
        let (authenticator, warnings) = Authenticator::new(settings)?;
        let live = Self::with(config, lasting, Arc::new(authenticator), self.schema.clone());
        let role_settings = self.role_settings.clone();
        Ok((Live { role_settings, warnings: warnings.as_slice().into(), ..live }, warnings))
    }

    fn with(
        config: Config,
        lasting: &Lasting,
        authenticator: Arc<Authenticator>,
        schema: Option<Arc<SchemaCache>>,
    ) -> Self {
        let prelude = PreludeSettings::new(&config);
        let search_paths = config
            .db_schemas
            .iter()
            .map(|schema| (schema.clone(), prelude.search_path(schema)))
            .collect();
        Live {
            authenticator,
            schema,
            role_settings: None,
            warnings: Arc::default(),
            lasting: lasting.clone(),
            plan_settings: plan::Settings {
                max_rows: config.db_max_rows,
                aggregates_enabled: config.db_aggregates_enabled,
                plan_enabled: config.db_plan_enabled,
                openapi_mode: config.openapi_mode,
                legacy_target_names: config.url_use_legacy_target_names,
            },
            prelude,
            pre_request: config.db_pre_request.as_ref().map(|function| {
                let mut sql = Sql::new();
                sql.push("SELECT ").qualified(function).push("()");
                sql.shape().to_owned()
            }),
            cors: Cors { origins: config.server_cors_allowed_origins.clone() },
            openapi: openapi::Settings::new(&config),
            root_spec: config.db_root_spec.as_ref().map(ToString::to_string),
            search_paths,
            config: Arc::new(config),
        }
    }

    /// The same with another schema cache.
    pub fn with_schema(&self, schema: Option<Arc<SchemaCache>>) -> Self {
        Live { schema, role_settings: None, ..self.clone() }
    }

    /// The same with other settings of roles.
    pub fn with_role_settings(&self, settings: HashMap<Box<str>, RoleSettings>) -> Self {
        Live { role_settings: Some(Arc::new(settings)), ..self.clone() }
    }

    /// What a role brings to its transactions.
    pub fn role_settings(&self, role: &str) -> Option<&RoleSettings> {
        match &self.role_settings {
            Some(settings) => settings.get(role),
            None => self.schema.as_ref()?.role_settings.get(role),
        }
    }

    /// What reading a request takes of the configuration.
    pub fn request_settings(&self) -> request::Settings<'_> {
        request::Settings {
            schemas: &self.config.db_schemas,
            root_spec: self.root_spec.as_deref(),
            root_enabled: self.config.openapi_mode != OpenApiMode::Disabled,
            tx_override: matches!(
                self.config.db_tx_end,
                TxEnd::CommitAllowOverride | TxEnd::RollbackAllowOverride
            ),
        }
    }

    /// The search path of requests to an exposed schema, as SQL.
    pub fn search_path(&self, schema: &str) -> &str {
        self.search_paths.get(schema).map_or("", String::as_str)
    }

    /// What sessions begin with: the search path that most requests have, and no compilation
    /// just in time where nobody has wanted it. A pooler in transaction mode, for which
    /// statements are not prepared, knows no such sessions.
    pub fn session_defaults(&self) -> Option<SessionDefaults> {
        let schema = self.config.db_schemas.first()?;
        let claims = self.schema.as_ref().filter(|_| self.config.db_use_legacy_gucs);
        let claims = claims.map_or(&[][..], |schema| &schema.claim_settings);
        let jit_is_set = self.schema.as_ref().is_none_or(|schema| schema.login_sets_jit);
        self.config.db_prepared_statements.then(|| SessionDefaults {
            search_path: self.search_path(schema).into(),
            jit_off: !self.config.db_jit && !jit_is_set,
            empty: claims.iter().map(|name| format!("request.jwt.claim.{name}")).collect(),
        })
    }
}

fn auth_settings(config: &Config, lasting: &Lasting) -> Result<auth::Settings, KeyError> {
    Ok(auth::Settings {
        secret: config.jwt_secret.clone(),
        jwks_url: config.jwt_jwks_url.clone(),
        issuers: config.jwt_issuers.as_deref().map(read_file).transpose()?,
        audience: config.jwt_aud.clone(),
        audience_required: config.jwt_aud_required,
        role_claim_key: config.jwt_role_claim_key.clone(),
        anonymous_role: config.db_anon_role.clone(),
        cache_max_entries: config.jwt_cache_max_entries,
        cache_counters: lasting.cache_counters.clone(),
        deny_list: lasting.revocations.deny_list().clone(),
        fetched_keys: lasting.fetched_keys.clone(),
        server_encoding: lasting.server_encoding.clone(),
    })
}

fn read_file(path: &str) -> Result<String, KeyError> {
    let failed = |error: &dyn std::fmt::Display| {
        KeyError::new(format!("jwt-issuers: cannot read {path}: {error}"))
    };
    let bytes = read_input(Path::new(path)).map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8"))
}
