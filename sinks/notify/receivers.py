"""Kinds of receivers, and the making of one from its configuration."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from schemas.display import nearest
from schemas.errors import BadInput
from sinks.notify.alertmanager.receiver import AlertmanagerReceiver
from sinks.notify.configuration import PREFIX, OptionValue, ReceiverConfig, variable
from sinks.notify.console.receiver import ConsoleReceiver
from sinks.notify.email.receiver import EmailReceiver
from sinks.notify.goalert.receiver import GoAlertReceiver
from sinks.notify.hook import HookReceiver
from sinks.notify.pagerduty.receiver import PagerDutyReceiver
from sinks.notify.receiver import IncidentReceiver
from sinks.notify.slack.app import SlackAppReceiver
from sinks.notify.slack.message import message_of as slack_message
from sinks.notify.teams.card import message_of as teams_card
from sinks.notify.webhook.receiver import WebhookReceiver

COMMON = ("customers", "comments")
"""Options of every kind: whether it may have customers' ids, and what they wrote."""


@dataclass(frozen=True, slots=True)
class ReceiverKind:
    """Kind of receiver: how one is made, its options beside COMMON, and its secrets."""

    make: Callable[[ReceiverConfig], IncidentReceiver]
    options: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


KINDS: dict[str, ReceiverKind] = {
    "slack": ReceiverKind(SlackAppReceiver, ("channel", "url", "ca"), ("token",)),
    "slack-webhook": ReceiverKind(partial(HookReceiver, message_of=slack_message), ("ca",), ("url",)),
    "pagerduty": ReceiverKind(PagerDutyReceiver, ("url", "ca"), ("key",)),
    "alertmanager": ReceiverKind(AlertmanagerReceiver, ("ca",), ("url",)),
    "teams": ReceiverKind(partial(HookReceiver, message_of=teams_card), ("ca",), ("url",)),
    "webhook": ReceiverKind(WebhookReceiver, ("ca",), ("url", "secret", "old_secret")),
    "email": ReceiverKind(EmailReceiver, ("host", "port", "security", "from", "to", "ca"), ("username", "password")),
    "goalert": ReceiverKind(GoAlertReceiver, ("ca",), ("url",)),
    "console": ReceiverKind(ConsoleReceiver),
}
"""Kinds by the word that the program file uses."""


def configured(
    tables: Mapping[str, Mapping[str, OptionValue]], environ: Mapping[str, str]
) -> dict[str, ReceiverConfig]:
    """Read the configurations of all receivers, by name, from their tables and the environment.

    Raises BadInput, in one line, for an unknown kind, option or variable, and for two receivers that share a variable.
    """
    configs: dict[str, ReceiverConfig] = {}
    owners: dict[str, str] = {}
    for name, table in tables.items():
        kind = _kind(name, table)
        for secret in KINDS[kind].secrets:
            if (owner := owners.setdefault(variable(name, secret), name)) != name:
                raise BadInput(f"receivers {owner} and {name} share {variable(name, secret)}: rename one of them")
        secrets = {secret: environ.get(variable(name, secret), "") for secret in KINDS[kind].secrets}
        options = {option: value for option, value in table.items() if option != "kind"}
        configs[name] = ReceiverConfig(name, kind, options, secrets)
    _refuse_unknown(environ, owners)
    return configs


def made(config: ReceiverConfig) -> IncidentReceiver:
    """Make a receiver.  Raises BadInput for an option or secret that is missing or wrong."""
    _ = config.permission
    return KINDS[config.kind].make(config)


def _kind(name: str, table: Mapping[str, OptionValue]) -> str:
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        hint = nearest(str(kind), KINDS)
        raise BadInput(f"receivers.{name}.kind must be one of {', '.join(KINDS)}, not {kind!r}{hint}")
    known = ("kind", *COMMON, *KINDS[kind].options)
    for option in table:
        if option not in known:
            raise BadInput(f"receivers.{name}.{option} is no option of {kind}{nearest(option, known)}")
    return kind


def _refuse_unknown(environ: Mapping[str, str], known: Iterable[str]) -> None:
    names = sorted(known)
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in names:
            raise BadInput(f"{name} is no secret of a receiver in the program file{nearest(name, names)}")
