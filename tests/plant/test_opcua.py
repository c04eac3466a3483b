"""The OPC UA server of a running line, browsed by the official type ids, driven through every
transition, and refused what it must refuse. (S1, S10, I9)"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Node, ua
from asyncua.ua.uaerrors import UaStatusCodeError
from scada_line import ScadaProcess, client_of

from inspector.plant.opcua import REJECTED_MAX, keep_rejected
from inspector.store import History
from inspector.trial import Trial

ROOT = Path(__file__).parent.parent.parent
DATA = Path(os.environ.get("INSPECTOR_REAL_DATA", ROOT.parent / "shared" / "data"))
NODESET = DATA / "standards" / "Opc.Ua.MachineVision.NodeSet2.xml"
MACHINE_VISION = "http://opcfoundation.org/UA/MachineVision"
AUTOMATIC = "VisionStateMachine/AutomaticModeStateMachine"


@pytest.fixture(scope="module", params=["official", "own"])
def scada(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, scada_trial: Trial
) -> Iterator[ScadaProcess]:
    section: dict[str, Any] = {"opcua": {"port": 0, "any_client": True}}
    if request.param == "official":
        if not NODESET.is_file():
            pytest.skip(f"STANDARDS MISSING: {NODESET}; set INSPECTOR_REAL_DATA")
        section["opcua"]["nodeset"] = str(NODESET)
    process = ScadaProcess(scada_trial, tmp_path_factory.mktemp(request.param), section)
    process.start("opcua.url")
    yield process
    process.stop()


class Vision:
    """The vision system as a client finds it."""

    def __init__(self, client: Client, root: Node, official: bool) -> None:
        self.client, self.root, self.official = client, root, official

    async def node(self, path: str) -> Node:
        node = self.root
        for name in path.split("/"):
            for child in await node.get_children():
                if (await child.read_browse_name()).Name == name:
                    node = child
                    break
            else:
                raise AssertionError(f"no {name} in {path}")
        return node

    async def call(self, path: str, *arguments: Any) -> Any:
        parent = path.rpartition("/")[0]
        owner = await self.node(parent)
        return await owner.call_method((await self.node(path)).nodeid, *arguments)

    async def state(self) -> str:
        outer = await (await self.node("VisionStateMachine/CurrentState")).read_value()
        if outer.Text != "Operational":
            return str(outer.Text)
        return str((await (await self.node(f"{AUTOMATIC}/CurrentState")).read_value()).Text)

    async def until(self, state: str) -> None:
        end = time.monotonic() + 10
        while await self.state() != state:
            assert time.monotonic() < end, f"{await self.state()} instead of {state}"
            await asyncio.sleep(0.05)

    def id(self, kind: str, text: str) -> Any:
        """An identifier as this server wants it."""
        if not self.official:
            return text
        made = getattr(ua, kind)()
        made.Id = text
        return made

    def cause(self) -> tuple[Any, ...]:
        return ua.Variant(1, ua.VariantType.Int32), ua.Variant("a test", ua.VariantType.String)

    def start(self, recipe: str = "") -> tuple[Any, ...]:
        if not self.official:
            return "M-1", "", recipe, "", ""
        return (
            self.id("MeasIdDataType", "M-1"), self.id("PartIdDataType", ""),
            self.id("RecipeIdExternalDataType", recipe), self.id("ProductIdDataType", ""),
            ua.Variant([], ua.VariantType.Variant, is_array=True),
        )  # fmt: skip


@asynccontextmanager
async def signed_in(scada: ScadaProcess, folder: Path, user: str = "olga") -> AsyncIterator[Vision]:
    client = await client_of(scada.read("opcua.url"), folder, user)
    async with client:
        official = MACHINE_VISION in await client.get_namespace_array()
        if official:
            await client.load_data_type_definitions()
        for child in await client.nodes.objects.get_children():
            if (await child.read_browse_name()).Name == "ST-01":
                yield Vision(client, child, official)
                return
        raise AssertionError("no vision system under Objects")


def test_a_client_runs_it_through_every_transition(scada: ScadaProcess, tmp_path: Path) -> None:
    async def story() -> None:
        async with signed_in(scada, tmp_path) as vision:
            await vision.until("ContinuousExecution")
            assert await vision.call(f"{AUTOMATIC}/Stop", *vision.cause()) == 0
            await vision.until("Ready")
            ids = [vision.id(f"RecipeId{k}DataType", n) for k, n in
                   (("External", "juice-line"), ("Internal", ""))]  # fmt: skip
            prepared = await vision.call("RecipeManagement/PrepareRecipe", *ids)
            assert prepared[1:] == [True, 0]
            assert getattr(prepared[0], "Id", prepared[0]) == "juice-line"
            unprepared = await vision.call("RecipeManagement/UnprepareRecipe", *ids)
            assert unprepared[-1] == 0
            await vision.until("Initialized")
            with pytest.raises(UaStatusCodeError, match="BadInvalidState"):
                await vision.call(f"{AUTOMATIC}/StartContinuous", *vision.start())
            await vision.call("RecipeManagement/PrepareRecipe", *ids)
            await vision.until("Ready")
            job, error = await vision.call(f"{AUTOMATIC}/StartSingleJob", *vision.start())
            assert error == 0 and getattr(job, "Id", job).startswith("job-")
            await vision.until("Ready")
            _, error = await vision.call(
                f"{AUTOMATIC}/StartContinuous", *vision.start("bottle-line")
            )
            assert error == 0
            await vision.until("ContinuousExecution")
            assert await vision.call("VisionStateMachine/Halt", *vision.cause()) == 0
            assert await vision.state() == "Halted"
            assert await vision.call("VisionStateMachine/Reset", *vision.cause()) == 0
            assert await vision.state() == "Preoperational"
            assert await vision.call("VisionStateMachine/SelectModeAutomatic") == 0
            await vision.until("Ready")
            _, error = await vision.call(f"{AUTOMATIC}/StartContinuous", *vision.start())
            assert error == 0
            await vision.until("ContinuousExecution")

    asyncio.run(story())
    with History(scada.trial.data) as history:
        who = {(r.body["method"], r.principal) for r in history.desk("opcua", 50)}
        paused = {e.principal for e in history.events("command", 50)}
    assert {("Halt", "olga"), ("Stop", "olga"), ("StartSingleJob", "olga")} <= who
    assert "olga" in paused


def test_results_come_with_job_part_recipe_and_measurement(
    scada: ScadaProcess, tmp_path: Path
) -> None:
    heard: list[Any] = []

    class Handler:
        def event_notification(self, event: Any) -> None:
            heard.append(event)

    async def story() -> None:
        async with signed_in(scada, tmp_path, "audit") as vision:
            client = vision.client
            ns = await client.get_namespace_index(MACHINE_VISION) if vision.official else 0
            kind: Any = (
                client.get_node(ua.NodeId(1024, ns)) if vision.official
                else await client.nodes.base_event_type.get_child(
                    [f"{vision.root.nodeid.NamespaceIndex}:ResultReadyEventType"])
            )  # fmt: skip
            subscription = await client.create_subscription(100, Handler())
            await subscription.subscribe_events(vision.root, kind)
            end = time.monotonic() + 15
            while len(heard) < 3 and time.monotonic() < end:
                await asyncio.sleep(0.05)
            assert len(heard) >= 3
            event = heard[-1]

            def text(value: Any) -> str:
                return str(getattr(value, "Id", value))

            assert text(event.InternalRecipeId) in ("bottle-line", "juice-line")
            content = event.ResultContent[0] if vision.official else event.ResultContent
            content = json.loads(getattr(content, "Value", content))
            assert content["outcome"] in ("pass", "reject", "error") and content["sequence"]
            assert text(event.JobId) and text(event.MeasId)
            id = vision.id("ResultIdDataType", text(event.ResultId))
            zero = ua.Variant(1000, ua.VariantType.Int32)
            _, result, error = await vision.call("ResultManagement/GetResultById", id, zero)
            assert error == 0
            stored = result.ResultContent[0] if vision.official else json.loads(result)
            stored = stored if not vision.official else json.loads(getattr(stored, "Value", stored))
            stored = stored.get("ResultContent", stored)
            assert stored["sequence"] == content["sequence"]
            unknown = vision.id("ResultIdDataType", "0190b6a0-0000-7000-8000-000000000000")
            assert (await vision.call("ResultManagement/GetResultById", unknown, zero))[-1] == -3

    asyncio.run(story())


def test_who_may_not_is_refused(scada: ScadaProcess, tmp_path: Path) -> None:
    """(I9) An auditor reads; a machine pauses, and does not start what a person has stopped."""

    async def story() -> None:
        async with signed_in(scada, tmp_path, "audit") as vision:
            await vision.until("ContinuousExecution")
            with pytest.raises(UaStatusCodeError, match="BadUserAccessDenied"):
                await vision.call(f"{AUTOMATIC}/Stop", *vision.cause())
            ready = await vision.node("Station/Ready")
            with pytest.raises(UaStatusCodeError):
                await ready.write_value(False)
            with pytest.raises(UaStatusCodeError):
                await vision.client.nodes.objects.add_object(2, "mine")
        async with signed_in(scada, tmp_path, "mes") as vision:
            assert await vision.call(f"{AUTOMATIC}/Stop", *vision.cause()) == 0
            await vision.until("Ready")
            with pytest.raises(UaStatusCodeError, match="BadUserAccessDenied"):
                await vision.call(f"{AUTOMATIC}/StartContinuous", *vision.start())
        async with signed_in(scada, tmp_path, "olga") as vision:
            await vision.call(f"{AUTOMATIC}/StartContinuous", *vision.start())
            await vision.until("ContinuousExecution")

    asyncio.run(story())


def test_nobody_comes_in_without_a_name_or_in_the_clear(
    scada: ScadaProcess, tmp_path: Path
) -> None:
    async def attempt(make: Callable[[], Any]) -> None:
        client = await make()
        async with client:
            await client.nodes.objects.get_children()

    url = scada.read("opcua.url")

    async def anonymous() -> Client:
        client = await client_of(url, tmp_path, "")
        client._username = None
        return client

    async def clear() -> Client:
        client = Client(url, timeout=4)
        client.set_user("olga")
        client.set_password("a long enough password")
        return client

    async def wrong() -> Client:
        return await client_of(url, tmp_path, "olga", "not the password")

    for make in (anonymous, clear, wrong):
        with pytest.raises(Exception, match=r"(?i)bad|no matching|not find|endpoint"):
            asyncio.run(attempt(make))


@pytest.mark.slow
def test_a_client_nobody_trusted_is_put_where_a_person_can_trust_it(
    scada_trial: Trial, tmp_path: Path
) -> None:
    folder = tmp_path / "strict"
    folder.mkdir()
    process = ScadaProcess(scada_trial, folder, {"opcua": {"port": 0}})
    process.start("opcua.url")
    trust = scada_trial.data / "opcua"

    async def attempt() -> None:
        async with await client_of(process.read("opcua.url"), tmp_path, "audit") as client:
            await client.nodes.objects.get_children()

    try:
        with pytest.raises(Exception, match=r"(?i)untrusted|BadCert"):
            asyncio.run(attempt())
        (rejected,) = (trust / "rejected").glob("*.der")
        shutil.move(rejected, trust / "trusted" / rejected.name)
        asyncio.run(attempt())
    finally:
        process.stop()


def test_whoever_comes_with_ever_new_certificates_fills_no_disk(tmp_path: Path) -> None:
    """None of them has a user; each left a file for ever."""
    for number in range(REJECTED_MAX + 20):
        file = tmp_path / f"{number}.der"
        keep_rejected(tmp_path, file.name, b"certificate")
        os.utime(file, (number, number))
    kept = {path.name for path in tmp_path.glob("*.der")}
    assert kept == {f"{number}.der" for number in range(20, REJECTED_MAX + 20)}


@pytest.mark.slow
def test_a_nodeset_that_is_not_there_is_named(scada_trial: Trial, tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    folder.mkdir()
    process = ScadaProcess(scada_trial, folder, {"opcua": {"port": 0, "nodeset": "nowhere.xml"}})
    process.start()
    log = folder / "scada.log"
    end = time.monotonic() + 20
    while "nowhere.xml: there is no such file" not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)
    assert process.process is not None and process.process.poll() is None
    process.stop()
