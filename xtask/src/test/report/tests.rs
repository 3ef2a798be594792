use super::*;

const GOOD: &str = "
     Running unittests src/lib.rs (target/debug/deps/cred_core-0123abcd)

running 3 tests
test id::tests::parses ... ok
test id::tests::slow ... ignored, needs a network, see docs/testing.md
test scope::tests::narrows - should panic ... ok

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/conformance.rs (some/where/deps/conformance-99)

running 1 test
test clause_1 ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

const DOCS: &str = "
   Doc-tests cred_core

running 2 tests
test crates/cred-core/src/id.rs - id::CredentialId (line 12) ... ok
test crates/cred-core/src/id.rs - id (line 1) ... ignored

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s

running 1 test
test crates/cred-core/src/id.rs - id::ScopeId (line 2) - compile fail ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

fn feed(report: &mut Report, output: &str, success: bool) -> Result<()> {
    let mut run = report.start("tests");
    for line in output.lines() {
        run.line(line, |key| format!("<{key}>"));
    }
    run.end(success)
}

fn report_of(output: &str, success: bool) -> (Report, bool) {
    let mut report = Report::default();
    let good = feed(&mut report, output, success).is_ok();
    report.conclude();
    (report, good)
}

#[test]
fn counts_each_program_and_names_what_was_skipped_and_why() {
    let (report, good) = report_of(GOOD, true);
    assert!(good && report.passed());
    assert_eq!(report.totals(), "3 passed, 0 failed, 1 skipped");
    let details = report.details();
    assert!(details.contains("<cred_core-0123abcd>  src/lib.rs"), "{details}");
    assert!(details.contains("<conformance-99>      tests/conformance.rs"), "{details}");
    assert!(details.contains("id::tests::slow (needs a network, see docs/testing.md)"), "{details}");
}

#[test]
fn adds_up_the_several_summaries_of_doc_tests() {
    let (report, good) = report_of(DOCS, true);
    assert!(good);
    assert_eq!(report.totals(), "2 passed, 0 failed, 1 skipped");
    assert!(report.details().contains("id (line 1) (no reason given)"));
}

#[test]
fn a_failed_test_is_counted_and_named() {
    let output = GOOD
        .replace("clause_1 ... ok", "clause_1 ... FAILED")
        .replace("ok. 1 passed; 0", "FAILED. 0 passed; 1");
    let (report, good) = report_of(&output, false);
    assert!(!good && !report.passed());
    assert_eq!(report.totals(), "2 passed, 1 failed, 1 skipped");
    assert!(report.details().contains("tests/conformance.rs: clause_1\n"));
    assert_eq!(report.failed(), "\nfailed:\n  <conformance-99> tests/conformance.rs: clause_1\n");
}

#[test]
fn a_failed_test_tells_what_it_said_at_the_end_where_a_cut_log_still_shows_it() {
    let said = "failures:\n\n---- clause_1 stdout ----\n\nthread 'clause_1' panicked at tests/conformance.rs:7:\nthe value is \
                lost\nstack backtrace:\n   0: main\n\n\nfailures:\n    clause_1\n\ntest result: FAILED. 0 passed; 1";
    let output =
        GOOD.replace("clause_1 ... ok", "clause_1 ... FAILED").replace("test result: ok. 1 passed; 0", said);
    let (report, _) = report_of(&output, false);
    let details = report.details();
    let end =
        "clause_1\n      thread 'clause_1' panicked at tests/conformance.rs:7:\n      the value is lost\n";
    assert!(details.contains(end), "{details}");
    assert!(!details.contains("main"), "{details}");
    assert!(details.find("\nskipped:").unwrap() < details.find("\nfailed:").unwrap(), "{details}");
}

#[test]
fn a_failed_test_is_red_though_the_exit_code_lies() {
    let output = GOOD.replace("ok. 1 passed; 0", "FAILED. 0 passed; 1");
    let (report, good) = report_of(&output, true);
    assert!(!good && !report.passed());
    assert!(report.details().contains("1 more, whose names were not understood"));
}

#[test]
fn a_bad_exit_code_is_red_though_the_output_looks_good() {
    let (report, good) = report_of(GOOD, false);
    assert!(!good && !report.passed());
    assert_eq!(report.totals(), "3 passed, 1 failed, 1 skipped");
}

#[test]
fn a_bad_exit_code_is_red_though_the_output_is_not_understood() {
    let (report, good) = report_of("some other harness\n", false);
    assert!(!good && !report.passed());
}

#[test]
fn a_program_that_died_before_its_summary_is_a_failure() {
    let cut = GOOD.split("test clause_1").next().unwrap();
    for success in [true, false] {
        let (report, good) = report_of(cut, success);
        assert!(!good && !report.passed());
        assert_eq!(report.totals(), "2 passed, 1 failed, 1 skipped");
        assert!(report.details().contains("tests/conformance.rs: ended without a summary"));
    }
}

#[test]
fn a_run_without_a_single_test_is_a_failure() {
    for output in [
        "",
        "     Running unittests src/lib.rs (deps/a-1)\ntest result: ok. 0 passed; 0 failed; 4 ignored;\n",
    ] {
        let (report, _) = report_of(output, true);
        assert!(!report.passed(), "{output}");
        assert!(report.details().contains("not one test ran"));
    }
}

#[test]
fn an_earlier_run_is_not_judged_again() {
    let mut report = Report::default();
    assert!(feed(&mut report, GOOD, false).is_err());
    assert!(feed(&mut report, DOCS, true).is_ok());
    assert_eq!(report.totals(), "5 passed, 1 failed, 2 skipped");
}

#[test]
fn a_build_that_failed_is_never_green() {
    let mut report = Report::default();
    report.never_ran("tests");
    report.conclude();
    assert_eq!(report.totals(), "0 passed, 1 failed, 0 skipped");
}

#[test]
fn what_a_test_prints_is_not_taken_for_a_summary() {
    let noise = "test tests/compile/no_keys.rs ... ok\nRunning late\nresult: 7 passed\n";
    let output = GOOD.replace("test clause_1", &format!("{noise}test clause_1"));
    assert_eq!(report_of(&output, true).0.totals(), "3 passed, 0 failed, 1 skipped");
}

fn integration(skips: &str, count: usize) -> String {
    format!(
        "Running tests/integration.rs (deps/i-1)\ntest free ... ok\n{skips}test result: ok. 1 passed; 0 failed; \
         {count} ignored;\n"
    )
}

#[test]
fn tells_what_is_not_offered_from_what_was_left_untried() {
    let skips = "test a ... ignored, not offered\ntest b ... ignored, needs a moon\n";
    let (report, _) = report_of(&integration(skips, 2), true);
    assert_eq!(report.counts(), Counts { passed: 1, failed: 0, not_offered: 1, skipped: 1 });
    assert_eq!(report.totals(), "1 passed, 0 failed, 2 skipped");
}

#[test]
fn tests_that_were_caught_up_with_are_skipped_no_longer() {
    let skips =
        "test a ... ignored, needs a server\ntest b ... ignored, needs a server\ntest c ... ignored, no\n";
    let (mut report, _) = report_of(&integration(skips, 3), true);
    let (later, _) = report_of(
        "Running tests/integration.rs (deps/i-1)\ntest a ... ok\ntest b ... FAILED\ntest result: FAILED. 1 passed; \
         1 failed; 0 ignored;\n",
        false,
    );
    report.caught_up("<i-1>", "tests/integration.rs", &["a", "b"], later);
    assert_eq!(report.counts(), Counts { passed: 2, failed: 1, not_offered: 0, skipped: 1 });
    let details = report.details();
    assert!(
        details.contains("tests/integration.rs: b\n") && !details.contains("needs a server"),
        "{details}"
    );
}

#[test]
fn tests_of_another_crate_that_has_a_program_of_the_same_name_stay_skipped() {
    let (mut report, _) = report_of(&integration("test a ... ignored, needs a server\n", 1), true);
    let mut other =
        report_of(&integration("test a ... ignored, needs a server\n", 1).replace("i-1", "j-1"), true).0;
    report.absorb(other.split_off(|crate_name, _| crate_name == "<j-1>"));
    let later = report_of("Running tests/integration.rs (deps/j-1)\ntest a ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored;\n", true).0;
    report.caught_up("<j-1>", "tests/integration.rs", &["a"], later);
    assert_eq!(report.skips("<i-1>", "tests/integration.rs").count(), 1);
    assert_eq!(report.skips("<j-1>", "tests/integration.rs").count(), 0);
}

#[test]
fn tests_that_were_asked_for_and_did_not_run_are_a_failure() {
    let (mut report, _) = report_of(&integration("test a ... ignored, needs a server\n", 1), true);
    report.caught_up("<i-1>", "tests/integration.rs", &["a"], Report::default());
    assert!(!report.passed() && report.details().contains("1 tests did not run"), "{}", report.details());
}

#[test]
fn a_program_that_ran_again_counts_once() {
    let (mut report, _) = report_of(&integration("test a ... ignored, needs a server\n", 1), true);
    let mut again = Report::default();
    let output = integration("", 0).replace("1 passed", "2 passed");
    feed(&mut again, &output, true).unwrap();
    report.absorb(again);
    assert_eq!(report.totals(), "2 passed, 0 failed, 0 skipped");
}

#[test]
fn a_failure_outlives_a_later_run_that_was_good() {
    let output = GOOD.replace("clause_1 ... ok", "clause_1 ... FAILED");
    let (mut report, _) = report_of(&output.replace("ok. 1 passed; 0", "FAILED. 0 passed; 1"), false);
    let (again, _) = report_of(GOOD, true);
    report.absorb(again);
    assert!(!report.passed());
}
