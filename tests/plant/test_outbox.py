"""The outbox: order within a batch, patience, nothing lost or doubled by a restart (I5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.plant.outbox import BACK_OFF_S, GIVEN_UP_S, Message, Outbox
from inspector.plant.webhooks import event_name, secret_of, signed


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path)
    yield outbox
    outbox.close()


def message(key: str, id: str, receiver: str = "mes") -> Message:
    return Message(receiver, key, id, "part.reject", {"n": id})


def ids(outbox: Outbox, now: float) -> list[str]:
    return [m.id for m in outbox.due(now)[0]]


def test_within_a_batch_nothing_overtakes_and_batches_do_not_wait(outbox: Outbox) -> None:
    outbox.read("webhooks", 5, 2, [message("A", "1"), message("B", "2"), message("A", "3")], 0.0)
    assert outbox.place("webhooks") == (5, 2) and outbox.place("rules") is None
    assert ids(outbox, 0.0) == ["1", "2"]
    first = outbox.due(0.0)[0][0]
    assert not outbox.failed(first, "HTTP 500", 0.0)
    assert ids(outbox, 0.0) == ["2"]
    outbox.delivered(outbox.due(0.0)[0][0])
    assert outbox.due(0.0) == ([], float(BACK_OFF_S[0]))
    assert ids(outbox, 1.0) == ["1"]
    outbox.delivered(first)
    assert ids(outbox, 1.0) == ["3"]


def test_a_message_has_one_id_and_is_owed_once(tmp_path: Path) -> None:
    for _ in range(2):  # as after a crash between reading and keeping the place
        outbox = Outbox(tmp_path)
        outbox.read("webhooks", 1, 1, [message("A", "1"), message("A", "1", "other")], 0.0)
        outbox.close()
    outbox = Outbox(tmp_path)
    assert outbox.owed("mes").waiting == 1 and ids(outbox, 0.0) == ["1", "1"]
    outbox.forget("other")
    assert ids(outbox, 0.0) == ["1"]
    outbox.close()


def test_patience_grows_and_ends(outbox: Outbox) -> None:
    outbox.read("webhooks", 1, 1, [message("A", "1"), message("A", "2")], 0.0)
    now, waits = 0.0, []
    for _ in range(19):
        (one,), _ = outbox.due(now)
        outbox.failed(one, f"HTTP 503 at {now}", now)
        following = outbox.due(now)[1]
        assert following is not None
        waits.append(following - now)
        now = following
    assert waits == [*BACK_OFF_S, *[300] * 10]
    (one,), _ = outbox.due(GIVEN_UP_S + 1)
    assert one.id == "1" and outbox.failed(one, "HTTP 503", GIVEN_UP_S + 1)
    (two,), _ = outbox.due(GIVEN_UP_S + 1)
    owed = outbox.owed("mes")
    assert (two.id, owed.waiting, owed.given_up, owed.error) == ("2", 1, 1, "HTTP 503")
    assert outbox.failed(two, "HTTP 503", GIVEN_UP_S + 1), "it has waited as long"


def test_a_long_weekend_and_a_clock_that_leaps_lose_and_delay_nothing(outbox: Outbox) -> None:
    """The MES came up a minute after the station, and never heard of Friday's last batch."""
    outbox.read("webhooks", 1, 1, [message("A", "1")], 0.0)
    tuesday = 4 * 86_400.0
    (one,), _ = outbox.due(tuesday)
    assert not outbox.failed(one, "ConnectError", tuesday)
    assert ids(outbox, tuesday) == [] and ids(outbox, tuesday + 1) == ["1"]
    assert ids(outbox, tuesday - 3600) == ["1"], "the clock was set back by an hour"


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of the Standard Webhooks specification's own test suite.
    secret = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert secret_of("sixteen bytes or more\n") == b"sixteen bytes or more"
    for short in ("", "whsec_AAAA", "hunter2"):
        with pytest.raises(ValueError, match="too short"):
            secret_of(short)


def test_some_alarms_have_names_of_their_own() -> None:
    assert event_name("alarm", {"code": "drift"}) == "drift"
    assert event_name("alarm", {"code": "challenge_failed"}) == "challenge.failed"
    assert event_name("alarm", {"code": "air_low"}) == "alarm"
    assert event_name("part.reject", {"code": "drift"}) == "part.reject"
