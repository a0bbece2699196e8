"""Configuration of a receiver: its table `[receivers.NAME]` in the program file, its secrets in the environment.

Secrets are `NPS_RECEIVER_<NAME>_<SECRET>`, NAME in capitals with _ for -.  Errors are BadInput, and repeat no secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.errors import BadInput
from sinks.notify.receiver import Permission

PREFIX = "NPS_RECEIVER_"
OptionValue = str | int | bool | list[str]


def variable(receiver: str, secret: str) -> str:
    """Make the name of the environment's variable that holds a secret of a receiver."""
    return f"{PREFIX}{receiver}_{secret}".upper().replace("-", "_")


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """Options of one receiver, and its secrets by their names in lower case; secrets are not in its `repr`."""

    name: str
    kind: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def permission(self) -> Permission:
        """Personal data that the receiver may have."""
        return Permission(self.flag("customers"), self.flag("comments"))

    def secret(self, name: str, default: str | None = None) -> str:
        """Look a secret up.  Raises BadInput for a missing one without default."""
        found = self.secrets.get(name, "") or default
        if found is None:
            raise BadInput(f"{self.place_of_secret(name)} is needed for [receivers.{self.name}]: set it")
        return found

    def place_of_secret(self, name: str) -> str:
        """Name of the variable that holds a secret, for errors."""
        return variable(self.name, name)

    def place(self, option: str) -> str:
        """Name of an option, for errors."""
        return f"receivers.{self.name}.{option}"

    def text(self, option: str, default: str | None = "") -> str:
        """Look up an option that is a text.  Raises BadInput for another type, and for none without a default."""
        found = self.options.get(option, default)
        if not isinstance(found, str):
            raise BadInput(f'{self.place(option)} must be a text: {option} = "..."')
        return found

    def number(self, option: str, default: int) -> int:
        """Look up an option that is a whole number.  Raises BadInput for another type."""
        found = self.options.get(option, default)
        if not isinstance(found, int) or isinstance(found, bool):
            raise BadInput(f"{self.place(option)} must be a whole number")
        return found

    def flag(self, option: str) -> bool:
        """Look up an option that is true or false, by default false.  Raises BadInput for another type."""
        found = self.options.get(option, False)
        if not isinstance(found, bool):
            raise BadInput(f"{self.place(option)} must be true or false")
        return found

    def texts(self, option: str) -> list[str]:
        """Look up an option that is a text or a list of texts.  Raises BadInput for none of them."""
        found = self.options.get(option, [])
        texts = [found] if isinstance(found, str) else found
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
            raise BadInput(f'{self.place(option)} must be a list of texts: {option} = ["..."]')
        return texts

    def one_of(self, option: str, choices: tuple[str, ...]) -> str:
        """Look up an option that is one of these texts, the first by default.  Raises BadInput for another."""
        found = self.text(option, choices[0])
        if found not in choices:
            raise BadInput(f"{self.place(option)} must be one of {', '.join(choices)}, not {found!r}")
        return found
