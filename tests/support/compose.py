"""docker-compose.yml as Docker would read it: services, their environment with its variables, and their mounts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}

SECRET = "s3cret-of-the-test"
LINK_KEYS = "k1:secret-of-links-of-the-test"
GIVEN = {"CLICKHOUSE_PASSWORD": SECRET, "GRAFANA_PASSWORD": SECRET, "LINK_KEYS": LINK_KEYS}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def environment(name: str) -> dict[str, str]:
    """A service's variables as compose would pass them."""
    return {key: interpolate(str(value), GIVEN) for key, value in SERVICES[name].get("environment", {}).items()}


def mounts(name: str) -> list[tuple[str, str]]:
    """What is mounted where."""
    volumes = [with_defaults(volume) for volume in SERVICES[name].get("volumes", [])]
    return [(source, target) for source, target, *_ in (volume.split(":") for volume in volumes)]


def with_defaults(text: str) -> str:
    return interpolate(text, {})


def interpolate(text: str, given: Mapping[str, str]) -> str:
    """Compose's `${NAME:-default}` and `${NAME:?message}`.  Raises KeyError with the message."""

    def value(found: re.Match[str]) -> str:
        name, how, rest = found.groups()
        if name in given:
            return given[name]
        if how != "-":
            raise KeyError(rest)
        return str(rest)

    return VARIABLE.sub(value, text)
