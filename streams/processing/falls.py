"""Rows of nps.falls: the evidence of one segment at the close of an hour, worked out from its panes alone."""

from collections.abc import Sequence

from schemas.codec import Codec
from schemas.events import Fall
from schemas.oncall import Bands, WindowFall, WindowFalls, encode
from schemas.topics import FALLS
from streams.domain.incidents.falls import WindowEvidence, judge
from streams.domain.nps import Tally
from streams.domain.panes import Resolution
from streams.domain.policy import FallPolicy, Program
from streams.domain.windows import SegmentWindows
from streams.kafka.ports import Output


class FallRows:
    """Judge of segments by the policy of a program, and maker of their rows."""

    def __init__(self, program: Program, policy: FallPolicy, codec: Codec) -> None:
        self._program = program
        self._policy = policy
        self._codec = codec

    def judge(self, windows: SegmentWindows, close_ms: int) -> tuple[WindowEvidence, ...]:
        """Evidence of every window of the policy that ends at this close of an hour."""
        hours, days = windows.panes(Resolution.HOUR), windows.panes(Resolution.DAY)
        return judge(hours, days, close_ms, self._policy, self._program.minimum_n)

    def row(
        self, partition: int, segment: str, close_ms: int, evidence: Sequence[WindowEvidence], version: int
    ) -> Output:
        """The record of this evidence, which replaces the segment's earlier ones."""
        windows = WindowFalls(windows=tuple(_window(each, close_ms) for each in evidence))
        fall = Fall(
            segment=segment, end_ms=close_ms, windows=encode(windows), program=self._program.hash, version=version
        )
        return Output(FALLS.name, self._codec.encode(fall), segment.encode(), partition)


def _window(evidence: WindowEvidence, close_ms: int) -> WindowFall:
    return WindowFall(
        window=evidence.window.name,
        start_ms=close_ms - evidence.window.length_ms,
        before=_bands(evidence.before),
        after=_bands(evidence.after),
        z=evidence.z,
        threshold=evidence.threshold,
        smallest=evidence.smallest,
        standard_error=evidence.standard_error,
    )


def _bands(tally: Tally) -> Bands:
    return Bands(promoters=tally.promoters, passives=tally.passives, detractors=tally.detractors)
