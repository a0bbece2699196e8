"""What a customer has said about being contacted, and what follows: whether we may ask, and on which channel.

Of each matter the newest statement by event time holds; of two of one time the one that takes something away, else the
later read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.events import ContactUpdate
from tests.faults.oracle.terms import CHANNELS, Ask

Flags = dict[str, tuple[int, bool]]
"""When each was last spoken of, and whether it was taken away then."""


def is_meaningless(event: ContactUpdate) -> bool:
    """True when it speaks of a channel, a consent or a bounce that there is not."""
    consents = all(_is_consent(name) and value in ("granted", "withdrawn") for name, value in event.consents.items())
    bounces = all(name in CHANNELS and value in ("bounced", "cleared") for name, value in event.bounces.items())
    return not (consents and bounces and event.preferred_channel in (None, *CHANNELS))


def taken_away(event: ContactUpdate) -> ContactUpdate:
    """Only that of an update which takes something away: it holds for all that is not sent yet."""
    return event._replace(
        opted_out=event.opted_out or None,
        preferred_channel=None,
        consents={name: value for name, value in event.consents.items() if value == "withdrawn"},
        bounces={name: value for name, value in event.bounces.items() if value == "bounced"},
    )


@dataclass(slots=True)
class Contacts:
    """All of it; times are -1 for never."""

    opted: tuple[int, bool] = (-1, False)
    preferred: tuple[int, str] = (-1, "")
    consents: Flags = field(default_factory=dict)
    bounces: Flags = field(default_factory=dict)
    erased_ms: int = -1

    def take(self, event: ContactUpdate) -> None:
        """Remember what an update states."""
        if event.opted_out is not None:
            self.opted = max(self.opted, (event.time, event.opted_out))
        if event.preferred_channel is not None and event.time >= self.preferred[0]:
            self.preferred = (event.time, event.preferred_channel)
        _merge(self.consents, event.time, event.consents, "withdrawn")
        _merge(self.bounces, event.time, event.bounces, "bounced")

    def forget(self, until_ms: int) -> None:
        """Forget what was stated until then."""
        self.erased_ms = until_ms
        if self.opted[0] <= until_ms:
            self.opted = (-1, False)
        if self.preferred[0] <= until_ms:
            self.preferred = (-1, "")
        self.consents = {name: flag for name, flag in self.consents.items() if flag[0] > until_ms}
        self.bounces = {name: flag for name, flag in self.bounces.items() if flag[0] > until_ms}

    def refusal(self, ask: Ask) -> str | None:
        """Why the customer may not be asked on any channel."""
        if self.opted[1]:
            return "opted_out"
        granted = any(name.startswith(f"{ask.purpose}/") and not flag[1] for name, flag in self.consents.items())
        return "no_consent" if self._must_consent and not granted else None

    def channel(self, ask: Ask) -> tuple[str | None, str | None]:
        """The channel to ask on, None where the delivery tool chooses, and else the reason for none."""
        if not ask.channels:
            everywhere = self.consents.get(f"{ask.purpose}/*", (-1, False))
            return None, "no_consent" if everywhere[1] else None
        objections = {channel: self._objection(channel, ask) for channel in ask.channels}
        for channel in sorted(ask.channels, key=lambda channel: channel != self.preferred[1]):
            if objections[channel] is None:
                return channel, None
        reasons = set(objections.values())
        return None, reasons.pop() if len(reasons) == 1 else "no_channel"

    @property
    def _must_consent(self) -> bool:
        """True for who was erased and has not opted in since."""
        return self.erased_ms >= 0 and not (self.opted[0] > self.erased_ms and not self.opted[1])

    def _objection(self, channel: str, ask: Ask) -> str | None:
        spoken = [self.consents[name] for name in (f"{ask.purpose}/{channel}", f"{ask.purpose}/*")
                  if name in self.consents]  # fmt: skip
        is_withdrawn = max(spoken)[1] if spoken else ask.consent_required or self._must_consent
        if is_withdrawn:
            return "no_consent"
        return "bounced" if self.bounces.get(channel, (-1, False))[1] else None


def _is_consent(name: str) -> bool:
    purpose, slash, channel = name.rpartition("/")
    return bool(purpose and slash) and channel in (*CHANNELS, "*")


def _merge(flags: Flags, at_ms: int, said: Mapping[str, str], taking: str) -> None:
    for name, value in said.items():
        flags[name] = max(flags.get(name, (-1, False)), (at_ms, value == taking))
