"""Nobody learns by a request whether the app knows an e-mail."""

import math
import random
import re
import statistics
import time
from email.message import EmailMessage
from typing import Any

import pytest

from consent.data_subject_requests.lifecycle import REQUEST_TYPES
from tests.conftest import App
from tests.data_subjects import Office
from tests.mailbox import body_of, secrets_of

_TRIES = 200


async def _make_known(app: App, emails: list[str]) -> None:
    for start in range(0, len(emails), 50):
        status, _ = await app.write(
            *({"email": email, "user_id": email} for email in emails[start : start + 50])
        )
        assert status == 204


async def _form_of(answer: Any) -> tuple[Any, ...]:
    """All that can be seen of an answer but when it came."""
    headers = sorted(
        (name, value)
        for name, value in answer.headers.items()
        if name.lower() not in ("date", "x-request-id")
    )
    return answer.status, await answer.read(), tuple(headers), tuple(sorted(answer.headers))


@pytest.mark.parametrize("event", REQUEST_TYPES)
async def test_known_and_unknown_emails_can_not_be_told_apart(
    office: Office, app: App, event: str
) -> None:
    known = [f"known{number}@shop.example" for number in range(_TRIES // 2)]
    unknown = [f"other{number}@shop.example" for number in range(_TRIES // 2)]
    await _make_known(app, known)
    seen: dict[str, list[float]] = {"known": [], "unknown": []}
    forms = set()
    await office.submit("warm@up.example", event)
    for number, pair in enumerate(zip(known, unknown, strict=True)):
        both = list(zip(seen, pair, strict=True))
        # Each kind comes first as often as the other.
        for kind, email in both if number % 2 else reversed(both):
            started = time.perf_counter()
            answer = await office.service.post(
                "/consent/collect",
                json={"websiteId": office.app_id, "event": event, "email": email},
                headers={"X-Forwarded-For": f"192.0.2.{number}"},
            )
            form = await _form_of(answer)
            seen[kind].append(time.perf_counter() - started)
            forms.add(form)
    ((status, *_),) = forms
    assert status == 204
    assert await app.count("data_subject_requests") == _TRIES + 1
    _expect_noise(seen["known"], seen["unknown"])


def _expect_noise(known: list[float], unknown: list[float]) -> None:
    """The times of pairs differ as by chance: neither in the middle nor in which one is longer."""
    medians = [statistics.median(times) for times in (known, unknown)]
    # Of each kind alone: that of both together grows with the very difference that is looked for.
    widths = [
        quartiles[2] - quartiles[0]
        for quartiles in (statistics.quantiles(times, n=4) for times in (known, unknown))
    ]
    assert abs(medians[0] - medians[1]) < max(*widths, 0.0003), (medians, widths)
    slower = sum(one > other for one, other in zip(known, unknown, strict=True))
    # Four standard deviations of as many tosses of a coin: by chance once in 16,000 runs.
    allowed = 4 * math.sqrt(len(known)) / 2
    assert abs(slower - len(known) / 2) <= allowed, (slower, medians)


def test_difference_as_large_as_the_noise_would_be_noticed() -> None:
    noise = random.Random(1)  # noqa: S311 - no secret
    base = [noise.gauss(0.004, 0.0005) for _ in range(_TRIES)]
    known, unknown = base[::2], base[1::2]
    _expect_noise(known, unknown)
    with pytest.raises(AssertionError):
        _expect_noise([one + 0.002 for one in known], unknown)
    with pytest.raises(AssertionError):
        _expect_noise(known, [one + 0.0005 for one in unknown])


@pytest.mark.parametrize("event", REQUEST_TYPES)
async def test_mail_and_page_are_alike_for_known_and_unknown_emails(
    office: Office, app: App, event: str
) -> None:
    emails = ["jane@shop.example", "john@shop.example"]
    await _make_known(app, emails[:1])
    seen = []
    for email in emails:
        await office.submit(email, event)
        (mail,) = await office.deliver()
        link, code = secrets_of(mail)
        path = f"/privacy/confirm/{link}"
        answers = [
            await office.service.get(path),
            await office.service.post(path, data={"code": "wrong"}),
            await office.service.post(path, data={"code": code}),
            await office.service.post(path, data={"code": code}),
        ]
        forms = [await _form_of(answer) for answer in answers]
        assert [form[0] for form in forms] == [200, 400, 200, 200]
        seen.append((_text_without(mail, email, link, code), forms))
    assert seen[0] == seen[1]


def _text_without(mail: EmailMessage, *secrets: str) -> str:
    headers = [(name, value) for name, value in mail.items() if name not in ("Date", "Message-ID")]
    text = f"{headers} {body_of(mail)}"
    for secret in secrets:
        text = text.replace(secret, "*")
    # Peers' ports, as the test's server notes them.
    return re.sub(r"\('127\.0\.0\.1', \d+\)", "peer", text)


async def test_link_that_was_replaced_or_forgotten_answers_like_one_that_never_was(
    office: Office,
) -> None:
    request_id, replaced, code = await office.ask_and_get_mail()
    assert (await office.act(request_id, "verify", method="mail"))[0] == 200
    (mail,) = await office.deliver()
    forgotten, _ = secrets_of(mail)
    await office.rows.execute("UPDATE data_subject_requests SET email = NULL")
    forms = set()
    for link in (replaced, forgotten, "A" * len(replaced), "x"):
        path = f"/privacy/confirm/{link}"
        got = await _form_of(await office.service.get(path))
        tried = await _form_of(await office.service.post(path, data={"code": code}))
        again = await _form_of(await office.service.post(path, data={"action": "send_again"}))
        forms |= {got, tried, again}
    ((status, *_),) = forms
    assert status == 404
