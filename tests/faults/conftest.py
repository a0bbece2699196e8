"""At the end of a run with fault scenarios, their reports."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each scenario did and found."""
    from tests.faults.report import published

    if reports := published():
        terminalreporter.section("fault scenarios (invariant, what, checked, differing)")
    for report in reports:
        terminalreporter.line(report.text(), red=not report.holds)
