"""Every command explains itself, and answers a mistake in words."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import click
import pytest
import typer
from typer.testing import CliRunner

from inspector import cli
from inspector.cli import people
from inspector.cli.words import pair, print_pairs, print_rows, say, show
from inspector.config import Web
from inspector.identity import IdentityError, Unauthenticated, Users
from inspector.store import StoreError
from inspector.sync.enrol import SyncError
from inspector.web.sessions import How, Sessions

ROOT = Path(__file__).parent.parent


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


ALL = list(commands(typer.main.get_command(cli.app)))


def started(*words: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, for one that changes the process that it is in."""
    command = [sys.executable, "-m", "inspector", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def inspector(*words: str) -> subprocess.CompletedProcess[str]:
    """The same here, which takes a twentieth of the time."""
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with patch("sys.argv", ["inspector", *words]), redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
    assert isinstance(status, int)
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


@pytest.fixture
def first_camera(tmp_path: Path) -> Path:
    """The station file of that name, with its data and photos beside it."""
    path = tmp_path / "station.yaml"
    text = (ROOT / "station_configs/first-camera.yaml").read_text()
    for here, there in (
        ("../data/first-camera", "data"), ("../photos", "photos"),
        ("../models", f"{ROOT}/models"), ("recipes: [", f"recipes: [{ROOT}/station_configs/"),
    ):  # fmt: skip
        text = text.replace(here, there)
    path.write_text(text)
    (tmp_path / "photos").mkdir()
    return path


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_command_has_help_with_an_example_that_names_it(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, [*words, "--help"])
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert f"Example: inspector {' '.join(words)}" in text


def test_a_terminal_that_does_not_know_every_character_shows_the_others() -> None:
    command = [sys.executable, "-m", "inspector", "agreement", "--help"]
    env = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "100"}
    done = subprocess.run(command, capture_output=True, env=env, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert b"between runs" in done.stdout


def test_a_station_file_is_checked_for_a_machine() -> None:
    result = inspector("config", "check", str(ROOT / "station_configs/bottle-line.yaml"), "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["ok"] is True


def test_a_mistake_in_a_station_file_is_named_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "station.yaml"
    text = (ROOT / "station_configs/bottle-line.yaml").read_text()
    path.write_text(text.replace("trigger: hardware", "trigger: hardwar"))
    result = inspector("config", "check", str(path))
    assert result.returncode == 2
    assert "did you mean `hardware`?" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_stations_recipes_are_checked_with_it(first_camera: Path) -> None:
    path, recipe = first_camera, first_camera.with_name("caps.yaml")
    shipped = ROOT / "station_configs/recipes/bottle-cap.yaml"
    path.write_text(path.read_text().replace(str(shipped), recipe.name))
    result = inspector("config", "check", str(path))
    assert result.returncode == 2
    assert f"{recipe}: no such file" in result.stderr
    caps = shipped.read_text()
    recipe.write_text(caps.replace("Cap", "Capp"))
    (problem,) = json.loads(inspector("config", "check", str(path), "--json").stdout)["problems"]
    assert problem["file"] == str(recipe)
    assert "Capp" in problem["message"] and "Cap" in problem["message"].split("Capp", 1)[1]
    recipe.write_text(caps)
    assert inspector("config", "check", str(path)).stdout.strip().endswith("ok")


def test_what_a_station_file_names_is_looked_for(first_camera: Path) -> None:
    """It was told that all was well, and the line or its pages could not run."""
    path, folder = first_camera, first_camera.parent
    (folder / "photos").rmdir()
    (folder / "cert.pem").touch()
    path.write_text(
        path.read_text()
        + "web: {certificate: cert.pem, private_key: cert.key}\n"
        + "output: {path: gpio}\n"
        + "providers: [CPUExecutionProvider, CUDAExecutionProvidr]\n"
        + "plant:\n  webhooks:\n    - {name: a, url: 'http://mes/', secret: a.secret}\n"
    )
    asked = inspector("config", "check", str(path), "--json")
    assert asked.returncode == 1
    problems = json.loads(asked.stdout)["problems"]
    assert [p["field"] for p in problems] == [
        "providers.1", "cameras.0.folder", "output.path", "web.private_key",
        "plant.webhooks.0.secret",
    ]  # fmt: skip
    lines = path.read_text().splitlines()
    for problem in problems:
        assert problem["field"].rpartition(".")[2].strip("1") in lines[problem["line"] - 1]
        assert str(folder) in problem["message"] or "onnxruntime" in problem["message"]


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "nowhere"),
        ("inspect", "nowhere.yaml", "nothing.png"),
        ("cameras", "--producer", "nowhere.cti"),
        ("film", "make", "--images", "nowhere", "--out", "x.film"),
        ("film", "render", "no-such-product", "--out", "x"),
        ("recipe", "check", "nowhere.yaml"),
        ("tell", "nowhere.yaml", "pause", "--as", "anna"),
        ("user", "list", "nowhere.yaml"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_what_is_not_there_is_answered_in_words(words: tuple[str, ...]) -> None:
    result = inspector(*words)
    said = result.stdout + result.stderr
    assert result.returncode == 2
    assert "internal error" not in said
    assert said.strip()


def test_who_finds_no_camera_is_told_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENICAM_GENTL64_PATH", str(tmp_path / "lib"))
    monkeypatch.delenv("INSPECTOR_VIRTUAL_DEVICES", raising=False)
    asked = inspector("cameras", "--json")
    assert json.loads(asked.stdout) == []
    assert f"lists {tmp_path / 'lib'}: no .cti file there" in asked.stderr


def test_an_image_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    recipe = str(ROOT / "station_configs/recipes/print-line.yaml")
    line = inspector("inspect", recipe, str(tmp_path / "nothing.png"), "--json").stdout
    result = json.loads(line)
    assert result["outcome"] == "error"
    assert "No such file" in result["reasons"][0]


def test_a_folder_without_images_is_told(tmp_path: Path) -> None:
    result = inspector(
        "inspect", str(ROOT / "station_configs/recipes/print-line.yaml"), str(tmp_path)
    )
    assert result.returncode == 2
    assert f"{tmp_path}: no image in it" in result.stderr


def test_what_the_system_refuses_names_the_file_and_no_number(first_camera: Path) -> None:
    text = first_camera.read_text()
    first_camera.write_text(text.replace("data: data", "data: /dev/null"))
    result = started("run", str(first_camera))
    assert result.returncode == 2
    assert result.stderr.strip() == "/dev/null/run: Not a directory"


@pytest.mark.parametrize(
    "words",
    [
        ("film", "make", "--images", ".", "--out", "none.film", "--size", "0x48"),
        ("film", "make", "--images", ".", "--out", "none.film", "--size", "99999x99999"),
        ("bench", "line", "--size", "0x0"),
        ("bench", "line", "--size", "641x480"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_size_that_no_picture_has_is_refused(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 2
    assert words[-1] in result.output


def test_the_doctor_knows_what_a_station_needs() -> None:
    rows = json.loads(inspector("doctor", "--json").stdout)
    needed = {row["what"]: row["ok"] for row in rows if row["needed"]}
    assert needed["onnxruntime"] is True
    assert needed["shared memory"] is True


def test_an_option_that_would_do_nothing_is_refused(tmp_path: Path) -> None:
    for words in (
        ["verify", "--package", "x.zip", "--held", "checkpoint.json"],
        ["trace", str(tmp_path), "--batch", "B", "--material", "cap-28"],
        ["recall", str(tmp_path), "--batch", "B", "--material", "cap-28", "--reason", "x"],
    ):
        result = CliRunner().invoke(cli.app, words)
        assert result.exit_code == 2
        assert words[-2] in result.output or "--material" in result.output


def test_what_a_line_clearance_looks_at_is_told_to_a_machine() -> None:
    station = str(ROOT / "station_configs/first-camera.yaml")
    asked = CliRunner().invoke(cli.app, ["clear-line", station, "--as", "otto", "--json"])
    assert asked.exit_code == 1
    assert all(row["look whether"] for row in json.loads(asked.stdout))


PLANTS_OWN = "width [mm], see [/ref 7] :warning:"


def test_what_a_plant_wrote_is_shown_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs(PLANTS_OWN, {PLANTS_OWN: PLANTS_OWN})
    print_rows(PLANTS_OWN, [{"why": PLANTS_OWN}])
    assert capsys.readouterr().out.count(PLANTS_OWN) == 5
    say(PLANTS_OWN)
    print_rows(PLANTS_OWN, [])
    assert capsys.readouterr().err.count(PLANTS_OWN) == 2


def test_what_is_said_to_a_machine_survives_every_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On one without Chinese each letter of a label was a question mark."""
    show("", {"label": "缺瓶盖"}, as_json=True)
    said = capsys.readouterr().out
    assert said.isascii() and json.loads(said) == {"label": "缺瓶盖"}


def test_a_table_on_a_narrow_terminal_is_folded_and_never_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    digest = "0123456789abcdef" * 4
    print_pairs("Pairs", {"n": digest})
    print_rows("Rows", [{"n": digest, "why": "x"}])
    said = capsys.readouterr().out
    assert "…" not in said
    shown = ["".join(c for c in table if c in "0123456789abcdef") for table in said.split("Rows")]
    assert all(digest in table for table in shown)


def test_who_may_not_read_a_ledger_is_not_told_that_its_tail_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "line.db").touch()
    monkeypatch.setattr(
        "inspector.cli.ledger.os.access", lambda path, _: path != tmp_path / "line.db"
    )
    with pytest.raises(StoreError, match="may not read it; nothing was verified"):
        CliRunner().invoke(cli.app, ["verify", str(tmp_path)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("id=241700", "241700"),
        ("id=0042", "0042"),
        ('id="L1"', "L1"),
        ("product=null", "null"),
        ("from=12", 12),
        ('texts={"lot": "L1"}', {"lot": "L1"}),
        ("reason=it jams", "it jams"),
    ],
)
def test_a_lot_that_looks_like_a_number_is_told_as_it_stands(given: str, meant: object) -> None:
    assert people._value(*pair(given)) == meant


@pytest.mark.parametrize(
    ("hub", "says"),
    [
        ("http://centre.example", "plain http:// is for a centre on this machine"),
        ("centre.example:8443", "is an address such as"),
        ("https://centre.example:84a3", "is an address such as"),
        ("https://[::1", "is an address such as"),
    ],
)
def test_a_token_is_sent_to_a_centres_address_alone(hub: str, says: str) -> None:
    station = str(ROOT / "station_configs/first-camera.yaml")
    words = ["enrol", station, "--token", f"t.{'0' * 32}", "--hub", hub]
    asked = CliRunner().invoke(cli.app, words)
    assert isinstance(asked.exception, SyncError) and says in str(asked.exception)


def test_limits_that_lie_close_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """A cap of 98.05 to 98.10 px had a chart whose limits and centre were all 98.1."""
    print_rows("Charts", [{"centre": 98.07, "lower": 98.05, "upper": 98.1, "parts_per_s": 22800.0}])
    assert {"98.07", "98.05", "98.1", "22800"} <= set(capsys.readouterr().out.split())


def test_a_user_with_a_pin_is_made_where_nobody_can_be_asked(
    first_camera: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSPECTOR_PIN", "4711")
    monkeypatch.setenv("INSPECTOR_PASSWORD", "a long password")
    asked = CliRunner().invoke(
        cli.app, ["user", "add", str(first_camera), "otto", "--role", "operator", "--pin"]
    )
    assert asked.exit_code == 0 and asked.stdout == ""
    assert Users(first_camera.parent / "data").verify_pin("otto", "4711").id == "otto"


def test_a_new_password_shuts_out_who_knows_the_old_one(
    first_camera: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name stays taken: who had forgotten a password could never sign in with it again."""
    data = first_camera.parent / "data"
    monkeypatch.setenv("INSPECTOR_PASSWORD", "a long password")
    ask = CliRunner().invoke
    assert ask(cli.app, ["user", "add", str(first_camera), "otto", "--role", "qa"]).exit_code == 0
    users = Users(data)
    sessions = Sessions(data, users, Web())
    token = sessions.begin(users.verify_password("otto", "a long password"), How.PASSWORD, "")

    monkeypatch.setenv("INSPECTOR_PASSWORD", "another long one")
    assert ask(cli.app, ["user", "password", str(first_camera), "otto"]).exit_code == 0

    assert sessions.find(token) is None
    assert users.verify_password("otto", "another long one").id == "otto"
    with pytest.raises(Unauthenticated):
        users.verify_password("otto", "a long password")


def test_a_key_that_others_have_seen_is_replaced_or_revoked(first_camera: Path) -> None:
    station, users = str(first_camera), Users(first_camera.parent / "data")
    ask = CliRunner().invoke
    old = ask(cli.app, ["user", "add", station, "mes", "--role", "machine", "--key"]).stdout.strip()

    new = ask(cli.app, ["user", "key", station, "mes"]).stdout.strip()
    assert users.verify_key(new).id == "mes"
    with pytest.raises(Unauthenticated):
        users.verify_key(old)
    gone = ask(cli.app, ["user", "key", station, "mes", "--revoke"])
    assert gone.stdout == "" and gone.exit_code == 0
    with pytest.raises(Unauthenticated):
        users.verify_key(new)
    nobody = ask(cli.app, ["user", "key", station, "nobody"])
    assert isinstance(nobody.exception, IdentityError)
