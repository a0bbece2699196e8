"""`nps`: the command line, and the one place that knows both the stream side and the sinks."""


def main() -> None:
    """Run the command line."""
    raise SystemExit("nps: not built yet")
