"""The auditor's walk-through of docs/qa.md, from a complaint's serial to the signed package, as it
is written (S11, S14, S15, S21, I4, I9)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inspector.identity import Role

PAGE = (Path(__file__).parents[2] / "docs" / "qa.md").read_text()
LINKS = (
    {"relation": "consumed", "batch": "A", "material": "cap-28", "lot": "CL-77"},
    {"relation": "packed", "unit": "340123450000000017", "sequences": {"first": 1, "last": 60}},
    {"relation": "packed", "unit": "340123450000000024", "level": "pallet",
     "units": ["340123450000000017"]},
    {"relation": "shipped", "units": ["340123450000000024"], "destination": "4012345000009",
     "document": "DN-17"},
)  # fmt: skip


@pytest.mark.slow
def test_the_walk_from_a_complaint_to_the_package(tmp_path: Path, full_plant: Any) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NO CURL: the walk-through of docs/qa.md is not executed")
    plant = full_plant(tmp_path)
    key = plant.key("auditor", Role.QA, Role.MACHINE)
    client = plant.client(key)
    for link in LINKS:
        assert client.post("/links", link).status == 201
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 10
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    names = {"STATION": plant.url.rstrip("/"), "KEY": key, "PATH": path}
    done = subprocess.run(
        ["bash", "-euxc", "\n".join(blocks)], cwd=tmp_path, env=os.environ | names,
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    item = json.loads((tmp_path / "item.json").read_text())
    assert item["serial"] == "S50" and item["outcome"] == "reject"
    recall = json.loads((tmp_path / "recall.json").read_text())
    assert recall["batches"] == ["A"] and recall["destinations"] == ["4012345000009"]
    assert (tmp_path / "A.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads((tmp_path / "A.epcis.json").read_text())["type"] == "EPCISDocument"
    client = plant.client(key)  # the other connection has waited for too long
    reviewed = client.get(f"/reviews?part={item['id']}").json["items"]
    assert [review["reviewer"] for review in reviewed] == ["auditor"]
