"""`nps link`: prints the link of a survey that was sent, or of every survey as it is sent."""

import argparse
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlencode

from schemas.codec import Codec, Undecodable
from schemas.events import SurveyDispatch
from schemas.topics import DISPATCHES
from streams.commands.session import codec_of, out, read_settings, require_topics
from streams.errors import BadSettings, ExitCode
from streams.kafka.ports import Records
from streams.kafka.reader import KafkaReader
from streams.settings import Settings


def run(parsed: argparse.Namespace) -> int:
    """Print the link of one survey; or with --follow those of all surveys, until asked to stop."""
    if bool(parsed.survey) is parsed.follow:
        raise BadSettings("name one survey by its survey_id, or give --follow for every survey")
    settings = read_settings()
    require_topics(settings, {DISPATCHES.name})
    codec = codec_of(settings, encodes=False)
    with closing(KafkaReader(settings.brokers, settings.security, settings.server_wait_s)) as reader:
        partitions = reader.partitions_of(DISPATCHES.name)
        if parsed.follow:
            for dispatch in _dispatches(codec, reader.follow(partitions)):
                if dispatch.reminder == 0 and dispatch.token:
                    out.print(f"{dispatch.survey_id}  {_link(settings, dispatch)}", soft_wrap=True)
        found = [each for each in _dispatches(codec, reader.read(partitions)) if each.survey_id == parsed.survey]
    if not found:
        raise BadSettings(
            f"no survey {parsed.survey} in {DISPATCHES.name}: `nps why CUSTOMER` lists a customer's surveys"
        )
    if not found[-1].token:
        raise BadSettings(f"survey {parsed.survey} was sent without a link: give the workers NPS_LINK_KEYS")
    out.print(_link(settings, found[-1]), soft_wrap=True)
    return ExitCode.OK


def _dispatches(codec: Codec, records: Records) -> Iterator[SurveyDispatch]:
    """The dispatches among the records; what others wrote there is passed over."""
    for _, record in records:
        try:
            yield codec.decode(SurveyDispatch, record.value)
        except Undecodable:
            continue


def _link(settings: Settings, dispatch: SurveyDispatch) -> str:
    query = f"?{urlencode({'lang': dispatch.locale})}" if dispatch.locale else ""
    return f"{settings.collector_address}/r/{dispatch.token}{query}"
