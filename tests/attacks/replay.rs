//! Tokens that were good once: from the cache after they expired, and after the keys changed.

use crate::support::process::Signal;
use crate::support::{Settings, jwt, wait_for};
use crate::{assert_refused, start, whoami};
use serde_json::json;
use std::time::Duration;

/// As documented: how long after `exp` a token is taken, in seconds.
const LEEWAY_SECONDS: i64 = 30;

#[test]
fn a_cached_token_expires_like_any_other() {
    let (_database, server) = start("", |s| s.set("jwt-cache-max-entries", 100));
    let expiring = jwt::token(&json!({"role": "ann", "exp": jwt::now() - LEEWAY_SECONDS + 2}));
    assert_eq!(server.send(&whoami().bearer(&expiring)).status, 200);
    assert_eq!(server.send(&whoami().bearer(&expiring)).status, 200, "now from the cache");
    let expired = wait_for(Duration::from_secs(20), || {
        (server.send(&whoami().bearer(&expiring)).status == 401).then_some(())
    });
    assert!(expired.is_some(), "the cached token still works");
    for _ in 0..3 {
        let got = assert_refused(&server, "an expired token", &expiring);
        assert_eq!(
            (got.code().as_str(), &got.json()["message"]),
            ("PGRST303", &json!("JWT expired"))
        );
    }
}

#[test]
fn tokens_that_are_alike_are_not_taken_for_each_other() {
    let (_database, server) = start("", |s| s.set("jwt-cache-max-entries", 10));
    let good = jwt::for_role("ann");
    assert_eq!(server.send(&whoami().bearer(&good)).json()["role"], "ann");
    let (message, signature) = good.rsplit_once('.').expect("a token has dots");
    let other = jwt::for_role("bob");
    let (other_message, _) = other.rsplit_once('.').expect("a token has dots");
    for token in [
        format!("{other_message}.{signature}"),
        format!("{message}."),
        format!("{message}.{}", signature.to_lowercase()),
        good.to_uppercase(),
    ] {
        assert_refused(&server, "alike", &token);
        assert_eq!(server.send(&whoami().bearer(&good)).json()["role"], "ann");
    }
    assert_eq!(server.send(&whoami().bearer(&other)).json()["role"], "bob");
}

#[test]
fn refused_tokens_lock_no_good_one_out() {
    let (_database, server) = start("", |s| s.set("jwt-cache-max-entries", 5));
    let good = jwt::for_role("ann");
    let mut connection = server.connect();
    for number in 0..200 {
        let claims = json!({"role": "ann", "number": number});
        let forged = jwt::sign(&json!({"alg": "HS256"}), &claims, &[b'x'; 40]);
        assert_eq!(connection.send(&whoami().bearer(&forged)).expect("an answer").status, 401);
        // Good ones push each other out, and stay good.
        let other = connection.send(&whoami().bearer(&jwt::token(&claims))).expect("an answer");
        assert_eq!(other.json()["claims"], claims);
    }
    assert_eq!(server.send(&whoami().bearer(&good)).status, 200);
}

#[test]
fn a_change_of_keys_or_rules_empties_the_cache() {
    let database = crate::Cluster::shared().database(crate::SQL);
    let settings = Settings::new(&database).set("jwt-cache-max-entries", 100);
    let server = crate::Server::start(&settings);
    let token = jwt::token(&json!({"role": "ann", "aud": "web", "other": "bob"}));
    let ask = || server.send(&whoami().bearer(&token));
    // The token is in the cache whenever the configuration changes.
    let reload = |settings: &Settings, status, text: &str| {
        assert_eq!(ask().status, ask().status);
        server.rewrite(settings);
        server.signal(Signal::User2);
        let changed = wait_for(Duration::from_secs(10), || {
            let got = ask();
            (got.status == status && got.text().contains(text)).then_some(())
        });
        assert!(changed.is_some(), "{text}: {}\n{}", ask().text(), server.log_end());
    };
    assert_eq!(ask().json()["role"], "ann");

    reload(&settings.clone().set("jwt-role-claim-key", "$$.other"), 200, "\"role\":\"bob\"");
    reload(&settings.clone().set("jwt-aud", "somebody else"), 401, "JWT not in audience");
    reload(&settings.clone().set("jwt-aud", ""), 200, "\"role\":\"ann\"");
    let other = "another secret of at least 32 characters";
    reload(&settings.clone().set("jwt-secret", other), 401, "No suitable key");
    assert_refused(&server, "a token of the old secret", &token);
}

#[test]
fn a_revoked_token_is_refused_also_from_the_cache_and_after_the_listener_was_away() {
    let revoked =
        "create table vault.revoked (jti text); insert into vault.revoked values ('early');
                   grant usage on schema vault to authenticator;
                   grant select on vault.revoked to authenticator;";
    let (database, server) =
        start(revoked, |s| s.set("jwt-revocation-source", "vault.revoked").set("db-pool", 1));
    let token = |jti: &str, sub: &str| jwt::token(&json!({"role": "ann", "jti": jti, "sub": sub}));
    let status = |token: &str| server.send(&whoami().bearer(token)).status;
    let is_refused = |token: &str| {
        let refused =
            wait_for(Duration::from_secs(30), || (status(token) == 401).then_some(())).is_some();
        assert!(refused, "the revoked token still works: {}", server.log_end());
        let got = assert_refused(&server, "a revoked token", token);
        assert_eq!(got.json()["message"], "JWT revoked");
    };
    is_refused(&token("early", "ann"));
    let (by_id, by_claim, kept) = (token("t1", "ann"), token("t2", "bob"), token("t3", "ann"));
    for token in [&by_id, &by_claim, &kept] {
        assert_eq!((status(token), status(token)), (200, 200));
    }
    database.sql("insert into vault.revoked values ('t1'); notify goldenkey_revoke");
    is_refused(&by_id);
    database.sql(r#"insert into vault.revoked values ('{"sub": "bob"}'); notify goldenkey_revoke"#);
    is_refused(&by_claim);
    // What was revoked while nobody listened is read after the reconnect.
    let late = token("t4", "ann");
    assert_eq!(status(&late), 200);
    database.sql(
        "insert into vault.revoked values ('t4');
         select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and usename = 'authenticator'",
    );
    is_refused(&late);
    assert_eq!(status(&kept), 200);
}
