//! What the tutorial's SQL makes in the cluster: schemas, todos and roles.

use crate::cli::Failure;
use postgres::Client;

/// The steps of the tutorial's text, in order.
const SCRIPTS: [&str; 3] = [
    include_str!("../../../sql/tutorial/0-get-it-running.sql"),
    include_str!("../../../sql/tutorial/1-golden-key.sql"),
    include_str!("../../../sql/tutorial/2-revocation.sql"),
];

/// Makes everything in one transaction, unless an earlier run has.
///
/// # Errors
/// The database's message.
pub fn load(client: &mut Client) -> Result<(), Failure> {
    let failure = |error: postgres::Error| {
        let text = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
        Failure::from(format!("cannot load the tutorial's SQL: {text}"))
    };
    let mut transaction = client.transaction().map_err(failure)?;
    // The role that the server logs in as: without it nothing else would be of use.
    let loaded = "select from pg_roles where rolname = 'authenticator'";
    if transaction.query_opt(loaded, &[]).map_err(failure)?.is_some() {
        return Ok(());
    }
    for script in SCRIPTS {
        transaction.batch_execute(script).map_err(failure)?;
    }
    transaction.commit().map_err(failure)
}
