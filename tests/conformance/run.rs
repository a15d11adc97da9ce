//! Runs one suite: its database, its server, and its cases in order.

use crate::compare::differences;
use crate::suite::{Case, Placeholders, StartFailure, Suite};
use crate::support::{Cluster, Server, http, janitor};
use std::time::{Duration, Instant};

const START_FAILURE_LIMIT: Duration = Duration::from_secs(20);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often a case is sent that can be repeated: one connection then executes the prepared
/// statement at least once.
const TIMES_PREPARED: usize = 3;

/// How a case went.
#[derive(Debug, Clone)]
pub enum Outcome {
    Passed,
    /// With what differs.
    Failed(Vec<String>),
    /// With the reason in the suite's file.
    Skipped(String),
}

impl Outcome {
    /// This outcome, or the next one of the same case when this one found nothing.
    fn and(self, next: Outcome) -> Outcome {
        if matches!(self, Outcome::Passed) { next } else { self }
    }
}

/// Runs the cases of the given indices, in order, and reports each outcome by its index. In
/// a stateful suite the cases before a chosen one run too. An error is about the suite as a
/// whole, and stands for all cases that were not reported.
pub fn run_suite(
    cluster: &Cluster,
    suite: &Suite,
    chosen: &[usize],
    mut report: impl FnMut(usize, Outcome),
) -> Result<(), String> {
    let name = format!("suite_{}", suite.name.replace(|c: char| !c.is_alphanumeric(), "_"));
    let database = cluster.database_from(&name, suite.fixture_file().as_deref())?;
    let folder = janitor::new_folder("suite");
    let mut fill = Placeholders::new(&database.name, &folder, cluster);
    suite.set_up(&mut fill)?;
    let mut server = Server::spawn(&suite.settings(&mut fill), &folder);
    if let Some(wanted) = &suite.expect_start_failure {
        report(0, check_start_failure(&mut server, wanted));
        return Ok(());
    }
    server.wait_until_ready()?;
    let mut outcomes = Vec::new();
    for index in indices(suite, chosen) {
        if server.wait_for_exit(Duration::ZERO).is_some() {
            // The case before this one killed it.
            server = Server::spawn(&suite.settings(&mut fill), &folder);
            server.wait_until_ready()?;
        }
        let case = &suite.cases[index];
        let times = if is_repeatable(suite, case) { TIMES_PREPARED } else { 1 };
        let mut outcome = Outcome::Passed;
        for _ in 0..times {
            outcome = outcome.and(run_case(case, suite.secret(), &mut server, &mut fill)?);
        }
        outcomes.push((index, outcome));
    }
    server.stop();
    if outcomes.iter().any(|(index, _)| is_repeatable(suite, &suite.cases[*index])) {
        let unprepared = suite.settings(&mut fill).set("db-prepared-statements", false);
        server = Server::spawn(&unprepared, &folder);
        server.wait_until_ready()?;
        for (index, outcome) in &mut outcomes {
            let case = &suite.cases[*index];
            if is_repeatable(suite, case) {
                let again = run_case(case, suite.secret(), &mut server, &mut fill)?;
                *outcome = std::mem::replace(outcome, Outcome::Passed).and(again);
            }
        }
        server.stop();
    }
    for (index, outcome) in outcomes {
        report(index, outcome);
    }
    janitor::remove_folder(&folder);
    Ok(())
}

/// Whether a case can be run several times: a statement is sent as it is at first, prepared
/// the second time and executed from then on, and means the same each time.
fn is_repeatable(suite: &Suite, case: &Case) -> bool {
    !suite.stateful
        && matches!(case.request.method.as_deref(), None | Some("GET" | "HEAD"))
        && case.before_sql.is_none()
        && case.retry_s == 0.0
        && case.request.port.is_none()
}

fn indices(suite: &Suite, chosen: &[usize]) -> Vec<usize> {
    match chosen.last() {
        Some(&last) if suite.stateful => (0..=last).collect(),
        _ => chosen.to_vec(),
    }
}

fn check_start_failure(server: &mut Server, wanted: &StartFailure) -> Outcome {
    let Some(status) = server.wait_for_exit(START_FAILURE_LIMIT) else {
        return Outcome::Failed(vec!["the server kept running".to_string()]);
    };
    let mut found = Vec::new();
    if status.success() {
        found.push("the server exited with status 0".to_string());
    }
    let log = server.log();
    for text in wanted.stderr_contains.iter().filter(|text| !log.contains(*text)) {
        found.push(format!("the log lacks {text:?}; it ends with\n{}", server.log_end()));
    }
    outcome(found)
}

fn run_case(
    case: &Case,
    suite_secret: Option<&str>,
    server: &mut Server,
    fill: &mut Placeholders,
) -> Result<Outcome, String> {
    if let Some(reason) = &case.skip {
        return Ok(Outcome::Skipped(reason.clone()));
    }
    if let Some(statement) = &case.before_sql {
        fill.cluster.psql(fill.database, &["-c", &fill.fill(statement)])?;
    }
    let port = match &case.request.port {
        Some(name) => fill.port(name),
        None => server.port,
    };
    let request = case.request.build(port, suite_secret)?;
    let bytes = request.to_bytes();
    let deadline = Instant::now() + Duration::from_secs_f64(case.retry_s);
    loop {
        let response = match http::exchange(port, &bytes, &request.method) {
            Ok(response) => response,
            Err(error) => {
                let exit = server.wait_for_exit(Duration::from_secs(1));
                let gone = exit.map_or(String::new(), |s| format!("; the server ended with {s}"));
                return Ok(Outcome::Failed(vec![format!("no response: {error}{gone}")]));
            }
        };
        let found = differences(&case.response, &response);
        if found.is_empty() || Instant::now() >= deadline {
            return Ok(outcome(found));
        }
        std::thread::sleep(RETRY_PAUSE);
    }
}

fn outcome(found: Vec<String>) -> Outcome {
    if found.is_empty() { Outcome::Passed } else { Outcome::Failed(found) }
}
