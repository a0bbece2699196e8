"""TOML written from values, for tests that make mapping files."""

import json
from collections.abc import Mapping
from typing import Any


def toml_text(mapping: Mapping[str, Any]) -> str:
    """Write a mapping file: plain keys first, each `[[events]]` after them, tables inside it inline."""
    lines = [f"{key_text(key)} = {value_text(value)}" for key, value in mapping.items() if key != "events"]
    for event in mapping["events"]:
        lines += ["", "[[events]]"]
        lines += [f"{key_text(key)} = {value_text(value)}" for key, value in event.items()]
    return "\n".join(lines) + "\n"


def key_text(key: str) -> str:
    """Write a key."""
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else text_in_quotes(key)


def value_text(value: Any) -> str:
    """Write a value; a table is written inline."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key_text(key)} = {value_text(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if isinstance(value, str):
        return text_in_quotes(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def text_in_quotes(text: str) -> str:
    """Write a text as a basic string: JSON's, but for surrogate pairs and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
