"""The system page in a real browser: people, certificates, the log, a back-up. (I9)"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from web import people_form
from web.conftest import ADMIN

from inspector import logs
from inspector.identity import IdentityError, Role
from inspector.store import LineLedger
from inspector.store.audit import Asked, trail


def certificate(days: float) -> bytes:
    """A client's, DER, that ends in ``days``."""
    key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scada")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(days))
    return dated.sign(key, None).public_bytes(Encoding.DER)


@pytest.fixture
def clients(web: Any) -> Iterator[Path]:
    """One OPC UA client that was turned away, one that is trusted and ends soon."""
    folder: Path = web.data / "opcua"
    for name, days in (("rejected", 400), ("trusted", 9)):
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}-one.der").write_bytes(certificate(days))
    yield folder
    shutil.rmtree(folder)


def says(web: Any, who: str, level: str, event: str, **more: Any) -> None:
    """The process ``who`` of the station says something, as all of them do."""
    folder = logs.folder(web.run)
    folder.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    said = {"timestamp": stamp, "level": level, "process": who, "event": event, **more}
    with (folder / f"{who}.jsonl").open("a") as file:
        file.write(json.dumps(said) + "\n")


@pytest.fixture
def spoken(web: Any) -> Iterator[None]:
    """The line has warned and sync has noted something; afterwards nobody ever has."""
    says(web, "line", "warning", "frames are late", camera="side", late_ms=41)
    says(web, "sync", "info", "sent", records=120)
    yield
    shutil.rmtree(logs.folder(web.run))


def sign_in(web: Any, page: Any, role: Role, language: str = "en", query: str = "") -> Any:
    token, _ = web.session(role, name="ada")
    page.context.add_cookies([
        {"name": "inspector", "value": token, "url": web.url},
        {"name": "language", "value": language, "url": web.url},
    ])  # fmt: skip
    page.set_default_timeout(20_000)
    page.goto(f"{web.url}desk/system{query}")
    page.locator(".signals li").first.wait_for()
    return page


def test_an_administrator_makes_and_disables_people(web: Any, page: Any) -> None:
    sign_in(web, page, Role.ADMIN)
    people_form.fill(page, "otto", "8642", "Operator")

    page.get_by_role("button", name="Add or change").click()

    page.locator(".people-block .release", has_text="otto").wait_for()
    assert web.users.verify_pin("otto", "8642").roles == {Role.OPERATOR}
    page.locator(".people-block .release", has_text="otto").get_by_role("button").click()
    page.locator(".people-block .release", has_text="otto").wait_for(state="detached")
    with pytest.raises(IdentityError):
        web.users.verify_pin("otto", "8642")


def test_a_change_of_somebody_is_whole_or_refused_and_is_on_record(web: Any, page: Any) -> None:
    """A PIN that will not do left the new role behind, and no record of it."""
    web.users.add_user("nora", [Role.OPERATOR], pin="2580", principal=ADMIN)
    sign_in(web, page, Role.ADMIN)

    people_form.fill(page, "nora", "1111", "Engineer")
    page.get_by_role("button", name="Add or change").click()
    page.get_by_text("the first that anybody would try").wait_for()
    assert web.users.find("nora").roles == {Role.OPERATOR}

    people_form.fill(page, "nora", "8642", "Engineer")
    page.get_by_role("button", name="Add or change").click()
    page.locator(".people-block .release", has_text="Engineer").filter(has_text="nora").wait_for()
    newest = trail(web.data, Asked(what="user"), limit=1).deeds[0]
    assert newest.principal == "ada"
    assert all(said in newest.text for said in ("nora", "engineer"))


def test_a_new_pin_ends_what_the_old_one_opened(web: Any, page: Any) -> None:
    """Somebody else may have known it."""
    web.users.add_user("pola", [Role.OPERATOR], pin="2580", principal=ADMIN)
    token, _ = web.session(Role.OPERATOR, name="pola")
    sign_in(web, page, Role.ADMIN)

    people_form.fill(page, "pola", "8642", "Engineer")
    page.get_by_role("button", name="Add or change").click()

    page.locator(".people-block .release", has_text="Engineer").filter(has_text="pola").wait_for()
    assert web.sessions.find(token) is None


def test_who_is_disabled_leaves_every_open_page(web: Any, browser: Any) -> None:
    """A desk's page for the sign-in page, the operator's page for whoever comes next (S16)."""
    web.users.add_user("karl", [Role.QA], principal=ADMIN)
    token, _ = web.session(Role.QA, name="karl")
    context = browser.new_context()
    context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
    desk, live = context.new_page(), context.new_page()
    for page, path in ((desk, "desk/audit?who=anna"), (live, "")):
        page.clock.install()
        page.goto(web.url + path)
        page.wait_for_selector("#person-name[data-user=karl]")

    web.users.disable("karl", principal=ADMIN)
    for page in (desk, live):
        page.clock.fast_forward(5_000)

    desk.wait_for_url("**/login?next=%2Fdesk%2Faudit%3Fwho%3Danna")
    live.wait_for_selector("#person-name[data-user='']")
    context.close()


def test_a_page_is_drawn_anew_for_who_signs_in_in_another_tab(web: Any, browser: Any) -> None:
    """It stood under the new name, and every button of it was refused."""
    context = browser.new_context()
    for name in ("kurt", "lena"):
        token, _ = web.session(Role.QA, name=name)
        context.add_cookies([{"name": "inspector", "value": token, "url": web.url}])
        if name == "kurt":
            page = context.new_page()
            page.clock.install()
            page.goto(f"{web.url}desk/audit?who=anna")
            page.wait_for_selector("#person-name[data-user=kurt]")
            page.evaluate("window.drawn = 'for kurt'")

    page.clock.fast_forward(5_000)

    page.wait_for_function("window.drawn === undefined")
    page.wait_for_selector("#person-name[data-user=lena]")
    assert page.url.endswith("/desk/audit?who=anna")
    context.close()


def test_an_opc_ua_client_is_let_in(web: Any, page: Any, clients: Path) -> None:
    sign_in(web, page, Role.ENGINEER)
    assert page.locator(".people-block").count() == 0, "an engineer makes no users"
    page.get_by_text("Renew it; days left: 8").wait_for()

    page.get_by_role("button", name="Let it in").click()

    page.get_by_text("Days left: 399").wait_for()
    assert (clients / "trusted" / "rejected-one.der").is_file()
    assert not list((clients / "rejected").iterdir())


def test_processes_and_health_are_live_in_chinese(
    web: Any, page: Any, line: Callable[..., Any]
) -> None:
    line("--rate", "2")
    sign_in(web, page, Role.ENGINEER, "zh")

    page.locator(".signals li", has_text="web").filter(has_text="秒前").wait_for()
    page.locator(".signals li[data-state=warning]", has_text="存储").wait_for()


def test_the_log_is_live_and_shown_by_process_and_level(web: Any, page: Any, spoken: None) -> None:
    sign_in(web, page, Role.ENGINEER)
    rows = page.locator(".log tbody tr")
    rows.nth(1).wait_for()
    assert "sent records=120" in rows.first.inner_text(), "the newest stands first"

    page.locator(".log select[name=level]").select_option("warning")
    rows.nth(1).wait_for(state="detached")
    assert "frames are late camera=side late_ms=41" in rows.first.inner_text()
    says(web, "line", "critical", "broke", exception="Traceback\n  <script>ZeroDivisionError")
    page.locator(".log tr[data-level=critical] pre", has_text="<script>Zero").wait_for()

    page.locator(".log select[name=process]").select_option("sync")
    page.locator(".log .empty").wait_for()
    page.wait_for_url("**/desk/system?process=sync&level=warning")


def test_the_log_says_which_process_its_supervisor_has_started(
    web: Any, page: Any, spoken: None
) -> None:
    says(web, "station", "info", "process started", process="camera-side", pid=7)
    sign_in(web, page, Role.ENGINEER, query="?process=station")

    row = page.locator(".log tbody tr")
    row.wait_for()
    assert row.locator("td").nth(1).inner_text() == "station"
    assert row.locator("td").nth(3).inner_text() == "process started process=camera-side pid=7"


def test_a_log_is_sent_on_by_its_address_and_speaks_chinese(
    web: Any, page: Any, spoken: None
) -> None:
    sign_in(web, page, Role.ENGINEER, "zh", "?process=line&level=warning")

    row = page.locator(".log tbody tr")
    row.wait_for()
    assert row.count() == 1 and "警告" in row.inner_text()
    assert page.locator(".log select[name=process]").input_value() == "line"


@pytest.mark.slow
def test_a_back_up_is_made_and_verified(web: Any, page: Any, provider: Any, tmp_path: Path) -> None:
    """Of a station of its own: the records of other tests' desk name a line that is gone."""
    folder = tmp_path / "own"
    folder.mkdir()
    own = type(web)(folder, provider.issuer)
    with ExitStack() as held:
        held.callback(own.kill)
        LineLedger.open(own.data, station="BOT-L3-01").close()
        sign_in(own, page, Role.ENGINEER)
        where = page.get_by_label("Folder")
        where.fill("here")
        page.get_by_role("button", name="Back up now").click()
        page.get_by_text("Name the whole folder").wait_for()

        where.fill(str(tmp_path / "copy"))
        page.get_by_role("button", name="Back up now").click()

        page.get_by_text("Backed up and verified").wait_for()
        assert (tmp_path / "copy").is_dir()
