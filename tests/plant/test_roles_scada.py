"""Every method of the OPC UA server and every command that comes by MQTT against the one role
table, with every role (I9, S16). The MES's routes: ``test_roles.py``; the pages': ``web/``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Node, ua
from asyncua.ua.uaerrors import (
    BadNothingToDo,
    BadSessionNotActivated,
    BadUserAccessDenied,
    UaStatusCodeError,
)
from obeying_line import Obeying
from plant.test_mqtt import GROUP, ROOT, Ear, broker, encoded
from plant.test_mqtt import pytestmark as needs_mosquitto
from scada_line import PASSWORD, SYSTEM, client_of
from structlog.testing import capture_logs
from waiting import until

from inspector.bus import run_dir
from inspector.config import Station, load_station
from inspector.identity import MAY, Action, Role, Users
from inspector.plant.desk import Line
from inspector.plant.mqtt import dialects
from inspector.plant.opcua import VisionServer
from inspector.plant.tasks import end
from inspector.plant.visionmethods import VisionMethods

__all__ = ["broker"]
pytestmark = pytest.mark.slow
"""Six roles, each through everything."""
STATION = """
station: ST-01
site: Hamburg
data: data
recipes: [bottle.yaml]
cameras: [{name: side, serial: V001}]
travel: {gate_mm: 500, pitch_min_mm: 20}
plc: {port: 5020}
web:
batch: {id: L2417A}
scada:
"""
ROLES = tuple(role for role in Role if role is not Role.SYSTEM)
MACHINE = "VisionStateMachine"
AUTOMATIC = f"{MACHINE}/AutomaticModeStateMachine"
TAKES: Mapping[str, Action] = {
    f"{MACHINE}/Halt": Action.PAUSE,
    f"{MACHINE}/Reset": Action.PAUSE,
    f"{MACHINE}/SelectModeAutomatic": Action.PAUSE,
    f"{MACHINE}/ConfirmAll": Action.ACKNOWLEDGE_ALARM,
    f"{AUTOMATIC}/StartSingleJob": Action.RESUME,
    f"{AUTOMATIC}/StartContinuous": Action.RESUME,
    f"{AUTOMATIC}/Stop": Action.PAUSE,
    f"{AUTOMATIC}/Abort": Action.PAUSE,
    f"{AUTOMATIC}/SimulationMode": Action.SET_MODE,
    "RecipeManagement/PrepareRecipe": Action.CHANGE_OVER,
    "RecipeManagement/UnprepareRecipe": Action.PAUSE,
    "RecipeManagement/PrepareProduct": Action.CHANGE_OVER,
    "RecipeManagement/GetRecipeListFiltered": Action.VIEW,
    "RecipeManagement/ReleaseRecipeHandle": Action.VIEW,
    "ConfigurationManagement/GetConfigurationList": Action.VIEW,
    "ConfigurationManagement/GetConfigurationById": Action.VIEW,
    "ConfigurationManagement/ActivateConfiguration": Action.CHANGE_OVER,
    "ConfigurationManagement/ReleaseConfigurationHandle": Action.VIEW,
    "ResultManagement/GetResultById": Action.VIEW,
    "ResultManagement/GetResultListFiltered": Action.VIEW,
    "ResultManagement/ReleaseResultHandle": Action.VIEW,
}
"""What each method of the vision system asks the table for."""


def station_of(folder: Path, section: str) -> Station:
    """One whose SCADA section is this."""
    (folder / "station.yaml").write_text(f"{STATION}  {section}\n")
    return load_station(folder / "station.yaml")


@pytest.fixture
def opcua(tmp_path: Path) -> Station:
    """A station with OPC UA and one user per role, each with a key."""
    station = station_of(tmp_path, "opcua: {port: 0, any_client: true}")
    users = Users(station.data)
    for role in ROLES:
        users.add_user(f"the-{role}", [role], principal=SYSTEM)
    return station


@pytest.fixture
def obeying(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Obeying]:
    """A line that does whatever it is told."""
    line = Obeying(run_dir(tmp_path / "data"))
    yield line
    line.close()


def told_to_its_end(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """In a thread of its own: a browser that another test has opened has its loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(story())).result()


@asynccontextmanager
async def serving(station: Station) -> AsyncIterator[VisionServer]:
    """The server of ``serve_opcua``, beside a line whose heartbeat nobody hears."""
    assert station.scada is not None and station.scada.opcua is not None
    line = Line(station, run_dir(station.data))
    server = VisionServer(station, station.scada.opcua)
    methods = VisionMethods(server, line)
    await server.start()
    try:
        await methods.link()
        yield server
    finally:
        await server.stop()
        line.close()


async def methods_of(node: Node, path: str = "") -> AsyncIterator[tuple[str, Node, Node]]:
    """Every method below ``node``: its path, its owner, itself."""
    for child in await node.get_children(refs=ua.ObjectIds.HierarchicalReferences):
        name = f"{path}/{(await child.read_browse_name()).Name}".strip("/")
        kind = await child.read_node_class()
        if kind is ua.NodeClass.Method:
            yield name, node, child
        elif kind is ua.NodeClass.Object:
            async for found in methods_of(child, name):
                yield found


async def blank(method: Node) -> list[ua.Variant]:
    """Arguments of the types that a method takes, each of them empty."""
    for child in await method.get_children():
        if (await child.read_browse_name()).Name == "InputArguments":
            kinds = [ua.VariantType(a.DataType.Identifier) for a in await child.read_value()]
            empty = {ua.VariantType.String: "", ua.VariantType.Boolean: False,
                     ua.VariantType.LocalizedText: ua.LocalizedText("")}  # fmt: skip
            return [ua.Variant(empty.get(kind, 0), kind) for kind in kinds]
    return []


async def called(owner: Node, method: Node, arguments: list[ua.Variant]) -> str:
    """How a call ended: ``Good``, or the name of what it was refused with."""
    try:
        await owner.call_method(method.nodeid, *arguments)
    except UaStatusCodeError as error:
        return type(error).__name__
    return "Good"


def test_every_role_gets_what_the_table_says_of_opc_ua(
    opcua: Station, obeying: Obeying, tmp_path: Path
) -> None:
    """Before anything else is looked at: the state, the arguments, whether there is a line."""
    users = Users(opcua.data)

    async def walk(client: Client, role: Role, whole: bool) -> None:
        seen = set()
        async for path, owner, method in methods_of(client.nodes.objects):
            known = path.removeprefix("ST-01/")
            if known == path:  # the server's own, whose methods are nobody's here
                if whole:
                    assert await called(owner, method, []) == BadNothingToDo.__name__, path
                continue
            seen.add(known)
            for arguments in (await blank(method), [ua.Variant("?")] * 20):
                answer = await called(owner, method, arguments)
                denied = answer == BadUserAccessDenied.__name__
                assert denied == (role not in MAY[TAKES[known]]), f"{path}: {role} got {answer}"
                assert answer != "BadUnexpectedError", path
        assert seen == set(TAKES), "a method that this walk does not know is nobody's"

    async def story() -> None:
        async with serving(opcua) as server:
            for role in ROLES:
                key = users.add_key(f"the-{role}", principal=SYSTEM)
                async with await client_of(server.url, tmp_path, f"the-{role}", key) as client:
                    await walk(client, role, whole=role is Role.ADMIN)

    told_to_its_end(story)
    given = {(c.command, *c.principal.roles) for c in obeying.commands}
    assert given <= {(action, role) for action in Action for role in MAY[action]}


def test_an_open_session_is_worth_what_its_user_is_worth_now(
    opcua: Station, obeying: Obeying, tmp_path: Path
) -> None:
    """It may stay open for weeks: a key that was revoked, or a role that was taken away, starts no
    line any more; nor does it go on reading."""
    users = Users(opcua.data)
    users.add_user("olga", [Role.OPERATOR], password=PASSWORD, principal=SYSTEM)

    async def confirms(client: Client) -> str:
        async for path, owner, method in methods_of(client.nodes.objects):
            if path.endswith("/ConfirmAll"):
                return await called(owner, method, await blank(method))
        raise AssertionError("no such method")

    async def story() -> None:
        key = users.add_key("the-operator", principal=SYSTEM)
        async with (
            serving(opcua) as server,
            await client_of(server.url, tmp_path, "the-operator", key) as by_key,
            await client_of(server.url, tmp_path, "olga", PASSWORD) as by_password,
        ):
            assert [await confirms(by_key), await confirms(by_password)] == ["Good", "Good"]
            users.revoke_keys("the-operator", principal=SYSTEM)
            users.set_roles("olga", [Role.AUDITOR], principal=SYSTEM)
            refused = BadUserAccessDenied.__name__
            assert [await confirms(by_key), await confirms(by_password)] == [refused, refused]
            await server.see_out()
            with pytest.raises(BadSessionNotActivated):
                await by_key.nodes.objects.get_children()
            assert await by_password.nodes.objects.get_children()  # an auditor reads
            users.set_roles("olga", [Role.OPERATOR], principal=SYSTEM)
            assert await confirms(by_password) == "Good"
            users.disable("olga", principal=SYSTEM)
            assert await confirms(by_password) == refused
            await server.see_out()
            with pytest.raises(BadSessionNotActivated):
                await by_password.nodes.objects.get_children()

    told_to_its_end(story)
    assert {c.principal.id for c in obeying.commands} == {"the-operator", "olga"}
    assert len(obeying.commands) == 3


@pytest.fixture
def mqtt(tmp_path: Path, broker: int) -> Station:
    """A station that obeys its user ``mqtt``, in both dialects."""
    section = f"mqtt: {{port: {broker}, sparkplug_group: Hamburg, obeys: mqtt}}"
    station = station_of(tmp_path, section)
    Users(station.data).add_user("mqtt", [Role.MACHINE], principal=SYSTEM)
    return station


@asynccontextmanager
async def speaking(station: Station, broker: int) -> AsyncIterator[Ear]:
    """The station speaks MQTT, and somebody listens."""
    assert station.scada is not None
    line = Line(station, run_dir(station.data))
    ear = await asyncio.to_thread(Ear, broker, f"{ROOT}/#", f"{GROUP}/#")
    tasks = [asyncio.ensure_future(speak()) for speak in dialects(station, station.scada, line)]
    try:
        await asyncio.to_thread(until, lambda: ear.raw(f"{ROOT}/online")[-1:] == [b"true"])
        yield ear
    finally:
        await end(*tasks)
        await asyncio.to_thread(ear.close)
        line.close()


@needs_mosquitto
def test_every_role_gets_what_the_table_says_of_mqtt(
    mqtt: Station, broker: int, obeying: Obeying
) -> None:
    """Whatever role the user has in whose name the broker's commands are given."""
    users = Users(mqtt.data)

    async def story() -> None:
        async with speaking(mqtt, broker) as ear:
            for role in ROLES:
                users.set_roles("mqtt", [role], principal=SYSTEM)
                answers = await asyncio.to_thread(asked, ear, role)
                for action in Action:
                    denied = "may not" in answers[f"{role}-{action}"].get("error", "")
                    assert denied == (role not in MAY[action]), (action, role)

    told_to_its_end(story)
    assert {c.principal.id for c in obeying.commands} == {"mqtt"}
    given = {(c.command, *c.principal.roles) for c in obeying.commands}
    assert given <= {(action, role) for action in Action for role in MAY[action]}


def asked(ear: Ear, role: Role) -> Mapping[str, Any]:
    """Every action there is, asked for by name; the answers by the command's id."""
    wanted = {f"{role}-{action}": str(action) for action in Action}
    for id, command in wanted.items():
        ear.say(f"{ROOT}/command", json.dumps({"id": id, "command": command}))

    def answers() -> dict[str, Any]:
        return {answer["id"]: answer for answer in ear.on(f"{ROOT}/answer")}

    until(lambda: wanted.keys() <= answers().keys(), 60.0)
    return answers()


@needs_mosquitto
def test_every_role_gets_what_the_table_says_of_sparkplug(
    mqtt: Station, broker: int, obeying: Obeying
) -> None:
    """Its device takes three commands; the node's only one has it born again, for everybody."""
    users = Users(mqtt.data)
    commands = {
        Action.PAUSE: encoded("Control/Pause", True),
        Action.RESUME: encoded("Control/Pause", False),
        Action.CHANGE_OVER: encoded("Control/ChangeOver", "bottle"),
    }

    async def story() -> None:
        async with speaking(mqtt, broker) as ear:
            await asyncio.to_thread(until, lambda: ear.raw(f"{GROUP}/NBIRTH/ST-01"))
            for role in ROLES:
                users.set_roles("mqtt", [role], principal=SYSTEM)
                with capture_logs() as logs:
                    await asyncio.to_thread(told, ear, commands.values())
                denied = {
                    log["action"] for log in logs
                    if log["event"] == "a device command is refused" and "may not" in log["why"]
                }  # fmt: skip
                assert denied == {str(a) for a in commands if role not in MAY[a]}, role

    told_to_its_end(story)
    assert {c.principal.id for c in obeying.commands} == {"mqtt"}


def told(ear: Ear, commands: Any) -> None:
    """These, and that the node be born again: the birth says that they have been heard."""
    births = len(ear.raw(f"{GROUP}/NBIRTH/ST-01"))
    for payload in commands:
        ear.say(f"{GROUP}/DCMD/ST-01/vision", payload)
    ear.say(f"{GROUP}/NCMD/ST-01", encoded("Node Control/Rebirth", True))
    until(lambda: len(ear.raw(f"{GROUP}/NBIRTH/ST-01")) > births, 60.0)
