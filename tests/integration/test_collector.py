"""The real collector on a local broker: what each request becomes, who is refused, and what is never said."""

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from schemas.reasons import Reason
from schemas.topics import DEAD_LETTERS
from sinks import rows
from sinks.erasure.redaction import redacted
from sinks.warehouse import Row
from streams.collector.outbox import Away, Outbox
from streams.domain.clicks import HEADED, confirmation
from streams.domain.state import Click
from streams.kafka.ports import Output
from streams.local.servers import free_port, local_broker
from tests.support.collector import BEARER, CODEC, FAR_MS, LINK_KEYS, Collecting, environ, head
from tests.support.commands import ROOT, done, run, until

NOW_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    """One collector for this module; surveys and customers are each test's own."""
    with local_broker() as broker:
        told = environ(broker.address)
        done("topics", environ=told)
        with Collecting(told, tmp_path_factory.mktemp("collector") / "log") as service:
            yield service


def asked(ask: Callable[[aiohttp.ClientSession], Awaitable[Any]]) -> Any:
    """What a client gets who follows no redirects."""

    async def asking() -> Any:
        async with aiohttp.ClientSession() as client:
            return await ask(client)

    return asyncio.run(asking())


def fetched(method: str, url: str, **more: Any) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of one request."""

    async def ask(client: aiohttp.ClientSession) -> tuple[int, str, dict[str, str]]:
        async with client.request(method, url, allow_redirects=False, **more) as answer:
            return answer.status, await answer.text(), dict(answer.headers)

    found: tuple[int, str, dict[str, str]] = asked(ask)
    return found


def pushed(collector: Collecting, body: Any, key: str = BEARER) -> tuple[int, Any]:
    """Status and JSON of a push."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    status, text, _ = fetched("POST", f"{collector.url}/responses", data=data, headers=headers)
    return status, json.loads(text)


def of(collector: Collecting, survey: str) -> list[tuple[str, int | None, str | None, bool, bool]]:
    """The responses to one survey."""
    return [
        (r.customer_id, r.score, r.comment, r.voided, r.provisional)
        for r in collector.responses()
        if r.survey_id == survey
    ]


def test_a_click_is_provisional_and_its_page_thanks(collector: Collecting) -> None:
    """The record is in Kafka when the page comes; the page is safe, unstored, and in the survey's language."""
    status, text, headers = fetched("GET", collector.link("click", "C-ä") + "?score=9&lang=de-AT")
    assert status == 200
    assert of(collector, "click") == [("C-ä", 9, None, False, True)]
    assert '<html lang="de">' in text
    assert "Sie haben 9 von 10" in text
    (nonce,) = re.findall(r"script-src 'nonce-([^']+)'", headers["Content-Security-Policy"])
    assert text.count(f'nonce="{nonce}"') == 2
    assert not re.findall(r"https?://|//[a-z]", text.split("<script")[0]), "nothing external"
    wanted = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
    assert wanted.items() <= headers.items()


def test_each_click_has_a_nonce_of_its_own(collector: Collecting) -> None:
    """Or the policy would protect nothing."""
    policies = {fetched("GET", collector.link("nonce"))[2]["Content-Security-Policy"] for _ in range(3)}
    assert len(policies) == 3


@pytest.mark.parametrize(
    ("lang", "accept", "language"),
    [("pt-BR", "de", "pt"), ("", "xx, fr-CH;q=0.8, es;q=0.9", "es"), ("nl", "", "en"), ("", "de;q=0, *;q=x", "en")],
)
def test_languages(collector: Collecting, lang: str, accept: str, language: str) -> None:
    """The survey's locale, then what the browser accepts, then English."""
    _, text, headers = fetched("GET", f"{collector.link('lang')}?lang={lang}", headers={"Accept-Language": accept})
    assert f'<html lang="{language}">' in text
    assert headers["Content-Language"] == language


def test_a_link_without_a_score_asks_and_takes_nothing(collector: Collecting) -> None:
    """The question with eleven buttons; a score that is none shows it again."""
    for query, status in (("", 200), ("?score=11", 400), ("?score=-1", 400), ("?score=9.0", 400), ("?score=", 400)):
        got, text, _ = fetched("GET", collector.link("question") + query)
        assert (got, text.count('name="score"')) == (status, 11)
    assert of(collector, "question") == []


def test_words_are_a_persons(collector: Collecting) -> None:
    """The form is no provisional answer; it leads to a page that can be loaded again without sending it again."""
    link = collector.link("words")
    form = {"comment": "Gut &\r\nschnell 🙂 ", "chosen": "9", "lang": "de"}
    status, _, headers = fetched("POST", link, data=form)
    assert status == 303
    status, text, _ = fetched("GET", collector.url + headers["Location"])
    assert (status, "Danke für Ihren Kommentar" in text) == (200, True)
    assert of(collector, "words") == [("c1", 9, "Gut &\nschnell 🙂", False, False)]
    fetched("POST", link, data={"score": "3", "chosen": "9", "comment": ""})
    assert of(collector, "words")[1] == ("c1", 3, None, False, False)


def test_a_form_that_says_nothing_or_too_much_is_refused(collector: Collecting) -> None:
    """No record, no error of ours."""
    link = collector.link("form")
    assert fetched("POST", link, data={"comment": " "})[0] == 400
    assert fetched("POST", link, data=b"\xff\xfe=%zz&&&")[0] == 400
    assert fetched("POST", link, data={"comment": "x" * 40_000})[0] == 413
    assert of(collector, "form") == []


def test_the_beacon_confirms_the_click_that_the_page_is_of(collector: Collecting) -> None:
    """It is the very answer that the click becomes by itself; a time that cannot be is refused."""
    link = collector.link("beacon")
    _, text, _ = fetched("GET", link + "?score=2")
    (at,) = re.findall(r'data-at="(\d+)"', text)
    assert fetched("POST", f"{link}/seen", data={"score": "2", "at": at})[0] == 204
    clicked, seen = [r for r in collector.responses() if r.survey_id == "beacon"]
    assert clicked.time == int(at)
    assert seen == confirmation("beacon", "c1", Click(int(at), 2))
    for wrong in ({"score": "2", "at": "soon"}, {"score": "2", "at": "1"}, {"score": "2", "at": str(FAR_MS)}, {}):
        assert fetched("POST", f"{link}/seen", data=wrong)[0] == 400
    assert len(of(collector, "beacon")) == 2


def test_the_trap_and_a_head_are_noted(collector: Collecting) -> None:
    """The hidden link is on the page; whoever follows it is a machine, and whoever asks with HEAD may be."""
    link = collector.link("trap")
    _, text, _ = fetched("GET", link + "?score=2")
    (trap,) = re.findall(r'<a href="([^"]+)"[^>]* hidden>', text)
    assert fetched("GET", collector.url + trap)[0] == 200
    assert head(link + "?score=0") == 200
    assert [record[3:] for record in of(collector, "trap")] == [(False, True), (True, True), (True, True)]
    types = [response.type for response in collector.responses() if response.survey_id == "trap"]
    assert types == ["survey.clicked", "survey.trapped", HEADED]


PREFETCHES = (
    {"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Sec-Purpose": "prefetch;anonymous-client-ip"},
    {"Purpose": "prefetch"}, {"X-Moz": "prefetch"}, {"X-Purpose": "preview"}, {"Purpose": "Prerender"},
)  # fmt: skip


@pytest.mark.parametrize("headers", PREFETCHES)
def test_a_prefetch_takes_nothing_and_is_refused(collector: Collecting, headers: dict[str, str]) -> None:
    """With a status that no browser keeps, so that it asks again when somebody wants to see the page."""
    survey = f"prefetch-{'-'.join(headers)}-{'-'.join(headers.values())}"
    link = collector.link(survey)
    for method, path in (("GET", "?score=0"), ("HEAD", "?score=0"), ("GET", "/more"), ("GET", "")):
        assert fetched(method, link + path, headers=headers)[0] == 503
    assert of(collector, survey) == []
    assert fetched("GET", link + "?score=9")[0] == 200
    assert of(collector, survey) == [("c1", 9, None, False, True)]


WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/131.0.0.0 Safari/537.36"
ROBOTS = (
    "WhatsApp/2.23.20.0 A",
    "WhatsApp/2",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Slack-ImgProxy (+https://api.slack.com/robots)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    f"{CHROME} Edg/131.0.0.0 MicrosoftPreview/2.0 +https://aka.ms/MicrosoftPreview",
    "Microsoft Office Existence Discovery",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 "
    "Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
    "facebookexternalhit/1.1;line-poker/1.0",
    "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    "Twitterbot/1.0",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/)",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "AdsBot-Google (+http://www.google.com/adsbot.html)",
    "Mediapartners-Google",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; redditbot/1.0; +http://www.reddit.com/feedback)",
    "Synapse (bot; +https://github.com/matrix-org/synapse)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Iframely/1.3.1 (+https://iframely.com/docs/about)",
)
PERSONS = (
    CHROME,
    f"{CHROME} Edg/131.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "[FBAN/FBIOS;FBAV/464.0.0.36.109;FBDV/iPhone14,2;FBSN/iOS;FBLC/de_DE]",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "Twitter for iPhone/10.44",
    f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {WEBKIT} Chrome/131.0 Mobile Safari/537.36 [LinkedInApp]/4.1",
    f"Mozilla/5.0 (Linux; Android 14) {WEBKIT} Chrome/131.0 Mobile Safari/537.36 "
    "Telegram-Android/11.3 (Google Pixel 8; Android 14; SDK 34)",
    f"Mozilla/5.0 (Linux; Android 9; CUBOT X19) {WEBKIT} Chrome/131.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/310.0 "
    "Mobile/15E148 Safari/604.1",
    f"{CHROME} Teams/1.7.00.6058",
)


def test_previews_and_robots_take_nothing_and_persons_in_apps_do(collector: Collecting) -> None:
    """The true user agents; a preview shows the question, and whoever opens the link in an app is a person."""
    for number, agent in enumerate(ROBOTS):
        link = collector.link(f"robot-{number}")
        for method, path in (("GET", "?score=0"), ("GET", "?score=10"), ("HEAD", "?score=0"), ("GET", "/more")):
            status, text, _ = fetched(method, link + path, headers={"User-Agent": agent})
            assert (status, 'data-score="' in text) == (200, False), agent
            assert method == "HEAD" or "How likely are you" in text
    for agent in PERSONS:
        assert fetched("GET", collector.link("persons") + "?score=9", headers={"User-Agent": agent})[0] == 200
    assert [response for response in collector.responses() if response.survey_id.startswith("robot-")] == []
    assert len(of(collector, "persons")) == len(PERSONS)


def test_the_page_of_a_click_comes_back_and_takes_nothing(collector: Collecting) -> None:
    """The address that the page gives itself: its score, its click's beacon while that is young, or the question."""
    link = collector.link("back")
    _, text, _ = fetched("GET", link + "?score=3")
    (at,) = re.findall(r'data-at="(\d+)"', text)
    for query, shown in ((f"score=3&at={at}", f'data-at="{at}"'), ("score=9&at=", 'data-score="9">'),
                         (f"score=9&at={FAR_MS}", 'data-score="9">'), ("score=3&at=1", 'data-score="3">'),
                         ("score=3&at=x", 'data-score="3">')):  # fmt: skip
        status, text, _ = fetched("GET", f"{link}/clicked?{query}&lang=de")
        assert (status, "Danke" in text, shown in text) == (200, True, True), query
    for query in ("", "?score=11", "?score="):
        status, text, _ = fetched("GET", f"{link}/clicked{query}")
        assert (status, "How likely" in text) == (200, True)
    assert of(collector, "back") == [("c1", 3, None, False, True)]


@pytest.mark.parametrize(("language", "direction"), [("ar", ' dir="rtl"'), ("he-IL", ' dir="rtl"'), ("pt-BR", "")])
def test_languages_have_their_direction(collector: Collecting, language: str, direction: str) -> None:
    """The page reads from right to left where its language does; words of any language are typed in their own."""
    _, text, _ = fetched("GET", f"{collector.link('rtl')}?score=9&lang={language}")
    assert f'<html lang="{language[:2]}"{direction}>' in text
    assert '<textarea id="comment" name="comment" dir="auto"' in text


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_links_that_are_not_good_get_one_page_and_one_dead_letter(collector: Collecting, method: str) -> None:
    """Forged, expired, with another's claim: the same page, a dead letter with its reason, and no answer."""
    good, other = collector.link(f"good{method}", "c9"), collector.link("other", "c8")
    spliced = good.rpartition(".")[0] + "." + other.rpartition(".")[2]
    cases = [
        (good[:-1], Reason.FORGED_TOKEN),
        (f"{collector.url}/r/nonsense", Reason.FORGED_TOKEN),
        (spliced, Reason.FORGED_TOKEN),
        (collector.link(f"good{method}", "c9", NOW_MS), Reason.EXPIRED_TOKEN),
    ]
    pages = set()
    for link, reason in cases:
        before = len(collector.deaths())
        status, text, _ = fetched(method, link + "?score=0")
        deaths = collector.deaths()[before:]
        assert (status, [death.reason for death, _ in deaths]) == (404, [reason])
        assert deaths[0][1].value == f"{method} {link.removeprefix(collector.url)}?score=0".encode()
        pages.add(re.sub(r"nonce=\S+", "", text))
    assert len(pages) == 1
    assert of(collector, f"good{method}") == []


def test_dead_letters_have_places_of_their_own(collector: Collecting) -> None:
    """The warehouse keeps one row for each place, so no two may share one; and `nps deadletters` lists them."""
    for _ in range(2):
        fetched("GET", f"{collector.url}/r/the-same-forgery")
    places = [(death.topic, death.partition, death.offset, death.reason) for death, _ in collector.deaths()]
    assert len(places) == len(set(places)) >= 2
    assert "forged_token" in done("deadletters", "list", environ={"NPS_BROKERS": collector.brokers})


def dead_rows(brokers: str) -> list[Row]:
    """Rows of the warehouse that all dead letters make, none of them refused."""
    with closing(Consumer({"bootstrap.servers": brokers, "group.id": "rows"})) as consumer:
        consumer.assign([TopicPartition(DEAD_LETTERS, 0, OFFSET_BEGINNING)])
        messages: list[Message] = []
        _, end = consumer.get_watermark_offsets(TopicPartition(DEAD_LETTERS, 0), 30)

        def have_come() -> bool:
            messages.extend(consumer.consume(100, 0.2))
            return len(messages) >= end > 0

        until(have_come, "dead letters")
    parts, rejects = rows.decode(CODEC, messages, NOW_MS)
    assert rejects == []
    assert len(parts[DEAD_LETTERS].rows) == len(messages)
    return list(parts[DEAD_LETTERS].rows)


def test_the_warehouse_takes_every_one(collector: Collecting) -> None:
    """Each dead letter of ours makes a row of its table, under the customer whom a signed link names."""
    fetched("GET", collector.link("old", "c-expired", NOW_MS))
    assert any(b"c-expired" in row or "c-expired" in row for row in dead_rows(collector.brokers))


def test_an_erasure_empties_what_was_pushed_in_a_customers_name(collector: Collecting) -> None:
    """Whoever's token came with it: the dead letter lies under the customer whose words it holds."""
    token = collector.link("erasure", "p1").rpartition("/")[2]
    said = {"source": "tool", "survey_id": "erasure", "token": token}
    body = [{**said, "id": f"e{n}", "customer_id": f"p{n}", "comment": f"p{n}@example.org"} for n in (1, 2, 3)]
    assert pushed(collector, body)[0] == 207
    before = dead_rows(collector.brokers)
    after = redacted("dead_letters", before, {rows.digest("p2"): NOW_MS})
    assert [name for name in ("p1", "p2", "p3") if f"{name}@example.org" in str(before)] == ["p2", "p3"]
    assert [name for name in ("p1", "p2", "p3") if f"{name}@example.org" in str(after)] == ["p3"]


def test_pushes_of_survey_tools(collector: Collecting) -> None:
    """One or many, with the tool's own id and time; they are no provisional answers."""
    one = {"source": "tool", "id": "a1", "customer_id": "c1", "survey_id": "push", "score": 9}
    assert pushed(collector, one) == (202, {"accepted": 1})
    many = [{**one, "id": f"a{n}", "time": "2026-01-31T12:00:00Z", "comment": "ok"} for n in range(2, 5)]
    assert pushed(collector, many) == (202, {"accepted": 3})
    assert sorted(of(collector, "push"), key=str) == [("c1", 9, "ok", False, False)] * 3 + [
        ("c1", 9, None, False, False)
    ]


@pytest.mark.parametrize("key", ["", "wrong", BEARER[:-1], BEARER + " x", "é"])
def test_pushes_need_the_key(collector: Collecting, key: str) -> None:
    """401, whatever the body, and nothing is taken."""
    status, said = pushed(collector, {"survey_id": "unauthorised"}, key)
    assert (status, "bearer key" in said["error"]) == (401, True)
    assert of(collector, "unauthorised") == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        ([1], "answer 0: expected an object"),
        ([{"source": "t", "id": "1", "customer_id": "c", "survey_id": "bad", "score": "9"}], "score"),
        ({"source": "t", "id": "1", "customer_id": "c", "survey_id": "bad", "scores": 9}, "scores"),
        ({"source": "t", "customer_id": "c", "survey_id": "bad", "score": 9}, "id"),
        ({"topic": "purchases", "source": "t", "id": "1"}, "answer 0"),
        ([{}] * 1_001, "at most 1000"),
    ],
)
def test_pushes_that_are_no_answers_are_refused_whole(collector: Collecting, body: Any, says: str) -> None:
    """400 with what is wrong, and none of the list is taken."""
    if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict):
        body = [{**body[0], "score": 9}, *body]
    status, said = pushed(collector, body)
    assert status == 400
    assert says in said["error"]
    assert of(collector, "bad") == []


def test_a_transplanted_token_is_refused(collector: Collecting) -> None:
    """A token pushed with another survey or customer: 403, a dead letter with the body, no answer."""
    token = collector.link("mine", "c1").rpartition("/")[2]
    answer = {"source": "tool", "id": "t", "customer_id": "c1", "survey_id": "mine", "score": 9, "token": token}
    assert pushed(collector, answer)[0] == 202
    for wrong in ({"customer_id": "c2"}, {"survey_id": "theirs"}):
        before = len(collector.deaths())
        assert pushed(collector, {**answer, **wrong})[0] == 403
        ((death, record),) = collector.deaths()[before:]
        assert death.reason == Reason.FOREIGN_TOKEN
        assert json.loads(record.value or b"") == {**answer, **wrong}
    assert pushed(collector, {**answer, "token": token[:-1]})[0] == 403
    assert len(of(collector, "mine")) == 1
    assert of(collector, "theirs") == []


def test_the_push_in_the_readme_is_taken(collector: Collecting) -> None:
    """As it stands there, and its answer too."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ((body, said),) = re.findall(r"^\$ curl [^']*/responses [^']*'([^']*)'\n(\{.*\})$", readme, re.MULTILINE)
    assert pushed(collector, body.encode()) == (202, json.loads(said))


def test_other_addresses_lead_nowhere(collector: Collecting) -> None:
    """404 or 405 with the one page; no traceback, no version."""
    wanted = [("GET", "/", 404), ("GET", "/r/", 404), ("GET", "/responses", 405), ("DELETE", "", 404)]
    for method, path, status in wanted:
        got, text, headers = fetched(method, collector.url + path if path else collector.link("away"))
        assert (got, "This link no longer works" in text) == (status, True)
        assert "Content-Security-Policy" in headers


def test_healthy_while_kafka_answers(collector: Collecting) -> None:
    """For the orchestrator; needs no key."""
    assert fetched("GET", f"{collector.url}/healthz")[:2] == (200, "ok\n")


def test_too_many_requests_are_told_to_wait(collector: Collecting, tmp_path: Path) -> None:
    """A link and an address have limits of their own; other links go on; forwarded addresses are told apart."""
    told = environ(collector.brokers, {"NPS_COLLECTOR_LINK_RATE": "3", "NPS_COLLECTOR_PROXIES": "1",
                                       "NPS_COLLECTOR_ADDRESS_RATE": "5"})  # fmt: skip
    with Collecting(told, tmp_path / "log") as limited:
        client = {"X-Forwarded-For": "9.9.9.9, 192.0.2.1"}
        link, other = limited.link("limited"), limited.link("unlimited")
        got = [fetched("GET", link, headers=client) for _ in range(4)]
        assert [status for status, _, _ in got] == [200, 200, 200, 429]
        assert got[3][2]["Retry-After"] == "60"
        assert [fetched("GET", other, headers=client)[0] for _ in range(2)] == [200, 429]
        assert fetched("GET", other, headers={"X-Forwarded-For": "192.0.2.1, 192.0.2.2"})[0] == 200
        assert limited.stop() == 0


def test_nobody_is_thanked_while_kafka_is_away(tmp_path: Path) -> None:
    """503 and a clear page within the bound; not healthy; when Kafka is back answers are taken again."""
    port = free_port()
    with local_broker(port) as broker:
        told = environ(broker.address, {"NPS_COLLECTOR_WAIT_MS": "1500"})
        done("topics", environ=told)
        service = Collecting(told, tmp_path / "log")
    with service:
        status, text, headers = fetched("GET", service.link("away", "private@example.org") + "?score=9&lang=fr")
        assert (status, headers["Retry-After"]) == (503, "60")
        assert "pas encore arrivée" in text
        assert 'data-at="' not in text
        assert fetched("GET", f"{service.url}/healthz")[0] == 503
        answer = {"source": "tool", "id": "a", "customer_id": "c1", "survey_id": "away", "score": 9}
        authorised = {"Authorization": f"Bearer {BEARER}"}
        status, text, headers = fetched("POST", f"{service.url}/responses", json=answer, headers=authorised)
        assert (status, headers["Retry-After"]) == (503, "60")
        assert "send it again" in json.loads(text)["error"]
        assert "kafka_away" in service.said()
        with local_broker(port):
            done("topics", environ=told)
            service.until(lambda: fetched("GET", service.link("back") + "?score=9")[0] == 200, "answers are taken")
            assert service.stop() == 0
        assert "private" not in service.said()


@pytest.mark.kafka
def test_on_a_real_kafka_that_is_killed(tmp_path: Path) -> None:
    """The same on Apache Kafka: 503 while its only broker is dead, and answers are taken once it serves again."""
    from tests.faults.harness.kafka import KafkaCluster

    with KafkaCluster(tmp_path) as cluster:
        told = environ(cluster.bootstrap, {"NPS_COLLECTOR_WAIT_MS": "2000"})
        done("topics", environ=told)
        with Collecting(told, tmp_path / "log") as service:
            assert fetched("GET", service.link("before") + "?score=9")[0] == 200
            cluster.kill(1)
            assert fetched("GET", service.link("during") + "?score=9")[0] == 503
            cluster.start(1)
            service.until(lambda: fetched("GET", service.link("after") + "?score=9")[0] == 200, "answers are taken")
            assert {response.survey_id for response in service.responses()} >= {"before", "after"}
            assert service.stop() == 0


def test_logs_hold_nothing_of_persons(collector: Collecting) -> None:
    """After all of the above a log with one line: where it listens."""
    fetched("GET", collector.link("secret-survey", "secret-customer") + "?score=9")
    with socket.create_connection(("127.0.0.1", int(collector.url.rpartition(":")[2]))) as raw:
        raw.sendall(b"GET /r/secret\x00 HTTP/9.9\r\n\r\n")
        raw.recv(1_000)
    assert re.fullmatch(r"collector listens at http://127\.0\.0\.1:\d+\n", collector.said())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"NPS_LINK_KEYS": ""}, "NPS_LINK_KEYS is needed"),
        ({"NPS_COLLECTOR_KEY": "short"}, "NPS_COLLECTOR_KEY must have"),
        ({"NPS_BROKERS": "127.0.0.1:1", "NPS_SERVER_WAIT_S": "1"}, "127.0.0.1:1"),
        ({"NPS_COLLECTOR_CONNECTIONS": "0"}, "NPS_COLLECTOR_CONNECTIONS must be above 0"),
        ({"NPS_COLLECTOR_ADDRESS_CONNECTIONS": "-1"}, "NPS_COLLECTOR_ADDRESS_CONNECTIONS must be above 0"),
        ({"NPS_COLLECTOR_CONNECTIONS": "1000000000"}, "lower it, or raise `ulimit -Hn`"),
    ],
)
def test_a_wrong_start_is_one_line(more: dict[str, str], says: str) -> None:
    """Which setting, and what to do; never a secret."""
    told = {**environ("127.0.0.1:1", more)}
    ended = run("collector", environ={name: text for name, text in told.items() if text})
    assert ended.returncode in (2, 3)
    assert (ended.stderr.count("\n"), says in ended.stderr) == (1, True)
    assert LINK_KEYS not in ended.stderr + ended.stdout


def test_a_taken_port_is_named(collector: Collecting) -> None:
    """With the setting to change."""
    told = environ(collector.brokers, {"NPS_COLLECTOR_PORT": collector.url.rpartition(":")[2]})
    ended = run("collector", environ=told)
    assert (ended.returncode, "change NPS_COLLECTOR_PORT" in ended.stderr) == (2, True)


def test_the_outbox_gives_up_in_time() -> None:
    """Without a broker: Away after the bound, and it can still be closed."""

    async def put() -> None:
        outbox = Outbox("127.0.0.1:1", {}, 500)
        try:
            with pytest.raises(Away):
                await outbox.put([Output("nps.responses", b"v", b"k")])
            assert not await outbox.is_reachable()
        finally:
            outbox.close()

    asyncio.run(asyncio.wait_for(put(), 60))


@pytest.mark.parametrize(
    "body",
    [
        b"comment=" + b"\xff" * 32_000,
        b"comment=" + b"%FF" * 10_000,
        b"comment=" + b"x" * 16_385,
        b"comment=" + "é".encode() * 8_193,
        b"lang=" + b"\xfe" * 20_000 + b"&comment=short",
    ],
)
def test_a_form_is_bounded_as_it_is_read(collector: Collecting, body: bytes) -> None:
    """Bytes that are no UTF-8 take three times the room once they are read; no more than 16 KiB are a comment."""
    link = collector.link("grown")
    assert fetched("POST", link, data=body, headers={"Content-Type": "application/x-www-form-urlencoded"})[0] == 413
    assert of(collector, "grown") == []


def test_the_longest_comment_that_is_written_is_taken_whole(collector: Collecting) -> None:
    """16 KiB, and junk in as far as it fits: replaced, not refused."""
    link = collector.link("longest")
    assert fetched("POST", link, data={"comment": "x" * 16_384})[0] == 303
    assert fetched("POST", link, data=b"comment=\xff%FF")[0] == 303
    comments = {comment for _, _, comment, _, _ in of(collector, "longest")}
    assert comments == {"x" * 16_384, "\ufffd\ufffd"}


@pytest.mark.parametrize("survey", ["s" * 257, "s"])
def test_links_of_ids_that_no_worker_takes_are_closed(collector: Collecting, survey: str) -> None:
    """Signed by whoever has the key, and yet no record; with ids as long as may be they are links as any."""
    customer = "é" * 128 + ("x" if len(survey) == 1 else "")
    link = collector.link(survey, customer)
    assert [fetched(method, link + "?score=9")[0] for method in ("GET", "POST")] == [413, 400]
    assert fetched("POST", link, data={"comment": "x"})[0] == 413
    assert of(collector, survey) == []
    longest = collector.link("l" * 256, "é" * 128)
    assert fetched("GET", longest + "?score=9")[0] == 200
    assert fetched("POST", longest, data={"comment": "x"})[0] == 303


def test_each_pushed_answer_has_its_own_outcome(collector: Collecting) -> None:
    """One with another's token does not hold up the others, and takes nothing of theirs into its dead letter."""
    token = collector.link("batch", "b1").rpartition("/")[2]
    good = [{"source": "tool", "id": f"g{n}", "customer_id": f"b{n}", "survey_id": "batch", "score": n} for n in (1, 2)]
    foreign = {**good[1], "id": "f", "customer_id": "b3", "comment": "b3@example.org", "token": token}
    forged = {**good[1], "id": "x", "customer_id": "b4", "comment": "b4@example.org", "token": "junk"}
    before = len(collector.deaths())
    status, said = pushed(collector, [good[0] | {"token": token}, foreign, good[1], forged])
    assert (status, said["accepted"]) == (207, 2)
    assert [(one["answer"], one["reason"]) for one in said["refused"]] == [(1, "foreign_token"), (3, "forged_token")]
    assert sorted(record[:2] for record in of(collector, "batch")) == [("b1", 1), ("b2", 2)]
    letters = collector.deaths()[before:]
    assert [(death.reason, record.key) for death, record in letters] == [
        (Reason.FOREIGN_TOKEN, b"b3"), (Reason.FORGED_TOKEN, b"b4")
    ]  # fmt: skip
    assert [json.loads(record.value or b"") for _, record in letters] == [foreign, forged]
    status, said = pushed(collector, [foreign, forged])
    assert (status, said["accepted"], len(said["refused"])) == (403, 0, 2)


def test_a_push_that_is_refused_buries_nothing(collector: Collecting) -> None:
    """A mistake of the tool takes nothing and leaves nothing behind, whatever else is in the body."""
    good = {"source": "tool", "id": "1", "customer_id": "c1", "survey_id": "buried", "score": 9}
    before = len(collector.deaths())
    status, said = pushed(collector, [good, {**good, "score": 11}, {**good, "token": "junk"}, {**good, "time": 1}])
    assert status == 400
    assert said["error"] == said["errors"][0] == "answer 1: score 11 is not 0 to 10 - at `$.score`"
    assert "answer 3: time 1 is 1970-01-01" in said["errors"][1]
    assert "$.time" in said["errors"][1]
    assert (of(collector, "buried"), collector.deaths()[before:]) == ([], [])


def test_errors_of_the_push_endpoint_are_json(collector: Collecting) -> None:
    """Also what is too large, or ends early, or is no body at all; and it is no failure of ours."""
    headers = {"Authorization": f"Bearer {BEARER}"}
    url = f"{collector.url}/responses"
    status, text, _ = fetched("POST", url, data=b" " * ((1 << 20) + 1), headers=headers)
    assert (status, json.loads(text)["error"]) == (413, "send at most 1048576 bytes at once")
    status, text, _ = fetched("POST", url, data=b"no gzip", headers={**headers, "Content-Encoding": "gzip"})
    assert (status, "error" in json.loads(text)) == (400, True)
    host, port = collector.url.rpartition("/")[2].split(":")
    head = f"POST /responses HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {BEARER}\r\n"
    for rest in ("Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall((head + rest).encode())
    assert pushed(collector, [])[0] == 202
    assert "request_failed" not in collector.said()


def test_half_open_connections_shut_nobody_out(collector: Collecting) -> None:
    """With 1,100 of them, some in the middle of a header or of a body, a person and a tool are served as ever."""
    host, port = collector.url.rpartition("/")[2].split(":")
    starts = [b"", b"GET /r/x HTTP/1.1\r\nX: ", b"POST /responses HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"]
    with ExitStack() as stack:
        for number in range(1_100):
            raw = stack.enter_context(socket.create_connection((host, int(port))))
            with suppress(OSError):
                raw.sendall(starts[number % 3])
            if number % 100 == 99:
                assert fetched("GET", collector.link(f"open{number}") + "?score=9")[0] == 200
        status, _, headers = fetched("GET", collector.link("half-open"))
        assert (status, headers["Server"]) == (200, "nps")
    assert "accept" not in collector.said()
