"""What a fault scenario found, as an aligned plain table; all of a test run are printed at its end.

report = Report("killed at random", seed=7, rounds=20, injected={"kill -9": 20}, findings=judge(...))
publish(report)                     shown at the end of the run, whatever becomes of the test
assert report.holds, report.text()
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Finding(NamedTuple):
    """One invariant's figures: how many things were looked at, how many were wrong, and the first of those.

    Nothing looked at proves nothing: that is told, and it is for the scenario to say whether it may be.
    """

    invariant: str
    what: str
    checked: int
    differing: int
    first: str = ""

    @property
    def holds(self) -> bool:
        """True when nothing was wrong."""
        return self.differing == 0


@dataclass(frozen=True, slots=True)
class Report:
    """One scenario.  `injected` counts what was done to the pipeline, `figures` are times and sizes with their unit."""

    scenario: str
    seed: int
    rounds: int = 1
    injected: Mapping[str, int] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    figures: Mapping[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """True when every invariant held, and some was checked."""
        return all(found.holds for found in self.findings) and any(found.checked for found in self.findings)

    def text(self) -> str:
        """The whole report, a line for each invariant."""
        injected = ", ".join(f"{count} x {what}" for what, count in self.injected.items())
        lines = [f"{self.scenario}: seed {self.seed}, rounds {self.rounds}" + (f", {injected}" if injected else "")]
        lines += [f"  {name:<36} {text:>14}" for name, text in self.figures.items()]
        lines += [_line(found) for found in sorted(self.findings, key=lambda found: found.invariant)]
        if not self.holds:
            lines.append(f"  FAILED: run it again with seed {self.seed}")
        return "\n".join(lines)


def publish(report: Report) -> None:
    """Keep a report for the end of the run."""
    _PUBLISHED.append(report)


def take() -> Sequence[Report]:
    """All reports that nobody took yet."""
    taken = list(_PUBLISHED)
    _PUBLISHED.clear()
    return taken


def _line(found: Finding) -> str:
    verdict = "holds" if found.holds else "DIFFERS"
    line = f"  {found.invariant:<3} {found.what:<46} {found.checked:>9} {found.differing:>7}  {verdict}"
    return f"{line}\n      first: {found.first}" if found.first else line


_PUBLISHED: list[Report] = []
