"""The names of all settings, and the line with which an environment is refused."""

import dataclasses

import pytest

from streams.errors import BadSettings
from streams.settings import Settings

NAMES = {"NPS_" + each.name.upper(): each for each in dataclasses.fields(Settings)}


def complaint(environ: dict[str, str]) -> str:
    """The one line with which an environment is refused."""
    with pytest.raises(BadSettings) as caught:
        Settings.from_env(environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)
