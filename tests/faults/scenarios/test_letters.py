"""Dead letters are put back while whoever puts them back, and whoever reads them, is killed at every step."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.events import Purchase, SurveyResponse
from schemas.topics import PURCHASES
from tests.faults.harness.deployment import Deployment
from tests.faults.harness.fault_injection import LETTERS
from tests.faults.oracle.ids import survey_of
from tests.faults.oracle.terms import PROGRAM
from tests.faults.scenarios.scenario import conclude, now_ms, visits
from tests.faults.traffic.generator import Sent, produce
from tests.support.commands import Service, done

pytestmark = pytest.mark.kafka

CODEC = Codec()
GOOD, LOST = 40, 60
SEED = 1
STATES = "SELECT reason, state, sum(letters) FROM letters_by_reason GROUP BY reason, state"


def delivered(name: str, count: int) -> Iterator[Sent]:
    """So many new customers who were asked some seconds after a delivery, reminded of nothing, and answered."""
    at_ms = now_ms()
    for customer in (f"{name}-{number}" for number in range(count)):
        for sent in visits(customer, 1, at_ms=at_ms):
            event: Purchase | SurveyResponse
            if sent.topic == PURCHASES.name:
                event = CODEC.decode(Purchase, sent.value)._replace(type="order.delivered", time=at_ms - 20_000)
                at = at_ms - 20_000
            else:
                said = CODEC.decode(SurveyResponse, sent.value)
                survey = survey_of(said.customer_id, "shop", said.customer_id, "after-delivery")
                event, at = said._replace(survey_id=survey), at_ms - 1_000
            yield sent._replace(value=CODEC.encode(event), timestamp_ms=at)


@pytest.fixture
def nps(tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(tmp_path, PROGRAM) as deployment:
        yield deployment


def test_every_letter_counts_once_through_kills_between_any_two_steps(nps: Deployment) -> None:
    """Scenario 24: visits under somebody else's key die; put back through kills they count as if keyed rightly.

    Each trigger and each answer is put back by itself, with a kill in between.  A reminder would be sent meanwhile.
    """
    lost = [record._replace(key=b"somebody else") for record in delivered("lost", LOST)]
    worker, sink = nps.run("worker-1"), nps.run("sink")
    produce(nps.kafka.bootstrap, [*delivered("good", GOOD), *lost])
    nps.quiet()
    assert nps.query(STATES) == [("wrong_key", "waiting", len(lost))]
    redrive = ["deadletters", "redrive", "--reason", "wrong_key"]
    for number, point in enumerate(LETTERS):
        environ = {**nps.environ, "FAILPOINTS": f"{point}:kill"}
        with Service([*redrive, "--limit", str(LOST // 2)], environ, nps.folder / f"redrive-{number}.log") as command:
            assert command.ended() == -signal.SIGKILL, command.said()
        (worker if number % 2 else sink).kill()
        nps.tend()
    said = done(*redrive, environ=nps.environ)
    assert "letters put back\n" in said
    assert done(*redrive, environ=nps.environ) == "no rows\n0 letters put back\n"
    conclude(nps, "24 letters put back through kills", SEED, {"wrong_key": len(lost), "kills": 2 * len(LETTERS)})
    assert nps.query(STATES) == [("wrong_key", "redriven", len(lost))]
    assert nps.query("SELECT count() FROM answers FINAL WHERE counted") == [(GOOD + LOST,)]
