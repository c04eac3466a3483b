"""Live things between the station's processes: commands to the line, and what the line shows.

Commands go by ROUTER/DEALER over ``ipc://`` in a 0700 directory, each one signed, with an expiry,
obeyed at most once, and authorised in the process that obeys. What is shown goes by PUB/SUB, one
single-part message per part that holds picture, overlay and verdict together, so no screen can
show one part's verdict over another's picture; ``inspector.display`` does that.
Nothing durable travels here: that is the store. Imports identity; line, plant and web import it.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import zmq

from inspector.identity import Action, Forbidden, Principal, Role, authorise

IPC_PATH_MAX = 107
"""Bytes of a Unix socket's path (``sockaddr_un.sun_path`` less its terminating zero)."""
NAME_MAX = 24
"""Bytes of an endpoint's name inside a run directory."""
EXPIRY_MAX_S = 60.0
"""A command may not be valid for longer: ids are remembered until they expire."""
MESSAGE_MAX = 1 << 20
"""Bytes; a longer command closes the sender's connection."""
BATCH_MAX = 32
"""Messages that one ``receive`` looks at, so that a flood of bad ones cannot hold the line."""


class BusError(Exception):
    """The bus cannot be used as asked; ``str()`` says what to do."""


class NoAnswer(BusError):
    """The line did not answer in time. Whether it obeyed is unknown: look at its status."""


def run_dir(data: Path) -> Path:
    """The station's directory of sockets, made with mode 0700: ``<data>/run``.

    Where that path is too long for a socket it is a short one under ``$XDG_RUNTIME_DIR`` or the
    temporary directory, the same for every process of this user and ``data``. Raises ``BusError``
    if the directory is another user's or open to others.
    """
    data = data.resolve()
    run = data / "run"
    if len(os.fsencode(run)) + 1 + NAME_MAX > IPC_PATH_MAX:
        parent = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"
        if len(os.fsencode(parent)) > IPC_PATH_MAX - NAME_MAX - 40:
            parent = "/tmp"
        name = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
        run = Path(parent) / f"inspector-{os.getuid()}-{name}"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    entry = run.lstat()
    if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != os.getuid():
        raise BusError(f"{run} is not a directory of this user; remove it")
    if stat.S_IMODE(entry.st_mode) != 0o700:
        run.chmod(0o700)
    return run


def publish(path: Path, text: str) -> None:
    """Write what others read meanwhile, such as an address known only now: whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text)
    draft.rename(path)


def endpoint(run: Path, name: str) -> str:
    """The ``ipc://`` address of socket ``name`` in ``run``; ``BusError`` if it is too long."""
    path = run / name
    size = len(os.fsencode(path))
    if size > IPC_PATH_MAX:
        raise BusError(
            f"the socket path {path} has {size} bytes, and the system allows {IPC_PATH_MAX}; "
            "choose a shorter `data` directory"
        )
    return f"ipc://{path}"


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was signed, is fresh, is new, and whose principal may give it."""

    id: str
    command: Action
    args: Mapping[str, Any]
    principal: Principal
    expiry_ns: int
    """On the monotonic clock of this machine; the sender has given up by then."""
    route: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the line said."""

    ok: bool
    body: Mapping[str, Any]

    @property
    def error(self) -> str:
        """Why not, in words; empty when ok."""
        return "" if self.ok else str(self.body.get("error", "refused"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that was not obeyed; ``principal`` is empty where it could not be trusted."""

    kind: str
    """``malformed``, ``forged``, ``expired``, ``replayed`` or ``forbidden``."""
    message: str
    principal: str = ""
    command: str = ""


_FORGED = b"\0forged"


class _Refused(Exception):
    def __init__(self, refusal: Refusal, route: bytes = b"", reply: bytes = b"") -> None:
        self.refusal, self.route, self.reply = refusal, route, reply


class CommandServer:
    """Where the line takes commands. Poll ``socket`` with the line's own poller, then ``receive``.

    Each start draws a new key, so no message from before it is ever obeyed.
    """

    def __init__(
        self,
        run: Path,
        *,
        on_refused: Callable[[Refusal], None] = lambda refusal: None,
        clock: Callable[[], int] = time.monotonic_ns,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        """Listen in ``run``. Raises ``BusError`` if another process already does."""
        self.refused: Counter[str] = Counter()
        """How many messages were refused, by ``Refusal.kind``."""
        self._on_refused = on_refused
        self._clock = clock
        self._seen: dict[str, int] = {}
        # libzmq takes a bound ipc path away from its owner without a word.
        self._lock = os.open(run / "command.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise BusError(f"another line process already takes commands in {run}") from None
        self._key = _write_key(run)
        self.socket: zmq.Socket[bytes] = (context or zmq.Context.instance()).socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 200)
        self.socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_MAX)
        self.socket.bind(endpoint(run, "command"))

    def receive(self) -> Command | None:
        """The next command to obey, or None. Never blocks, never raises on what was sent."""
        for _ in range(BATCH_MAX):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            try:
                return self._accept(frames)
            except _Refused as refused:
                self.refused[refused.refusal.kind] += 1
                self._on_refused(refused.refusal)
                if refused.reply:
                    self._reply(refused.route, refused.reply)
        return None

    def answer(self, command: Command, ok: bool, body: Mapping[str, Any] | str = "") -> None:
        """Tell the sender how it went; a text is the error, or the remark, in words."""
        if isinstance(body, str):
            body = {"remark" if ok else "error": body} if body else {}
        self._reply(command.route, self._answer(command.id, ok, body))

    def close(self) -> None:
        """Stop listening; answers under way get 200 ms."""
        self.socket.close()
        os.close(self._lock)

    def _accept(self, frames: list[bytes]) -> Command:
        if len(frames) != 2:
            raise _Refused(Refusal("malformed", f"{len(frames)} frames instead of 2"))
        route, message = frames
        body = _verified(self._key, b"command", message)
        if body is None:
            raise _Refused(Refusal("forged", "the signature does not fit"), route, _FORGED)
        try:
            command = _command(json.loads(body), route)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            why = f"{type(error).__name__}: {error}"[:300]
            raise _Refused(Refusal("malformed", why)) from None
        if not 0 < command.expiry_ns - self._clock() <= EXPIRY_MAX_S * 1e9:
            raise self._no(command, "expired", "it came too late")
        if command.id in self._seen:
            raise self._no(command, "replayed", "it was already given")
        self._remember(command)
        try:
            authorise(command.principal, command.command)
        except Forbidden as error:
            raise self._no(command, "forbidden", str(error)) from None
        return command

    def _remember(self, command: Command) -> None:
        if len(self._seen) >= 1024:
            now = self._clock()
            self._seen = {id: expiry for id, expiry in self._seen.items() if expiry > now}
        self._seen[command.id] = command.expiry_ns

    def _no(self, command: Command, kind: str, message: str) -> _Refused:
        refusal = Refusal(kind, message, command.principal.id, command.command)
        body = {"error": message, "refused": kind}
        return _Refused(refusal, command.route, self._answer(command.id, False, body))

    def _answer(self, id: str, ok: bool, body: Mapping[str, Any]) -> bytes:
        fields = {"id": id, "ok": ok, "body": body}
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False, default=str)
        # What was asked may hold a lone surrogate, and the answer names it.
        return _signed(self._key, b"answer", text.encode("utf-8", "replace"))

    def _reply(self, route: bytes, message: bytes) -> None:
        # The sender may be gone or not reading; the line does not wait for it.
        try:
            self.socket.send_multipart([route, message], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.refused["unanswered"] += 1


class CommandClient:
    """Gives commands to the line; safe to share between threads, which then wait for each other."""

    def __init__(self, run: Path, context: zmq.Context[Any] | None = None) -> None:
        """Commands go to the line of ``run``; it need not run yet."""
        self._run = run
        self._lock = threading.Lock()
        self._socket: zmq.Socket[bytes] = (context or zmq.Context.instance()).socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        # Without this a command to a dead line would wait in a queue for the next one.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.connect(endpoint(run, "command"))

    def send(
        self,
        command: Action,
        args: Mapping[str, Any],
        principal: Principal,
        timeout: float = 2.0,
    ) -> Answer:
        """Give ``command`` in the name of ``principal`` and wait ``timeout`` seconds, at most 60.

        Raises ``NoAnswer``. A refusal is an answer that is not ok.
        """
        timeout = min(timeout, EXPIRY_MAX_S - 1)
        deadline_ns = time.monotonic_ns() + int(timeout * 1e9)
        id = uuid4().hex
        body = json.dumps(
            {
                "id": id,
                "command": command,
                "args": dict(args),
                "principal": principal.id,
                "roles": sorted(principal.roles),
                "expiry": deadline_ns,
            },
            ensure_ascii=False,
            allow_nan=False,
        ).encode()
        with self._lock:
            while True:
                key = self._key(deadline_ns)
                self._put(_signed(key, b"command", body), deadline_ns)
                answer = self._get(id, key, deadline_ns)
                if answer is not None:
                    return answer

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _key(self, deadline_ns: int) -> bytes:
        while True:
            try:
                key = (self._run / "command.key").read_bytes()
            except FileNotFoundError:
                key = b""
            if len(key) == 32:
                return key
            if time.monotonic_ns() >= deadline_ns:
                raise NoAnswer("the line is not running")
            time.sleep(0.02)

    def _put(self, message: bytes, deadline_ns: int) -> None:
        if not self._socket.poll(_ms_left(deadline_ns), zmq.POLLOUT):
            raise NoAnswer("the line is not running")
        self._socket.send(message, zmq.NOBLOCK)

    def _get(self, id: str, key: bytes, deadline_ns: int) -> Answer | None:
        """The answer to ``id``; None if the line has a new key by now, so it was not obeyed."""
        while self._socket.poll(_ms_left(deadline_ns)):
            message = self._socket.recv()
            if message == _FORGED:
                if self._key(deadline_ns) != key:
                    return None
                return Answer(False, {"error": "the line refuses our key", "refused": "forged"})
            body = _verified(key, b"answer", message)
            fields = json.loads(body) if body is not None else {}
            if fields.get("id") == id:
                return Answer(bool(fields["ok"]), fields["body"])
        raise NoAnswer("the line has not answered in time")


def give(
    run: Path, command: Action, args: Mapping[str, Any], principal: Principal, timeout: float = 2.0
) -> Answer:
    """One command to the line of ``run``, as `CommandClient.send` gives it, for whoever has no
    other."""
    client = CommandClient(run)
    try:
        return client.send(command, args, principal, timeout)
    finally:
        client.close()


def _ms_left(deadline_ns: int) -> int:
    return max(0, -(-(deadline_ns - time.monotonic_ns()) // 1_000_000))


def _write_key(run: Path) -> bytes:
    key = secrets.token_bytes(32)
    draft = run / f"command.key.{os.getpid()}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(key)
    draft.rename(run / "command.key")
    return key


def _mac(key: bytes, purpose: bytes, body: bytes) -> bytes:
    # The purpose is signed too, so that an answer cannot come back as a command.
    return hmac.digest(key, purpose + b"\0" + body, "sha256")


def _signed(key: bytes, purpose: bytes, body: bytes) -> bytes:
    return _mac(key, purpose, body) + body


def _verified(key: bytes, purpose: bytes, message: bytes) -> bytes | None:
    mac, body = message[:32], message[32:]
    return body if hmac.compare_digest(mac, _mac(key, purpose, body)) else None


def _command(fields: Any, route: bytes) -> Command:
    """Raises ValueError, TypeError or KeyError; roles and actions must be known ones."""
    roles = frozenset(Role(role) for role in fields["roles"])
    return Command(
        _text(fields["id"]),
        Action(fields["command"]),
        _mapping(fields["args"]),
        Principal(_text(fields["principal"]), roles),
        int(fields["expiry"]),
        route,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 128:
        raise ValueError("expected a text of 1 to 128 characters")
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("args must be an object")
    return value
