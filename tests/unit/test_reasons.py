"""Reasons are closed lists, each one word and one sentence."""

import ast
import re
from pathlib import Path

import schemas
import sinks
import streams
from schemas.reasons import Reason


def test_each_is_one_word_and_one_sentence() -> None:
    """The word goes into headers and labels, the sentence into the README."""
    for reason in Reason:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason)
        assert reason.name == reason.value.upper()
        assert re.fullmatch(r"[A-Z][^\n]*\.", reason.meaning)


def test_no_word_twice() -> None:
    """An alias would count two faults as one."""
    assert len(Reason.__members__) == len(list(Reason)) == len({reason.meaning for reason in Reason})


def test_every_reason_is_used() -> None:
    """A reason that nothing gives is a promise that nothing keeps."""
    used: set[str] = set()
    sources = [path for package in (schemas, sinks, streams) for path in Path(package.__path__[0]).rglob("*.py")]
    for path in sources:
        if path.name == "reasons.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason":
                used.add(node.attr)
    assert used >= set(Reason.__members__)
