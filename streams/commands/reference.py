"""Writer of the README's reference tables from the code: settings, topics, metrics, reasons, exit codes.

python -m streams.commands.reference README.md     rewrites what lies between the markers; a test holds the file to it
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from schemas.reasons import Reason
from schemas.topics import DAY_MS, FOR_EVER, TOPICS
from sinks import metrics as sink_metrics
from sinks.clickhouse.comments import columns
from sinks.clickhouse.migrate import views
from streams import metrics, settings
from streams.errors import ExitCode

_MARKED = "<!-- {name} -->\n{text}\n<!-- end of {name} -->"


def written(text: str) -> str:
    """Replace every marked block of a text by its table.  Raises ValueError for a missing marker."""
    for name, table in _TABLES.items():
        marked = re.compile(re.escape(f"<!-- {name} -->") + ".*?" + re.escape(f"<!-- end of {name} -->"), re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"README has no block {name}: add <!-- {name} --> and <!-- end of {name} -->")
        block = _MARKED.format(name=name, text=table())
        text = marked.sub(block.replace("\\", r"\\"), text)
    return text


def _settings() -> str:
    return _table(
        ("setting", "default", "meaning"), ((f"`{n}`", f"`{d}`" if d else "", m) for n, d, m in settings.rows())
    )


def _topics() -> str:
    rows: list[tuple[str, ...]] = []
    for topic in TOPICS:
        kept = {None: "last of each key", FOR_EVER: "for ever"}
        retention = kept.get(topic.retention_ms) or f"{(topic.retention_ms or 0) // DAY_MS} days"
        value = f"[{topic.record.__name__}](schemas/avro)" if topic.record else "bytes"
        key = (topic.key or "").replace("|", "\\|")
        rows.append((f"`{topic.name}`", value, key, str(topic.partitions or "as set"), retention))
    return _table(("topic", "value", "key", "partitions", "kept"), rows)


def _metrics() -> str:
    declared = {
        m._name: m
        for module in (metrics, sink_metrics)
        for m in vars(module).values()
        if isinstance(m, MetricWrapperBase)
    }
    rows = []
    for name, metric in sorted(declared.items()):
        suffix = "_total" if metric._type == "counter" else ""
        rows.append((f"`{name}{suffix}`", str(metric._type), ", ".join(metric._labelnames), metric._documentation))
    return _table(("metric", "kind", "labels", "meaning"), rows)


def _reasons() -> str:
    return _table(("reason", "meaning"), ((f"`{reason.value}`", reason.meaning) for reason in Reason))


def _exit_codes() -> str:
    rows = ((str(code.value), code.name.lower(), code.meaning) for code in ExitCode)
    return _table(("code", "name", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _views() -> str:
    return _table(("view", "a row"), ((f"`{view.name}`", view.row) for view in views()))


def _columns() -> str:
    rows = ((f"`{name}`", text.replace("|", "\\|")) for name, text in columns().items())
    return _table(("column", "meaning"), rows)


_TABLES: dict[str, Callable[[], str]] = {
    "views": _views,
    "columns": _columns,
    "settings": _settings,
    "topics": _topics,
    "metrics": _metrics,
    "reasons": _reasons,
    "exit codes": _exit_codes,
}


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(written(readme.read_text(encoding="utf-8")), encoding="utf-8")
