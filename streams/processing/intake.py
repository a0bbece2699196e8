"""Intake: decodes and checks an inbound record before any journey is looked at."""

from schemas.codec import Codec, Undecodable
from schemas.events import Inbound
from schemas.reasons import Reason
from schemas.topics import LARGEST_EVENT_BYTES
from streams.domain.effects import Reject
from streams.kafka.ports import FetchedRecord


def accept(codec: Codec, cls: type[Inbound], record: FetchedRecord, latest_ms: int) -> Inbound | Reject:
    """Decode a record of the topic of `cls`: its event, or the reason why it is a dead letter.

    `latest_ms` is the highest Kafka timestamp accepted.  Raises RegistryAway when a registry is needed and away.
    """
    value, key, headers = record.value, record.key, record.headers
    size_bytes = len(value or b"") + len(key or b"")
    if headers:
        size_bytes += sum(len(name) + len(text or b"") for name, text in headers)
    if size_bytes > LARGEST_EVENT_BYTES:
        return Reject(Reason.TOO_LARGE, f"{size_bytes} bytes with key and headers, at most {LARGEST_EVENT_BYTES}")
    try:
        event: Inbound = codec.decode(cls, value)
    except Undecodable as error:
        return Reject(error.reason, str(error))
    if key != event.customer_id.encode():
        return Reject(Reason.WRONG_KEY, "the record's key is not its customer_id; key records by customer_id")
    if not 0 <= record.timestamp <= latest_ms:
        return Reject(Reason.TOO_EARLY, f"Kafka timestamp {record.timestamp} is in the future or missing")
    return event
