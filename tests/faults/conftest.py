"""At the end of a run with fault scenarios, their reports; they travel with the results, whichever process ran them."""

import pytest

SCENARIO = "scenario"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Hand on what the test has published."""
    from tests.faults.harness.report import take

    if call.when == "call":
        item.user_properties += [(SCENARIO, (report.text(), report.holds)) for report in take()]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each scenario did and found."""
    ended = [test for tests in terminalreporter.stats.values() for test in tests if getattr(test, "when", "") == "call"]
    reports = sorted(told for test in ended for name, told in test.user_properties if name == SCENARIO)
    if reports:
        terminalreporter.section("fault scenarios (invariant, what, checked, differing)")
    for text, holds in reports:
        terminalreporter.line(text, red=not holds)
