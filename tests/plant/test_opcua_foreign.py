"""OPC UA with a client of another make (node-opcua, from npm), its cable cut in the middle. (S1)"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from patch_cable import PatchCable
from scada_line import PASSWORD, ScadaProcess

from inspector.trial import Trial

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).with_name("foreign_opcua.js")
PACKAGE = "node-opcua-client@2.182.2"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the foreign client, installed from npm once."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("NODE MISSING: the foreign OPC UA client needs node and npm")
    folder = ROOT / ".cache" / "npm"
    if not (folder / "node_modules" / "node-opcua-client").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", PACKAGE]
        made = subprocess.run(command, capture_output=True, text=True, timeout=100)
        if made.returncode:
            pytest.skip(f"NPM MISSING: {made.stderr[-300:]}")
    return folder


def test_a_foreign_client_drives_it_and_hears_results_after_a_cut(
    node: Path, scada_trial: Trial, tmp_path: Path, real_data: Path
) -> None:
    nodeset = real_data / "standards" / "Opc.Ua.MachineVision.NodeSet2.xml"
    scada = ScadaProcess(
        scada_trial, tmp_path, {"opcua": {"port": 0, "any_client": True, "nodeset": str(nodeset)}}
    )
    scada.start("opcua.url")
    port = int(scada.read("opcua.url").split(":")[2].split("/")[0])
    try:
        with PatchCable(port) as cable:
            url = f"opc.tcp://127.0.0.1:{cable.port}/inspector"
            client = subprocess.Popen(
                ["node", str(SCRIPT), url, "olga", PASSWORD, str(tmp_path)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path),
                     "NODE_PATH": str(node / "node_modules")},
            )  # fmt: skip
            said: list[str] = []

            def watch() -> None:
                assert client.stderr is not None
                for line in client.stderr:
                    said.append(line)
                    if line.strip() == "CUT":
                        cable.cut()
                        time.sleep(1.0)
                        cable.mend()

            watching = threading.Thread(target=watch)
            watching.start()
            assert client.stdout is not None
            out = client.stdout.read()
            client.wait(60)
            watching.join()
            client.stdout.close()
            client.stderr and client.stderr.close()
        assert client.returncode == 0, "".join(said)[-2000:]
        # its library writes there too, behind its last word where the machine is slow
        told = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
        assert told["states"] == ["ContinuousExecution", "Ready", "ContinuousExecution"]
        assert (told["stopped"], told["started"]) == (0, 0)
        assert told["reconnected"] >= 1 and cable.carried >= 2, told
        assert len(told["results"]) >= told["before"] + 3
        assert {r["job"] for r in told["results"]} == {told["job"]}
    finally:
        scada.stop()
