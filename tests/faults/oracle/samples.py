"""I7 and I8, from the samples of a scenario: no commit before its effects, nothing left to read, memory bounded."""

from bisect import bisect_left
from collections.abc import Sequence

from tests.faults.harness.report import Finding
from tests.faults.harness.sampling import MIB, Sample
from tests.faults.oracle.effects import Effect, Part


def check_commits(samples: Sequence[Sample], effects: Sequence[Effect]) -> Finding:
    """I7: at no moment was a record committed while something that came of it was not in Kafka."""
    reach = _reach(effects)
    checked, wrong = 0, []
    for sample in samples:
        for (cause, output), steps in reach.items():
            committed = bisect_left(steps, sample.committed.get(cause, 0), key=lambda step: step[0])
            if not committed:
                continue
            checked, needed = checked + 1, steps[committed - 1][1]
            if needed >= sample.ends[output]:
                wrong.append(f"{cause} committed to {sample.committed[cause]} at {sample.at_ms}, {output} ends at "
                             f"{sample.ends[output]}, and {needed} came of it")  # fmt: skip
    what = f"commits never before effects, {len(samples)} samples"
    return Finding("I7", what, checked, len(wrong), wrong[0] if wrong else "")


def _reach(effects: Sequence[Effect]) -> dict[tuple[Part, Part], list[tuple[int, int]]]:
    """For each pair of partitions: the causes' offsets at which the effects' highest offset rises."""
    pairs: dict[tuple[Part, Part], list[tuple[int, int]]] = {}
    for effect in sorted(effects, key=lambda one: one.offset):
        steps = pairs.setdefault((effect.cause, effect.output), [])
        if not steps or effect.at > steps[-1][1]:
            steps.append((effect.offset, effect.at))
    return pairs


def check_lag(samples: Sequence[Sample]) -> Finding:
    """I8: at the end nothing is left to read."""
    highest = max((sample.lag for sample in samples), default=0)
    left = samples[-1].lag if samples else 0
    what = f"lag back to 0, highest {highest}"
    return Finding("I8", what, len(samples), int(left > 0), f"{left} records are left" if left else "")


def check_memory(samples: Sequence[Sample], most_bytes: int) -> Finding:
    """I8: no process ever held more than `most_bytes`."""
    held = [(size, name, sample.at_ms) for sample in samples for name, size in sample.memory_bytes.items()]
    size, name, at_ms = max(held, default=(0, "nobody", 0))
    wrong = sum(one[0] > most_bytes for one in held)
    what = f"memory at most {most_bytes // MIB} MiB, highest {size // MIB} MiB"
    return Finding("I8", what, len(held), wrong, f"{name} at {at_ms}" if wrong else "")
