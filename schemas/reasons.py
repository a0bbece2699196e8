"""Closed lists of reasons; each is a dead-letter header, a metric label, a ledger value and a README row."""

from enum import StrEnum


class Reason(StrEnum):
    """Reason for which an event was rejected, ignored, suppressed or not counted; `meaning` is for the README."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "Reason":
        """Make a reason, which equals its word, and keep the sentence beside it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    # rejected: the event becomes a dead letter
    NO_VALUE = "no_value", "The record has no value."
    UNDECODABLE = "undecodable", "The bytes are not Avro of the promised type."
    UNKNOWN_SCHEMA = "unknown_schema", "The header names a schema that was never released or registered."
    WRONG_TYPE = "wrong_type", "A valid record of another type, on the wrong topic."
    TOO_LARGE = "too_large", "More than 64 KiB with key and headers: no event is."
    TOO_LONG = "too_long", "An id, a name or another short text of more than 256 bytes; the detail names the field."
    ABSURD_TIME = "absurd_time", "The event's time lies before 2000 or after 2099: another unit, or none was given."
    WRONG_KEY = "wrong_key", "The record's key is not its customer_id."
    INVALID_EVENT = "invalid_event", "An empty `customer_id`, `id` or `source`; the detail names the field."
    PLACEHOLDER = "placeholder", "The `customer_id` is one of `events.placeholders`: it stands for nobody or for many."
    INVALID_SCORE = "invalid_score", "The score is not a whole number from 0 to 10; never clamped."
    EMPTY_RESPONSE = "empty_response", "Neither score nor comment nor withdrawal."
    UNKNOWN_SURVEY = "unknown_survey", "The survey was never sent to this customer, or is forgotten."
    EDIT_CLOSED = "edit_closed", "A correction after the edit window."
    TOO_LATE = (
        "too_late",
        "The event's time lies further before its Kafka timestamp than `limits.late`; contact updates are never.",
    )
    TOO_EARLY = "too_early", "The event's time or Kafka timestamp lies in the future by more than `limits.early`."

    # rejected by the collector: the request becomes a dead letter
    FORGED_TOKEN = "forged_token", "A survey link that we did not sign, or whose key is retired."
    FOREIGN_TOKEN = "foreign_token", "A survey link's token sent with another survey or customer than its own."
    EXPIRED_TOKEN = "expired_token", "A survey link that was opened after its survey's expiry."

    INVALID_CONTACT = "invalid_contact", "A contact update with an unknown channel, consent, bounce or time zone."

    # rejected by a source: the foreign record becomes a dead letter
    MISSING_FIELD = (
        "missing_field",
        "A foreign record has nothing where its mapping file finds a field; the detail names it.",
    )
    BAD_VALUE = "bad_value", "A foreign value that its field cannot take; the detail names file, line and field."
    UNMAPPED_VALUE = "unmapped_value", "A foreign word that the field's `map` does not have."
    NO_MAPPING = "no_mapping", "A foreign record that no event of its mapping file is meant for."
    PERSONAL_DATA = "personal_data", "An attribute with an `@`: an address must not become a segment."
    UNKNOWN_CUSTOMER = (
        "unknown_customer",
        "A foreign record that names an order, case or address of which no customer was known within `limits.hold`.",
    )
    TOO_MANY_EVENTS = "too_many_events", "A foreign record of more than 1,000 events, elements or lines."

    # ignored: nothing new in it
    DUPLICATE = "duplicate", "Already taken: the same source and id, or the same correction."
    SUPERSEDED = "superseded", "A newer correction of the same answer was already taken, or it changes nothing."
    CUT = "cut", "A comment longer than is kept of an answer or a customer: cut, and all else was taken."

    # suppressed: the trigger leads to no survey
    NO_RULE = "no_rule", "No rule asks for a survey after such an event."
    OPTED_OUT = "opted_out", "The customer does not want to be asked."
    ASKED_RECENTLY = "asked_recently", "Asked within `quarantine.any`, or for this survey within its own quarantine."
    CANCELLED = "cancelled", "An event named in the rule's `cancel_on` came before the survey was sent or answered."
    UNKNOWN_TYPE = "unknown_type", "The event's type is not listed in `events.types`."
    NO_CONSENT = "no_consent", "No consent for the rule's purpose, or it was withdrawn, on every channel of the rule."
    BOUNCED = "bounced", "Messages bounce on every channel of the rule."
    CHANNEL_LIMIT = "channel_limit", "Every channel of the rule was used as often as `channels` allows."
    NO_CHANNEL = "no_channel", "Each channel of the rule objects, not all for the same reason."
    SAMPLED_OUT = "sampled_out", "Not among the share of customers that the rule's `sample` asks."
    DAILY_LIMIT = "daily_limit", "The rule asked this customer `at_most_a_day` times within 24 hours."
    ALREADY_PENDING = "already_pending", "A survey of higher priority is about to be sent to the customer."
    TOO_MANY_TRIGGERS = (
        "too_many_triggers",
        "More surveys of one customer are scheduled or known than `[customer]` has room for.",
    )

    MISSED = "missed", "Found to be due more than the rule's `send_within` after it was: too late to make sense."
    FORGOTTEN = "forgotten", "The local broker was started anew while the survey waited: it is not sent any more."
    ERASED = "erased", "The customer was erased, and this happened before."

    # kept, but not counted
    EXPIRED = "expired", "Answered after the survey's expiry."
    VOIDED = "voided", "Withdrawn."
    NO_SCORE = "no_score", "Only a comment so far."

    # rejected by a sink: the record becomes a dead letter
    REFUSED_BY_WAREHOUSE = "refused_by_warehouse", "ClickHouse refused the row; the others of its batch were written."
    UNDELIVERED = "undelivered", "The webhook did not take the alert in any of its tries."

    # read from nps.dead-letters, written by another program
    UNLABELLED = "unlabelled", "A record on nps.dead-letters that does not say why it died."


FAULTS = frozenset({
    Reason.NO_VALUE, Reason.UNDECODABLE, Reason.UNKNOWN_SCHEMA, Reason.WRONG_TYPE, Reason.TOO_LARGE, Reason.TOO_LONG,
    Reason.ABSURD_TIME, Reason.WRONG_KEY, Reason.INVALID_EVENT,
    Reason.INVALID_SCORE, Reason.EMPTY_RESPONSE, Reason.INVALID_CONTACT, Reason.TOO_EARLY,
})  # fmt: skip
"""Reasons that lie in the record alone, whenever it is read: many of them mean a faulty producer, or a bug of ours.

Not if the collector wrote it: strangers chose what it says, and the fuse does not count it.

The others depend on what else came and when: a backlog, or a history loaded again, may rightly be full of them.
"""
