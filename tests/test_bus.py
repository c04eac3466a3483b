"""Commands over real sockets: obeyed once, in time, signed and allowed, or refused and counted."""

from __future__ import annotations

import hmac
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from inspector.bus import (
    BATCH_MAX,
    IPC_PATH_MAX,
    Answer,
    BusError,
    Command,
    CommandClient,
    CommandServer,
    NoAnswer,
    Refusal,
    endpoint,
    run_dir,
)
from inspector.identity import Action, Principal, Role

ANN = Principal("ann", frozenset({Role.OPERATOR}))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_dir(tmp_path / "data")


class Line:
    """A command server that answers every command it may obey, on a thread of its own."""

    def __init__(self, run: Path) -> None:
        self.obeyed: list[Command] = []
        self.refusals: list[Refusal] = []
        # A context of its own, ended: a socket's file is unlinked some time after its close.
        self._context = zmq.Context()
        self.server = CommandServer(run, on_refused=self.refusals.append, context=self._context)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._end.is_set():
            if self.server.socket.poll(20):
                while command := self.server.receive():
                    self.obeyed.append(command)
                    self.server.answer(command, True, {"got": dict(command.args)})

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self.server.close()
        self._context.term()


@pytest.fixture
def line(run: Path) -> Iterator[Line]:
    line = Line(run)
    yield line
    line.close()


@pytest.fixture
def client(run: Path) -> Iterator[CommandClient]:
    client = CommandClient(run)
    yield client
    client.close()


def signed(run: Path, body: bytes, key: bytes | None = None, purpose: bytes = b"command") -> bytes:
    key = key or (run / "command.key").read_bytes()
    return hmac.digest(key, purpose + b"\0" + body, "sha256") + body


def fields(**changes: Any) -> bytes:
    whole = {
        "id": os.urandom(8).hex(),
        "command": "pause",
        "args": {},
        "principal": "ann",
        "roles": ["operator"],
        "expiry": time.monotonic_ns() + 10**9,
    }
    return json.dumps(whole | changes).encode()


@pytest.fixture
def raw(run: Path) -> Iterator[Callable[..., list[bytes] | None]]:
    """Sends frames as they are; gives back what the server answers within 300 ms."""
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint(run, "command"))

    def send(*frames: bytes) -> list[bytes] | None:
        socket.send_multipart(frames)
        return socket.recv_multipart() if socket.poll(300) else None

    yield send
    socket.close()


def until(condition: Callable[[], object], seconds: float = 3.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def test_a_command_arrives_with_its_principal_and_is_answered(
    line: Line, client: CommandClient
) -> None:
    answer = client.send(Action.START_BATCH, {"id": "L7", "名": "瓶"}, ANN)
    assert answer == Answer(True, {"got": {"id": "L7", "名": "瓶"}})
    (command,) = line.obeyed
    assert (command.command, command.principal) == (Action.START_BATCH, ANN)


def test_who_may_not_is_refused_by_the_line_with_clear_words(
    line: Line, client: CommandClient
) -> None:
    answer = client.send(Action.BYPASS, {}, ANN)
    assert not answer.ok
    assert "ann (operator) may not bypass" in answer.error
    assert line.obeyed == []
    assert line.server.refused == {"forbidden": 1}
    assert line.refusals == [Refusal("forbidden", answer.error, "ann", "bypass")]


def test_a_forged_command_is_refused(run: Path, line: Line, raw: Callable[..., Any]) -> None:
    assert raw(signed(run, fields(), key=b"x" * 32)) == [b"\0forged"]
    body = fields()
    tampered = signed(run, body)[:32] + body.replace(b"operator", b"engineer")
    assert raw(tampered) == [b"\0forged"]
    assert raw(signed(run, fields(), purpose=b"answer")) == [b"\0forged"]
    assert (line.server.refused, line.obeyed) == ({"forged": 3}, [])


def test_an_expired_command_is_refused(run: Path, line: Line, raw: Callable[..., Any]) -> None:
    (answer,) = raw(signed(run, fields(expiry=time.monotonic_ns() - 1)))
    assert b"too late" in answer
    raw(signed(run, fields(expiry=time.monotonic_ns() + 3600 * 10**9)))
    assert (line.server.refused, line.obeyed) == ({"expired": 2}, [])


def test_a_replayed_command_is_obeyed_once(run: Path, line: Line, raw: Callable[..., Any]) -> None:
    message = signed(run, fields())
    raw(message)
    (again,) = raw(message)
    assert b"already given" in again
    assert (len(line.obeyed), line.server.refused) == (1, {"replayed": 1})


def test_a_command_from_before_a_restart_is_not_obeyed_after_it(run: Path) -> None:
    before = Line(run)
    message = signed(run, fields(expiry=time.monotonic_ns() + 30 * 10**9))
    before.close()
    after = Line(run)
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint(run, "command"))
    socket.send(message)
    until(lambda: after.server.refused["forged"])
    assert after.obeyed == []
    socket.close()
    after.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        fields(command="explode"),
        fields(roles=["god"]),
        fields(roles=None),
        fields(principal=""),
        fields(principal=7),
        fields(id=None),
        fields(args=[1]),
        fields(expiry="soon"),
        fields(expiry=float("inf")),
        b'{"id": "x"}',
    ],
)
def test_a_malformed_command_is_counted_and_harms_nothing(
    run: Path, line: Line, client: CommandClient, raw: Callable[..., Any], body: bytes
) -> None:
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint(run, "command"))
    socket.send(signed(run, body))
    socket.send_multipart([b"", b"", b""])
    until(lambda: line.server.refused["malformed"] == 2)
    assert client.send(Action.PAUSE, {}, ANN).ok
    socket.close()


def test_a_flood_of_bad_commands_does_not_hold_the_line(run: Path) -> None:
    server = CommandServer(run)
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint(run, "command"))
    for _ in range(3 * BATCH_MAX):
        socket.send(b"bad")
    until(lambda: server.socket.poll(0))
    assert server.receive() is None
    assert server.refused["forged"] <= BATCH_MAX
    socket.close()
    server.close()


def test_a_dead_line_is_told_in_time_and_does_not_obey_later(
    run: Path, client: CommandClient
) -> None:
    started = time.monotonic()
    with pytest.raises(NoAnswer, match="not running"):
        client.send(Action.PAUSE, {}, ANN, timeout=0.2)
    assert time.monotonic() - started < 1.5
    line = Line(run)
    assert client.send(Action.RESUME, {}, ANN).ok
    assert [c.command for c in line.obeyed] == [Action.RESUME]
    line.close()


def test_a_silent_line_is_no_answer(run: Path, client: CommandClient) -> None:
    server = CommandServer(run)
    with pytest.raises(NoAnswer, match="not answered"):
        client.send(Action.PAUSE, {}, ANN, timeout=0.2)
    server.close()


def test_a_client_outlives_the_lines_restart(run: Path, client: CommandClient) -> None:
    first = Line(run)
    assert client.send(Action.PAUSE, {}, ANN).ok
    first.close()
    second = Line(run)
    assert client.send(Action.RESUME, {}, ANN).ok
    assert [c.command for c in second.obeyed] == [Action.RESUME]
    second.close()


def test_threads_share_a_client(line: Line, client: CommandClient) -> None:
    got: list[Any] = []

    def ask(n: int) -> None:
        got.append(client.send(Action.PAUSE, {"n": n}, ANN).body["got"]["n"])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(8))


def test_the_run_directory_and_the_key_are_private(run: Path, line: Line) -> None:
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert stat.S_IMODE((run / "command.key").stat().st_mode) == 0o600


def test_a_data_directory_too_deep_for_a_socket_gets_a_short_run_directory(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    run = run_dir(deep)
    assert run == run_dir(deep)
    assert run != run_dir(tmp_path / ("e" * 120))
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    server = CommandServer(run)
    server.close()


def test_a_socket_path_too_long_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BusError, match=f"allows {IPC_PATH_MAX}"):
        endpoint(tmp_path / ("d" * 120), "command")


def test_a_run_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BusError, match="not a directory of this user"):
        run_dir(tmp_path / "data")


def test_a_second_line_in_the_same_run_directory_is_refused(run: Path, line: Line) -> None:
    program = f"from inspector.bus import *; CommandServer(Path({str(run)!r}))"
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30
    )
    assert "another line process already takes commands" in other.stderr
