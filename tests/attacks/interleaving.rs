//! Many roles over few database connections, under errors, cancellations and kills: every
//! answer must be that of its own token.

use crate::support::{Connection, Database, Request, Server, Settings, jwt, wait_for};
use crate::{start, whoami};
use serde_json::{Value, json};
use socket2::SockRef;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SCHEMA: &str = r#"
    create table api.diary (
      entry text primary key,
      author text default current_user,
      sub text default current_setting('request.jwt.claims', true)::json->>'sub',
      late text references api.diary deferrable initially deferred);
    grant all on api.diary to public;
    create function api.nap(seconds float) returns json language plpgsql volatile as $$
    begin
      perform pg_sleep(seconds);
      return json_build_object('role', current_user, 'claims', current_setting('request.jwt.claims')::json);
    end $$;
    create function api.fail(state text) returns text language plpgsql as $$
    begin
      perform set_config('app.mark', current_setting('request.jwt.claims'), true);
      raise exception 'failed' using errcode = state;
    end $$;
    create function api.burst() returns int language plpgsql as $$
    begin
      perform set_config('role', 'eve', true);
      return 1 / (pg_backend_pid() * 0);
    end $$;
    create schema auth;
    grant usage on schema auth to public;
    create function auth.check_token() returns void language plpgsql as $$
    begin
      if current_setting('request.jwt.claims')::json->>'banned' = 'yes' then
        raise insufficient_privilege using message = 'banned';
      end if;
    end $$;
    alter role eve set statement_timeout = '100ms';
"#;

const ROLES: [&str; 4] = ["ann", "bob", "eve", "o\"dd ' \\role"];

fn start_small(pool: u32) -> (Database<'static>, Server) {
    start(SCHEMA, |settings: Settings| {
        settings
            .set("db-pool", pool)
            .set("db-pre-request", "auth.check_token")
            .set("db-tx-end", "commit-allow-override")
            .set("log-level", "error")
    })
}

/// Numbers that follow from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }
}

/// `ATTACK_SEED`, or one of the moment. It is printed, to run a failure again.
fn seed() -> u64 {
    let given = std::env::var("ATTACK_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("past 1970");
        u64::from(elapsed.subsec_nanos()) << 20 | 1
    });
    println!("ATTACK_SEED={seed}");
    seed
}

/// Somebody with a token of their own.
struct Somebody {
    claims: Value,
    token: Option<String>,
}

impl Somebody {
    fn any(random: &mut Random, number: usize) -> Somebody {
        match random.next(ROLES.len() + 1) {
            4 => Somebody { claims: json!({"role": "web_anon"}), token: None },
            role => {
                let claims =
                    json!({"role": ROLES[role], "sub": format!("{}-{number}", ROLES[role])});
                Somebody { token: Some(jwt::token(&claims)), claims }
            }
        }
    }

    fn asks(&self, request: Request) -> Request {
        match &self.token {
            Some(token) => request.bearer(token),
            None => request,
        }
    }

    /// Whether an answer with role and claims is theirs.
    fn assert_is(&self, got: &Value, what: &str) {
        let own = (&self.claims["role"], &self.claims);
        assert_eq!((&got["role"], &got["claims"]), own, "{what}: {got}");
    }
}

/// A client that does one thing after the other.
struct Client<'a> {
    server: &'a Server,
    random: Random,
    connection: Option<Connection>,
    number: usize,
    identified: &'a AtomicUsize,
}

/// Answers that tell of a killed or cancelled query, or of a pool that is all in use.
const DISTURBED: [&str; 7] =
    ["57014", "57P01", "PGRST001", "PGRST000", "PGRST003", "08007", "57P03"];

impl Client<'_> {
    fn step(&mut self) {
        self.number += 1;
        let somebody = Somebody::any(&mut self.random, self.number);
        match self.random.next(10) {
            0..=2 => self.identify(&somebody, whoami()),
            3 => self.identify(&somebody, Request::get("/rpc/nap?seconds=0.01")),
            4 => self.write(&somebody),
            5 => self.fail(&somebody),
            6 => self.leave(&somebody),
            7 => self.forge(),
            _ => self.identify(&somebody, Request::post("/rpc/nap", "{\"seconds\": 0}")),
        }
    }

    fn send(&mut self, request: &Request) -> crate::Response {
        let connection = self.connection.get_or_insert_with(|| self.server.connect());
        connection.send(request).unwrap_or_else(|error| panic!("{error}: {request:?}"))
    }

    fn identify(&mut self, somebody: &Somebody, request: Request) {
        let got = self.send(&somebody.asks(request));
        if got.status == 200 {
            somebody.assert_is(&got.json(), "an answer");
            self.identified.fetch_add(1, Ordering::Relaxed);
        } else {
            assert!(DISTURBED.contains(&got.code().as_str()), "{} {}", got.status, got.text());
        }
    }

    fn write(&mut self, somebody: &Somebody) {
        let role = somebody.claims["role"].as_str().unwrap_or_default();
        let sub = somebody.claims["sub"].as_str().unwrap_or("nobody");
        // `late` names no entry: the commit fails.
        let late = if self.random.next(3) == 0 { json!("nothing") } else { Value::Null };
        let body = json!({"entry": format!("{role}|{sub}|{}", self.number), "late": late});
        let request = Request::post("/diary", body.to_string());
        let request = match self.random.next(3) {
            0 => request.header("Prefer", "tx=rollback"),
            1 => request.header("Prefer", "return=representation"),
            _ => request,
        };
        let got = self.send(&somebody.asks(request));
        let expected =
            got.status == 201 || got.code() == "23503" || DISTURBED.contains(&got.code().as_str());
        assert!(expected, "{} {}", got.status, got.text());
    }

    /// Fails in the database, in one of many ways.
    fn fail(&mut self, somebody: &Somebody) {
        let banned = json!({"role": "bob", "sub": "banned", "banned": "yes"});
        let request = match self.random.next(7) {
            0 => somebody.asks(Request::post("/rpc/fail", "{\"state\": \"P0001\"}")),
            1 => somebody.asks(Request::post("/rpc/fail", "{\"state\": \"40001\"}")),
            2 => somebody.asks(Request::post("/rpc/burst", "{}")),
            3 => somebody.asks(Request::get("/diary?entry=eq.1&nothing=eq.1")),
            4 => whoami().bearer(&jwt::token(&banned)),
            5 => whoami().bearer(&jwt::for_role("nobody at all")),
            // Longer than the role's statement_timeout.
            _ => Request::get("/rpc/nap?seconds=0.3").bearer(&jwt::for_role("eve")),
        };
        let got = self.send(&request);
        assert!(got.status >= 400, "{request:?}: {} {}", got.status, got.text());
    }

    /// Asks, and goes away: at once, or in the middle of it.
    fn leave(&mut self, somebody: &Somebody) {
        let mut connection = self.server.connect();
        let seconds = [0.0, 0.005, 0.02, 5.0][self.random.next(4)];
        let request = somebody.asks(Request::get(&format!("/rpc/nap?seconds={seconds}")));
        connection.write(&request.to_bytes()).expect("the server reads");
        std::thread::sleep(Duration::from_millis(self.random.next(25) as u64));
    }

    fn forge(&mut self) {
        let claims = json!({"role": "bob", "sub": "forged"});
        let token = jwt::sign(&json!({"alg": "HS256"}), &claims, &[b'x'; 40]);
        let got = self.send(&whoami().bearer(&token));
        assert_eq!((got.status, got.code().as_str()), (401, "PGRST301"), "{}", got.text());
    }
}

/// Cancels or kills the server's sessions, one at a time, until told to stop.
fn disturb(database: &Database, mut random: Random, stop: &AtomicBool) {
    let mut superuser = database.connect();
    while !stop.load(Ordering::Relaxed) {
        let how = ["pg_cancel_backend", "pg_terminate_backend"][random.next(2)];
        let victim = format!(
            "select {how}(pid) from (select pid from pg_stat_activity where usename = 'authenticator' \
             and datname = current_database() order by random() limit 1) as one"
        );
        superuser.query(&victim, &[]).expect("a superuser may");
        std::thread::sleep(Duration::from_millis(random.next(60) as u64));
    }
}

#[test]
fn every_answer_is_that_of_its_own_token() {
    const CLIENTS: usize = 8;
    const STEPS: usize = 120;
    let seed = seed();
    let (database, server) = start_small(2);
    let (identified, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| disturb(&database, Random(seed | 1), &stop));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|index| {
                let random = Random(seed.wrapping_mul(2 * index as u64 + 3) | 1);
                let (server, identified) = (&server, &identified);
                scope.spawn(move || {
                    let mut client = Client {
                        server,
                        random,
                        connection: None,
                        number: index * STEPS,
                        identified,
                    };
                    (0..STEPS).for_each(|_| client.step());
                })
            })
            .collect();
        let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        stop.store(true, Ordering::Relaxed);
        for result in results {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let identified = identified.into_inner();
    assert!(identified > CLIENTS * STEPS / 4, "too few answers to mean anything: {identified}");
    // What was written was written as its author.
    let strange = "select string_agg(diary::text, ' ') from api.diary \
                   where (author, coalesce(sub, 'nobody')) \
                   is distinct from (split_part(entry, '|', 1), split_part(entry, '|', 2))";
    assert_eq!(database.value(strange), None);
    assert!(database.value("select count(*) from api.diary").is_some_and(|count| count != "0"));
    let idle = "select count(*) from pg_stat_activity where usename = 'authenticator' \
                and datname = current_database() and state like 'idle in transaction%'";
    let left = wait_for(Duration::from_secs(10), || {
        (database.value(idle).as_deref() == Some("0")).then_some(())
    });
    assert!(left.is_some(), "a transaction was left open");
}

#[test]
fn a_late_cancellation_never_hits_the_next_request_of_its_connection() {
    let (_database, server) = start_small(1);
    let mut random = Random(seed() | 1);
    let victim = Somebody {
        claims: json!({"role": "bob", "sub": "b"}),
        token: Some(jwt::token(&json!({"role": "bob", "sub": "b"}))),
    };
    let request = victim.asks(Request::get("/rpc/nap?seconds=0.004"));
    for _ in 0..150 {
        let mut leaving = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
        // Closing it resets the connection, which the server notices at once.
        SockRef::from(&leaving).set_linger(Some(Duration::ZERO)).expect("a socket of ours");
        let nap = Request::get("/rpc/nap?seconds=0.006").bearer(&jwt::for_role("ann"));
        leaving.write_all(&nap.to_bytes()).expect("the server reads");
        std::thread::sleep(Duration::from_micros(3_000 + 200 * random.next(30) as u64));
        drop(leaving);
        for _ in 0..2 {
            let got = server.send(&request);
            assert_eq!(got.status, 200, "{}", got.text());
            victim.assert_is(&got.json(), "the next request");
        }
    }
}

#[test]
fn the_next_request_after_each_disturbance_is_its_own() {
    let (database, server) = start_small(1);
    for how in ["pg_cancel_backend", "pg_terminate_backend"] {
        for round in 0..6 {
            let request = [
                Request::get("/rpc/nap?seconds=20"),
                Request::post("/rpc/nap", "{\"seconds\": 20}"),
                Request::post("/rpc/nap", "{\"seconds\": 20}").header("Prefer", "tx=rollback"),
            ][round % 3]
                .clone()
                .bearer(&jwt::token(&json!({"role": "ann", "sub": "victim"})));
            let got = std::thread::scope(|scope| {
                let asking = scope.spawn(|| server.send(&request));
                let mut superuser = database.connect();
                let end = format!(
                    "select {how}(pid) from pg_stat_activity where datname = current_database() \
                     and usename = 'authenticator' and wait_event = 'PgSleep'"
                );
                // A read is tried once more on a new connection, and must be hit again.
                let answered = wait_for(Duration::from_secs(20), || {
                    superuser.query(&end, &[]).expect("a valid query");
                    asking.is_finished().then_some(())
                });
                assert!(answered.is_some(), "{how}: no answer");
                asking.join().expect("no panic")
            });
            assert!(got.status >= 500, "{how}: {} {}", got.status, got.text());
            let bob = Somebody {
                claims: json!({"role": "bob", "sub": "b"}),
                token: Some(jwt::token(&json!({"role": "bob", "sub": "b"}))),
            };
            for somebody in [Somebody { claims: json!({"role": "web_anon"}), token: None }, bob] {
                let got = server.send(&somebody.asks(whoami()));
                assert_eq!(got.status, 200, "{how}: {}", got.text());
                somebody.assert_is(&got.json(), how);
            }
        }
    }
}
