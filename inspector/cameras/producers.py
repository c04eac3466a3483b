"""Where GenTL producers are: a path, those that ``GENICAM_GENTL64_PATH`` lists, or our own.

Enters: ``producer`` of the station file. Leaves: paths of ``.cti`` files. Ours is a C library
that lies, with its sources, in ``inspector/virtual``: the package's build compiles it where there
is a compiler; a checkout whose sources are newer compiles it once into the user's cache. Imports
nothing of ours; the room and ``doctor`` use it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PATH = "GENICAM_GENTL64_PATH"
"""The standard's variable: folders, separated as in ``PATH``, that hold ``.cti`` files."""
VIRTUAL = Path(__file__).parent.parent / "virtual"
SOURCES = (
    "producer.c",
    "producer_core.c",
    "producer_port.c",
    "producer_stream.c",
    "virtual_camera.c",
    "virtual_encoder.c",
    "virtual_registers.c",
    "virtual_wire.c",
    "producer.h",
    "virtual_camera.h",
    "gentl.h",
    "producer.xml",
)


class ProducerError(Exception):
    """No producer; ``str()`` says what is missing and how to mend it."""


def producer_files(producer: str) -> tuple[Path, ...]:
    """The ``.cti`` files that ``producer`` means: ``virtual``, ``path``, or a path.

    ``ProducerError`` when there is none.
    """
    if producer == "virtual":
        return (virtual_producer(),)
    if producer == "path":
        folders = [Path(p) for p in os.environ.get(PATH, "").split(os.pathsep) if p]
        found = tuple(sorted(file for folder in folders for file in folder.glob("*.cti")))
        if not found:
            told = ", ".join(map(str, folders)) or "nothing"
            raise ProducerError(
                f"{PATH} lists {told}: no .cti file there; install the camera "
                "maker's GenTL producer, or name its .cti in the station file"
            )
        return found
    file = Path(producer).absolute()  # the system looks for a bare name in its own folders
    if not file.is_file():
        raise ProducerError(f"producer {producer}: no such file")
    return (file,)


def missing(producers: Sequence[str]) -> Iterator[str]:
    """Why some of ``producers`` are not there, and how to mend it."""
    for producer in producers:
        try:
            producer_files(producer)
        except ProducerError as error:
            yield str(error)


def virtual_producer() -> Path:
    """Our producer, built if need be; ``ProducerError`` when it cannot be."""
    sources = [VIRTUAL / name for name in SOURCES]
    newest = max(file.stat().st_mtime for file in sources)
    suffix = sysconfig.get_config_var("EXT_SUFFIX") or ".so"
    built = VIRTUAL / f"_producer{suffix}"
    if built.exists() and (built.stat().st_mtime >= newest or _compiler() is None):
        return built
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "inspector" / f"producer-{digest}"
    if not (folder / "virtual.cti").exists():
        _build(folder)
    return folder / "virtual.cti"


def build(compiler: Sequence[str], out: Path) -> None:
    """Compile our producer into ``out``. ``subprocess.CalledProcessError`` if it fails."""
    code = [str(VIRTUAL / name) for name in SOURCES if name.endswith(".c")]
    subprocess.run(
        [*compiler, "-O2", "-shared", "-fPIC", "-pthread", *code, "-o", str(out), "-ldl"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )


def _build(folder: Path) -> None:
    compiler = _compiler()
    if compiler is None:
        raise ProducerError(
            "the virtual camera needs a C compiler once: install gcc and install the package anew, "
            "or use `source: folder`"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        new = Path(work) / "new"
        new.mkdir()
        try:
            build([compiler], new / "virtual.cti")
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            text = (error.stderr or str(error)) if isinstance(error.stderr, str) else str(error)
            raise ProducerError(f"the virtual camera does not compile: {text.strip()}") from error
        shutil.copy(VIRTUAL / "producer.xml", new)  # the library reads it from beside itself
        try:
            new.rename(folder)
        except OSError:  # another process was faster
            if not (folder / "virtual.cti").exists():
                raise


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
