//! The conformance suites: requests, and what PostgREST answered to them, held against the
//! real binary. One test a case, named `suite/case`; suites run in parallel, and the cases
//! of a suite in order. `conformance/README.md` says more.

mod support;

#[path = "conformance/compare.rs"]
mod compare;
#[path = "conformance/known_failures.rs"]
mod known_failures;
#[path = "conformance/run.rs"]
mod run;
#[path = "conformance/suite.rs"]
mod suite;

use known_failures::{Known, KnownFailures};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use run::Outcome;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use suite::Suite;
use support::Cluster;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let suites = Suite::load_all().unwrap_or_else(|message| panic!("{message}"));
    let list = std::fs::read_to_string(suite::folder().join("known_failures.json"))
        .map_err(|error| error.to_string())
        .and_then(|text| KnownFailures::parse(&text))
        .unwrap_or_else(|message| panic!("known_failures.json: {message}"));
    let (trials, jobs) = plan(&arguments, &suites, &list);
    if arguments.list || jobs.is_empty() {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let threads = arguments
        .test_threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    let cluster = Cluster::start();
    let next = AtomicUsize::new(0);
    let jobs: Vec<Mutex<Option<Job>>> = jobs.into_iter().map(|job| Mutex::new(Some(job))).collect();
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let job = job.lock().expect("taken once").take();
            job.expect("each job has one taker").run(&cluster);
        }
    };
    // The tests that libtest runs only wait for what the suites' threads report.
    let conclusion = std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
        libtest_mimic::run(&arguments, trials)
    });
    conclusion.exit_code()
}

/// A suite to be run, and where its outcomes go.
struct Job<'a> {
    suite: &'a Suite,
    reports: BTreeMap<usize, Sender<Result<Outcome, String>>>,
    /// Told at the end how many cases passed.
    passed: Sender<usize>,
}

impl Job<'_> {
    fn run(self, cluster: &Cluster) {
        let chosen: Vec<usize> = self.reports.keys().copied().collect();
        let mut reports = self.reports;
        let mut passed = 0;
        let report = |index: usize, outcome: Outcome| {
            if let Some(sender) = reports.remove(&index) {
                passed += usize::from(matches!(outcome, Outcome::Passed));
                // The receiver is gone only when the whole run is over.
                let _ = sender.send(Ok(outcome));
            }
        };
        if let Err(message) = run::run_suite(cluster, self.suite, &chosen, report) {
            for sender in reports.into_values() {
                let _ = sender.send(Err(message.clone()));
            }
        }
        let _ = self.passed.send(passed);
    }
}

/// The tests, and the suites that have to run for those that are not filtered out.
fn plan<'a>(
    arguments: &Arguments,
    suites: &'a [Suite],
    list: &KnownFailures,
) -> (Vec<Trial>, Vec<Job<'a>>) {
    let mut trials = vec![stale_entries_trial(suites, list)];
    let mut jobs = Vec::new();
    for suite in suites {
        let cases = suite.case_names();
        let mut reports = BTreeMap::new();
        for (index, case) in cases.iter().enumerate() {
            let (sender, receiver) = mpsc::channel();
            let known = list.find(&suite.name, case);
            let trial = Trial::ignorable_test(format!("{}/{case}", suite.name), move || {
                judge(receiver, known)
            });
            if !arguments.is_filtered_out(&trial) && !arguments.is_ignored(&trial) {
                reports.insert(index, sender);
            }
            trials.push(trial);
        }
        let (sender, receiver) = mpsc::channel();
        if list.has_suite(&suite.name) {
            trials.push(listed_suite_trial(&suite.name, cases.len(), receiver));
        }
        if !reports.is_empty() {
            jobs.push(Job { suite, reports, passed: sender });
        }
    }
    (trials, jobs)
}

/// Turns the outcome of a case into that of its test.
fn judge(
    receiver: Receiver<Result<Outcome, String>>,
    known: Option<Known>,
) -> Result<Completion, Failed> {
    let outcome = receiver.recv().unwrap_or_else(|_| Err("the suite did not run".to_string()));
    match (outcome, known) {
        (Ok(Outcome::Skipped(reason)), _) => Ok(Completion::ignored_with(reason)),
        (Ok(Outcome::Passed), Some(Known { exact: true, reason })) => {
            Err(format!("passes, but known_failures.json has it ({reason})").into())
        }
        (Ok(Outcome::Passed), _) => Ok(Completion::Completed),
        (_, Some(known)) => Ok(Completion::ignored_with(known.reason)),
        (Ok(Outcome::Failed(found)), None) => Err(found.join("\n").into()),
        (Err(message), None) => Err(message.into()),
    }
}

/// Fails when a suite that is listed as a whole passes as a whole.
fn listed_suite_trial(suite: &str, cases: usize, passed: Receiver<usize>) -> Trial {
    let name = suite.to_string();
    Trial::ignorable_test(format!("known_failures/{suite}"), move || match passed.recv() {
        Ok(passed) if passed == cases => {
            Err(format!("all of {name} passes, but known_failures.json has it").into())
        }
        Ok(_) => Ok(Completion::Completed),
        Err(_) => Ok(Completion::ignored_with("the suite was not run")),
    })
}

/// Fails when an entry of the list names nothing that exists.
fn stale_entries_trial(suites: &[Suite], list: &KnownFailures) -> Trial {
    let exists = |name: &str| {
        let (suite_name, case) = name.split_once('/').unwrap_or((name, ""));
        suites.iter().any(|suite| {
            suite.name == suite_name && (case.is_empty() || suite.case_names().contains(&case))
        })
    };
    let stale: Vec<String> = list.stale(exists).into_iter().map(String::from).collect();
    Trial::test("known_failures/entries_name_existing_cases", move || {
        if stale.is_empty() { Ok(()) } else { Err(format!("no such cases: {stale:?}").into()) }
    })
}
