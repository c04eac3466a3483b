"""The engineer's whole job at a running station, in a real browser: cameras, recipe editor,
teaching, models, the gate, and the station as a machine. (S5, S8, S9, I7, I9)

One station on the virtual line for all of it, whose tiles have a spot each and one in twelve a
large one; each test leaves the line running as it found it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from release.centre import DAY, Centre
from scada_line import PASSWORD, client_of
from surfaces import surface
from trial.conftest import LENIENT
from web import people_form
from web.demo_station import ADMIN, Station, desk, enter_pin, press, screen, signed
from web.test_recipes_page import drag

from inspector import store
from inspector.bus import run_dir
from inspector.config import load_station
from inspector.identity import IdentityError, Role, Users
from inspector.part import Batch, Outcome, Pixels
from inspector.store import History
from inspector.store.backup import restore
from inspector.store.recipes import draft_path, revisions
from inspector.trial import Plan, running, wait_for
from inspector.virtual.film import write_film
from inspector.virtual.filmset import FilmSet
from training.release import Example, put

__all__ = ["screen"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
"""A whole station starts, and each flow waits for its parts and for commands that start anew."""
SLOW_MS = 120_000
SIZE = (160, 128)
FILM = 24
RECIPE = """\
# A brushed tile; no spot on it may be large.
name: tile
revision: 1
views: [side]
tools:
  - name: spot
    kind: blob
    roi: [84, 16, 150, 112]      # the right half, without its rim
    params:
      threshold: {method: fixed, level: 60}
      area: [300, 100000]        # square pixels, measured on forty tiles
"""
QIN, ERIK = "3690", "1470"


def tile(number: int) -> Pixels:
    """A tile whose spot is small, of five sizes; that of every twelfth is not."""
    pixels = surface(number, SIZE)
    side = 24 if bad(number) else 6 + 2 * (number % 5)
    pixels[40 : 40 + side, 100 : 100 + side] = 20
    return pixels


def bad(number: int) -> bool:
    return number % 12 == 11


class Tiles(Centre):
    """A centre whose releases take spots of 120 square pixels for large: two tiles in five."""

    def recipe(self, revision: int = 2, pattern: str = "", name: str = "tile") -> Path:
        path = self.folder / f"{name}.yaml"
        text = RECIPE.replace("revision: 1", f"revision: {revision}")
        path.write_text(text.replace("[300,", "[120,"))
        return path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one in the station's file."""
    path = tmp_path_factory.mktemp("recipe") / "tile.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the station looks for releases."""
    return tmp_path_factory.mktemp("channel")


@pytest.fixture(scope="module")
def station(
    recipe: Path, channel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Station]:
    """Four tiles a second, every picture kept, releases and OPC UA."""
    folder = tmp_path_factory.mktemp("tiles")
    write_film(folder / "side.film", [tile(n) for n in range(FILM)], *SIZE, "Mono8")
    defect = {"label": "spot", "severity": "critical"}
    truth = [{"product": "", "defects": [defect] * bad(n)} for n in range(FILM)]
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "truth.json").chmod(0o600)
    card = {"product": "tile", "lot": "T1", "date": "", "seed": 0, "count": FILM}
    (folder / "film.json").write_text(json.dumps(card))
    more = {
        "store.pass_image_every": 1,
        "stop.bin_full": False,
        "scada": {"opcua": {"port": 0}},
        "releases": {
            "source": str(channel), "channel": "canary", "poll_s": 1.0, "shadow_share": 1.0,
            "planned_disagreement": True,
        },
    }  # fmt: skip
    plan = Plan(
        FilmSet.open(folder), tmp_path_factory.mktemp("engineer"), rate=4.0, recipes=(recipe,),
        page=0, station=LENIENT | more, views=("side",),
    )  # fmt: skip
    with running(plan) as trial:
        assert wait_for(trial.page, 120.0), trial.log()
        made = Station(trial)
        users = Users(trial.data)
        users.add_user("erik", [Role.ENGINEER], pin=ERIK, principal=ADMIN)
        users.add_user("ada", [Role.ADMIN, Role.ENGINEER], pin="7410", principal=ADMIN)
        users.add_user("scada", [Role.AUDITOR], password=PASSWORD, principal=ADMIN)
        assert wait_for(lambda: len(pictured(made)) >= 2 * FILM, 120.0), trial.log()
        yield made
        trial.stop_station()
        report = store.verify(trial.data)
        assert report.ok, str(report)


def pictured(station: Station) -> list[Outcome]:
    """The verdicts of those parts whose picture is kept; none before there is a ledger."""
    if not (station.data / "line.db").exists():
        return []
    with History(station.data) as history:
        return [part.verdict.outcome for part in history.last(200) if part.images]


def test_a_camera_is_looked_at_found_and_set_in_the_station_file(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = desk(screen, "/desk/cameras", "erik")
    page.wait_for_function("document.querySelector('.aids .figure').textContent !== '–'")
    assert page.locator("canvas.picture").evaluate("c => [c.width, c.height]") == list(SIZE)
    assert float(page.locator(".aids .figure").inner_text().replace(",", "")) > 5, "has edges"
    assert 90 < float(page.locator(".shares dd").nth(2).inner_text()) < 140, "the plate's grey"
    page.locator(".aids .note", has_text="uses the range well").wait_for()
    drawn = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((b) => b)"
    assert page.locator("canvas.histogram").evaluate(drawn)

    page.get_by_label("Search a feature").fill("exposuretime")
    row = page.locator(".features tbody tr", has=page.locator("input[name=ExposureTime]"))
    row.wait_for()
    assert "…" in row.inner_text() and "us" in row.inner_text(), "its range and unit"
    assert row.locator(".soft").first.inner_text(), "what it means, by the camera"
    page.locator("input[name=ExposureTime]").fill("135")
    page.get_by_role("button", name="Save to station file").click()
    page.get_by_text("when the station next starts").wait_for()
    assert load_station(station.trial.station_file).cameras[0].features["ExposureTime"] == 135
    [deed] = station.did("erik", "station_file")
    assert (deed["camera"], deed["before"]) == ("side", {"ExposureTime": 120.0})

    page.set_default_timeout(SLOW_MS)
    page.get_by_role("button", name="Look for cameras").click()
    page.locator(".found td", has_text="V001").first.wait_for()


def test_a_recipe_is_drawn_tuned_saved_approved_and_rolled_back(
    station: Station, screen: Callable[..., Any], recipe: Path
) -> None:
    """An area on the live picture, a limit on the newest parts; what was signed judges once the
    line starts anew, and so does what was before, once that is signed again."""
    page = editor(screen, "erik")
    page.locator("select[name=picture]").select_option("live")
    page.locator("canvas.areas[data-shown=live]").wait_for()
    drag(page, (150, 64), (140, 64), SIZE)
    right = page.get_by_label("Area x2")
    page.wait_for_function("(field) => field.value !== '150'", arg=right.element_handle())
    page.locator(".numbers input[name='area 0']").fill("120")
    page.locator(".flip[data-now=reject]").first.wait_for()
    page.locator(".outcome[data-running=false]").wait_for()
    assert page.locator(".flip").count() == page.locator(".flip[data-now=reject]").count() >= 3
    rejects = page.locator(".outcome tbody tr", has_text="Reject").inner_text()
    assert rejects.split()[-1].startswith("+"), rejects
    page.locator(".flip").first.click()
    page.locator("canvas.areas[data-shown^='/picture/']").wait_for()
    assert recipe.read_text() == RECIPE and not draft_path(station.data, "tile").exists()

    page.get_by_role("button", name="Save as draft").click()
    page.locator(".revisions .draft").wait_for()
    draft = draft_path(station.data, "tile").read_text()
    assert "revision: 2" in draft and "area: [120, 100000]        # square pixels" in draft
    assert abs(int(re.findall(r"roi: \[84, 16, (\d+), 112\]", draft)[0]) - 140) <= 2
    assert page.locator(".diff .minus").count() == 3
    assert recipe.read_text() == RECIPE, "a draft is not in service"

    approve(screen)
    assert recipe.read_text() == draft
    [signature] = station.did("qin", "signature")[:1]
    assert (signature["meaning"], signature["subject"]) == ("approved", "tile")
    line_starts_anew(station, screen, "tile@2")

    page = editor(screen, "erik")
    first_revision(station, page).get_by_text("Compare").click()
    page.locator(".diff .plus", has_text="area: [120").wait_for()
    page.close()
    roll_back(station, screen)
    assert recipe.read_text() == RECIPE, "roll-back is the older text"


def test_a_tool_is_taught_from_the_last_good_parts_and_judges_on_the_line(
    station: Station, screen: Callable[..., Any], recipe: Path
) -> None:
    before = recipe.read_text()
    assert wait_for(lambda: pictured(station).count(Outcome.PASS) >= 20, 120.0)
    page = desk(screen, "/desk/teach", "erik")
    page.set_default_timeout(SLOW_MS)
    page.locator(".teach canvas[data-shown^='/picture/']").wait_for()
    drag(page, (8, 16), (76, 112), SIZE)
    page.get_by_label("Area x1").wait_for()
    page.locator("input[name=last]").fill("16")
    page.locator("input[name=share]").fill("5")
    page.locator(".bar").get_by_role("button", name="Teach").click()
    page.locator(".teach .progress progress").wait_for()
    page.locator(".teach .outcome h2", has_text="Taught from 16 good parts").wait_for()
    assert page.locator(".held figure").count() >= 8
    page.locator("input[name=tool]").fill("brushed")
    page.get_by_role("button", name="Save as draft").click()
    page.locator(".tools button[aria-pressed=true]", has_text="brushed").wait_for()
    page.locator(".outcome[data-running=false]").wait_for()
    assert recipe.read_text() == before, "quality approves it first"

    approve(screen)
    assert "kind: anomaly" in recipe.read_text()
    taught = f"tile@{re.findall(r'revision: ([0-9]+)', recipe.read_text())[0]}"
    line_starts_anew(station, screen, taught)
    with History(station.data) as history:
        newest = history.last(1)[0].verdict
    assert newest.recipe == taught
    assert "brushed" in {finding.tool for finding in newest.findings}
    a_heat_map_lies_over(station, screen, taught)

    roll_back(station, screen)


def test_a_release_is_offered_tried_in_shadow_activated_and_taken_back(
    station: Station, screen: Callable[..., Any], channel: Path, tmp_path: Path
) -> None:
    """(S9)"""
    centre = Tiles(tmp_path)
    centre.known_at(station.data)
    parity = [
        Example(f"tile-{n}", {"side": tile(n)}, Batch("parity", "tile"), DAY) for n in range(FILM)
    ]
    put(centre.made(2, parts=parity), "canary", channel)
    page = desk(screen, "/desk/models", "erik")
    page.set_default_timeout(SLOW_MS)
    shown(page, ".release:has(button) [data-stage=shadow]", ".otherwise figure img")
    told = page.locator("main.desk").inner_text()
    assert "Channel canary at" in told and "parity set: " in told
    page.wait_for_function("document.querySelector('.otherwise img').naturalWidth > 0")
    assert "Pass, in shadow Reject" in page.locator(".otherwise figure").first.inner_text()
    assert page.locator("p.large").inner_text() == "tile@1"

    page.locator(".release").get_by_role("button", name="At once").click()
    signed(page, ERIK)
    page.locator("p.large", has_text="tile@2").wait_for()
    page.locator(".release [data-stage=champion]").wait_for()
    page.get_by_role("button", name="Back to recipe of the station file").click()
    signed(page, ERIK)
    page.locator("p.large", has_text="tile@1").wait_for()
    page.locator(".release [data-stage=undone]").wait_for()
    signed_for = [signature["subject"] for signature in station.did("erik", "signature")[:2]]
    assert signed_for == ["recipe of the station file", "tile/2"]


def test_signals_are_live_and_a_pulse_waits_for_an_empty_gate(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = desk(screen, "/desk/gate", "erik")
    page.locator("[data-signal=line_running][data-state=ok]").wait_for()
    page.locator("[data-signal=bin_full][data-state=ok]").wait_for()
    station.trial.act("bin_full")
    page.locator("[data-signal=bin_full][data-state=warning]").wait_for()
    station.trial.act("bin_full", on=False)
    page.locator("[data-signal=bin_full][data-state=ok]").wait_for()
    counted = page.locator(".tiles").inner_text()
    page.wait_for_function(
        "(before) => document.querySelector('.tiles').innerText !== before", arg=counted
    )

    page.get_by_role("button", name="Give one pulse").click()
    page.get_by_text("parts stand before the gate").wait_for()
    station.trial.act("feed", count=0)
    assert wait_for(lambda: station.trial.now()["state"] == "done", 60.0), station.trial.now()
    page.locator(".tile", has_text="Before the gate").get_by_text("0", exact=True).wait_for()
    page.get_by_role("button", name="Give one pulse").click()
    page.get_by_text("The pulse was given.").wait_for()
    assert station.did("erik", "command")[0]["command"] == "test_pulse"

    triggers = station.trial.now()["triggers"]
    station.trial.act("feed", count=10_000_000)
    assert wait_for(lambda: station.trial.now()["triggers"] > triggers, 60.0), station.trial.now()


def test_the_stations_health_processes_and_log_are_live(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = desk(screen, "/desk/system", "ada")
    page.set_default_timeout(SLOW_MS)
    signs = page.locator(".signals li[data-state=ok]")
    for name in ("camera-side", "line", "releases", "scada", "quality", "web"):
        signs.filter(has_text=re.compile(rf"^\s*{name}")).first.wait_for()
    page.locator(".signals li", has_text="GB").wait_for()
    page.locator(".log select[name=process]").select_option("station")
    page.locator(".log tbody tr", has_text="process started").first.wait_for()


def test_a_person_who_is_added_works_at_the_touchscreen_until_disabled(
    station: Station, screen: Callable[..., Any]
) -> None:
    page = desk(screen, "/desk/system", "ada")
    people_form.fill(page, "otto", "8642", "Operator")
    page.get_by_role("button", name="Add or change").click()
    otto = page.locator(".people-block .release", has_text="otto")
    otto.wait_for()

    live = screen()
    press(live, "#do-pause", "dialog .danger")
    enter_pin(live, "otto", "8642")
    live.wait_for_selector("#verdict[data-outcome=paused]")
    press(live, "#do-pause", "dialog .main")
    live.wait_for_selector("#verdict:not([data-outcome=paused])")
    assert [deed["command"] for deed in station.did("otto", "command")[:2]] == ["resume", "pause"]

    otto.get_by_role("button").click()
    otto.wait_for(state="detached")
    with pytest.raises(IdentityError):
        Users(station.data).verify_pin("otto", "8642")


def test_an_opc_ua_client_is_let_in_by_an_engineer(
    station: Station, screen: Callable[..., Any], tmp_path: Path
) -> None:
    address = run_dir(station.data) / "opcua.url"
    assert wait_for(address.exists, 120.0), station.trial.log()

    async def attempt() -> None:
        async with await client_of(address.read_text(), tmp_path, "scada") as client:
            await client.nodes.objects.get_children()

    def connect() -> None:
        """In a thread: the browser's loop runs in this one."""
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(attempt())).result()

    with pytest.raises(Exception, match=r"(?i)untrusted|BadCert"):
        connect()
    page = desk(screen, "/desk/system", "erik")
    page.get_by_role("button", name="Let it in").click()
    page.get_by_role("button", name="Let it in").wait_for(state="detached")
    connect()
    assert station.did("erik", "opcua_client")[0]["action"] == "trusted"


def test_a_running_station_is_backed_up_and_comes_back_on_a_bare_machine(
    station: Station, screen: Callable[..., Any], tmp_path: Path
) -> None:
    page = desk(screen, "/desk/system", "erik")
    page.set_default_timeout(SLOW_MS)
    page.get_by_label("Folder").fill(str(tmp_path / "copy"))
    page.get_by_role("button", name="Back up now").click()
    page.get_by_text("Backed up and verified").wait_for()
    restore(tmp_path / "copy", tmp_path / "bare", "erik")
    assert store.verify(tmp_path / "bare").ok
    assert station.did("erik", "backup")[0]["folder"] == str(tmp_path / "copy")


# --- what several of these do ---


def editor(screen: Callable[..., Any], user: str) -> Any:
    """The recipe editor with a kept picture on it."""
    page = desk(screen, "/desk/recipes", user)
    page.set_default_timeout(SLOW_MS)
    page.locator(".recipes canvas[data-shown^='/picture/']").wait_for()
    return page


def approve(screen: Callable[..., Any]) -> None:
    """Quality signs the draft."""
    page = editor(screen, "qin")
    page.get_by_role("button", name="Approve").click()
    signed(page, QIN)
    page.locator(".revisions .draft").wait_for(state="detached")
    page.locator(".revisions li", has_text="in service").get_by_text("approved by qin").wait_for()
    page.close()


def first_revision(station: Station, page: Any) -> Any:
    """The row of what the station's file had at first."""
    (digest,) = [r.digest for r in revisions(station.data, "tile") if r.path.read_text() == RECIPE]
    return page.locator(".revisions li", has_text=digest[:12])


def roll_back(station: Station, screen: Callable[..., Any]) -> None:
    """The first revision becomes a draft, is signed and judges again."""
    page = editor(screen, "erik")
    first_revision(station, page).get_by_role("button", name="Take as draft").click()
    page.locator(".revisions .draft").wait_for()
    page.close()
    approve(screen)
    line_starts_anew(station, screen, "tile@1")


def a_heat_map_lies_over(station: Station, screen: Callable[..., Any], recipe: str) -> None:
    """Quality sees on the picture where a reject differs from what was taught, or not."""

    def rejected() -> bool:
        with History(station.data) as history:
            newest = history.last(1, faulty=True)
        return bool(newest and newest[0].verdict.recipe == recipe and newest[0].images)

    assert wait_for(rejected, SLOW_MS / 1000), station.trial.log()
    page = desk(screen, "/desk/review", "qin")
    page.set_default_timeout(SLOW_MS)
    page.locator("canvas.loupe[data-shown^='/picture/']").wait_for()
    page.get_by_role("button", name="Heat map").click()
    page.locator("canvas.loupe[data-heat='1']").wait_for()
    page.keyboard.press("h")
    page.locator("canvas.loupe[data-heat='0']").wait_for()
    page.close()


def line_starts_anew(station: Station, screen: Callable[..., Any], recipe: str) -> None:
    """It is killed, its supervisor starts it, and the operator's page names what judges now."""
    live = screen("anna")
    os.kill(station.trial.pids()["line"], signal.SIGKILL)
    live.wait_for_selector(f"body[data-link=live] #recipe:text-is('{recipe}')", timeout=SLOW_MS)
    passed = station.trial.now()["gate_passed"]
    judges = wait_for(lambda: station.trial.now()["gate_passed"] > passed, SLOW_MS / 1000)
    assert judges, (station.trial.now(), live.locator("#verdict").inner_text(), station.trial.log())
    live.close()


def shown(page: Any, *selectors: str) -> None:
    """The page is loaded anew until all of this stands on it."""

    def stands() -> bool:
        page.reload()
        page.locator(".release").first.wait_for()
        page.get_by_text("Looking …").first.wait_for(state="detached")
        return all(page.locator(selector).count() for selector in selectors)

    assert wait_for(stands, SLOW_MS / 1000), page.locator("main.desk").inner_text()
