"""Reasons are closed lists, each one word and one sentence."""

import ast
import re
from pathlib import Path

import schemas
import streams
from streams.domain.reasons import Reason


def test_each_is_one_word_and_one_sentence() -> None:
    """The word goes into headers and labels, the sentence into the README."""
    for reason in Reason:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason)
        assert reason.name == reason.value.upper(), "codec reasons are found by name"
        assert re.fullmatch(r"[A-Z][^\n]*\.", reason.meaning)


def test_no_word_twice() -> None:
    """An alias would count two faults as one."""
    assert len(Reason.__members__) == len(list(Reason)) == len({reason.meaning for reason in Reason})


def test_every_reason_of_the_codec_is_on_the_list() -> None:
    """Whatever Undecodable says can be counted: its first argument is always a word of the list."""
    source = (Path(schemas.__path__[0]) / "codec.py").read_text(encoding="utf-8")
    said = set(re.findall(r"""Undecodable\(\s*"([a-z_]+)\"""", source))
    calls = len(re.findall(r"raise Undecodable\(", source))
    assert len(re.findall(r"""raise Undecodable\(\s*"([a-z_]+)\"""", source)) == calls, "a literal word each time"
    assert said <= {str(reason) for reason in Reason}


def test_every_reason_is_used() -> None:
    """A reason that nothing gives is a promise that nothing keeps."""
    used: set[str] = {"NO_VALUE", "UNDECODABLE", "UNKNOWN_SCHEMA", "WRONG_TYPE"}  # given by the codec, see above
    for path in Path(streams.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason":
                used.add(node.attr)
    assert used >= set(Reason.__members__)
