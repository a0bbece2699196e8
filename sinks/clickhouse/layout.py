"""Rendering of the SQL files for one deployment: its dimensions as columns, its cluster, how long rows are kept."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from schemas.topics import DAY_MS, DEAD
from sinks.clickhouse.comments import columns
from sinks.quoting import quoted_name, quoted_text

MINUTES_DAYS: Final = 30
"""Days for which panes of a minute are kept."""

HOURS_DAYS: Final = 400
"""Days for which panes of an hour and rolling rows are kept: a year, and some weeks to look back at it."""

RESOLUTIONS: Final = {
    "minute": "toDateTime(start, 'UTC')", "hour": "toDateTime(start, 'UTC')", "day": "toDate(start)",
}  # fmt: skip
"""Resolutions of panes, each with the time of a view's row."""

COMBINATION: Final = "replaceRegexpAll(segment, '=[^,]*', '')"
"""SQL of the dimensions that a segment's key names: `country,category` of `country=BR,category=toys`."""

_FINEST_SEGMENT: Final = (
    "arrayFirst(key -> countSubstrings(key, '=') = arrayMax(key -> countSubstrings(key, '='), segments), segments)"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of a database: dimensions and combinations of the program; its cluster, empty for one server."""

    dimensions: tuple[str, ...] = ()
    combinations: tuple[tuple[str, ...], ...] = ()
    cluster: str = ""

    @property
    def finest(self) -> tuple[str, ...]:
        """The first of the longest combinations: its segments hold every answer once, and tell the most of it."""
        return max(self.combinations, key=len, default=())

    @property
    def on_cluster(self) -> str:
        """Clause of every statement that makes or alters something."""
        return f" ON CLUSTER {quoted_name(self.cluster)}" if self.cluster else ""

    def columns(self) -> dict[str, str]:
        """Columns of views by dimension; one that would be named as another column begins with `dimension_`."""
        taken = columns()
        return {name: f"dimension_{name}" if name in taken else name for name in self.dimensions}

    def render(self, text: str, **more: str) -> str:
        """Fill the placeholders of a file, and these."""
        others = ", ".join(quoted_text(name) for name in self.dimensions if name not in self.finest)
        placeholders = {
            "on_cluster": self.on_cluster,
            "replicated": "Replicated" if self.cluster else "",
            "minutes_days": str(MINUTES_DAYS),
            "hours_days": str(HOURS_DAYS),
            "dead_letters_days": str((DEAD.retention_ms or 0) // DAY_MS),
            "minutes_since": _still_kept(MINUTES_DAYS),
            "hours_since": _still_kept(HOURS_DAYS),
            "definer": "DEFINER = CURRENT_USER SQL SECURITY DEFINER",
            "combination": COMBINATION,
            "finest": quoted_text(",".join(self.finest) or "all"),
            "finest_dimensions": self._lines(lambda name: _in_key("segment", name), self.finest),
            "segment_dimensions": self._lines(lambda name: _in_key("segment", name)),
            "finest_segment": _FINEST_SEGMENT,
            "dimensions": self._lines(lambda name: self._of_row(name, f"dimensions[{quoted_text(name)}]")),
            "other_dimensions": f"mapFilter((name, value) -> name IN [{others}], dimensions)" if others else "''",
            "segments_dimensions": self._lines(
                lambda name: self._of_row(name, _in_key("arrayStringConcat(segments, ',')", name))
            ),
            "plain_dimensions": self._lines(lambda name: quoted_name(self.columns()[name])),
            **more,
        }
        for name, filled in placeholders.items():
            text = text.replace(f"{{{name}}}", filled)
        return text

    def _of_row(self, dimension: str, otherwise: str) -> str:
        """SQL of a dimension's value: of the finest segment, of which there are few, or where that does not name it."""
        return _in_key("finest_segment", dimension) if dimension in self.finest else otherwise

    def _lines(self, sql: Callable[[str], str], names: Iterable[str] | None = None) -> str:
        named = self.columns()
        chosen = self.dimensions if names is None else names
        return "\n".join(f"    {sql(name)} AS {quoted_name(named[name])}," for name in chosen)


def _still_kept(days: int) -> str:
    """SQL of the first day of which every pane is still there, however soon a merge removes what is older."""
    return f"(toStartOfDay(now('UTC')) - INTERVAL {days - 1} DAY)"


def _in_key(key: str, dimension: str) -> str:
    """SQL of a dimension's value in a segment's key, null where the key does not name it."""
    pattern = quoted_text(f"(?:^|,){re.escape(dimension)}=([^,]*)")
    return f"if(match({key}, {pattern}), decodeURLComponent(extract({key}, {pattern})), NULL)"


PLAIN: Final = Layout()
"""Layout of one server for a program without dimensions."""
