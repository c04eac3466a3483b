"""Which GenICam devices there are, and the one that the station file means.

Enters: GenTL producers, a camera of the station file. Leaves: rows for people, and harvesters'
acquirer of one device. Imports config; ``genicam.py`` and ``inspector cameras`` use it.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from genicam import gentl
from harvesters.core import Harvester, ParameterKey, ParameterSet

from inspector.cameras import features
from inspector.cameras.features import GENTL_ERRORS
from inspector.cameras.producers import ProducerError, producer_files
from inspector.cameras.shot import CameraRefused
from inspector.config import Camera

# What it warns of is reported here; it gives a level of its own to this logger.
logging.getLogger("harvesters.core").setLevel(logging.CRITICAL)

_INFO = ("id_", "vendor", "model", "serial_number", "user_defined_name", "tl_type", "version")


def enumerate_devices(producers: Sequence[str]) -> Harvester:
    """A harvester that has looked for devices. ``ProducerError`` when a producer is missing, or
    when none of them can be loaded: harvesters passes over such a file without a word."""
    files = [file for producer in producers for file in producer_files(producer)]
    harvester = Harvester()
    for file in dict.fromkeys(files):
        harvester.add_file(str(file))
    with _quiet():
        harvester.update()
    if not harvester._producers:
        harvester.reset()
        raise ProducerError(
            "; ".join(f"producer {file}: {_why_not_loaded(file)}" for file in files)
        )
    return harvester


def _why_not_loaded(file: Path) -> str:
    try:
        library = ctypes.CDLL(str(file))
    except OSError as error:
        return f"is no library that can be loaded here: {error}"
    return "cannot be used" if hasattr(library, "GCInitLib") else "is no GenTL producer"


def select(harvester: Harvester, config: Camera) -> dict[str, Any]:
    """The one device that ``config`` means; ``CameraRefused`` lists what is there otherwise."""
    there = [device_row(info) for info in harvester.device_info_list]
    wanted = {"serial": config.serial, "user_id": config.user_id, "ip": config.ip}
    wanted = {k: v for k, v in wanted.items() if v}
    matching = [i for i, d in enumerate(there) if all(d[k] == v for k, v in wanted.items())]
    if len(matching) == 1:
        return there[matching[0]] | {"index": matching[0]}
    asked = " and ".join(f"{k} {v}" for k, v in wanted.items()) or "nothing (any device)"
    listed = "; ".join(
        f"serial {d['serial']}, user_id {d['user_id'] or '–'}" + (f", ip {d['ip']}" * bool(d["ip"]))
        for d in there
    )
    if not there and config.producer == "virtual":
        listed = "none (does INSPECTOR_VIRTUAL_DEVICES name a list of devices?)"
    what = "no camera has" if not matching else f"{len(matching)} cameras have"
    listed = listed or "none"
    if len({there[i]["serial"] for i in matching}) < len(matching) and config.producer == "path":
        listed += "; more than one producer sees it: name one by its path as `producer`"
    raise CameraRefused(f"{config.name}: {what} {asked}; there are: {listed}")


def device_row(info: Any) -> dict[str, Any]:
    """What a producer says of one device, as ``inspector cameras`` prints it."""
    known: dict[str, Any] = {name: _attribute(info, name) or "" for name in _INFO}
    status = _attribute(info, "access_status")
    states = {1: "free", 2: "read only", 3: "no access", 4: "busy", 5: "open", 6: "open"}
    return {
        "serial": known["serial_number"],
        "user_id": known["user_defined_name"],
        "vendor": known["vendor"],
        "model": known["model"],
        "id": known["id_"],
        "ip": _address(info, known["id_"]),
        "transport": known["tl_type"],
        "version": known["version"],
        "state": states.get(status, "unknown") if isinstance(status, int) else "unknown",
    }


def list_devices(producers: Sequence[str] = ("path", "virtual")) -> list[dict[str, Any]]:
    """Every device that the producers see, JSON-able. A producer that is missing sees none;
    ``ProducerError`` when nobody sees any and one cannot be loaded."""
    rows: list[dict[str, Any]] = []
    broken: ProducerError | None = None
    for file in _present(producers):
        try:
            harvester = enumerate_devices([str(file)])
        except ProducerError as error:
            broken = error
            continue
        try:
            rows += [device_row(info) for info in harvester.device_info_list]
        finally:
            harvester.reset()
    if broken is not None and not rows:
        raise broken
    return rows


def node_map(producers: Sequence[str], device: str) -> list[dict[str, Any]]:
    """Every feature of the device with serial, user id, IP address or id ``device``, JSON-able.

    ``CameraRefused`` when no device, or more than one, is that, or when it cannot be opened.
    """
    seen: list[str] = []
    broken = ""
    for file in _present(producers):
        try:
            harvester = enumerate_devices([str(file)])
        except ProducerError as error:
            broken += f"; {error}"
            continue
        try:
            there = [device_row(info) for info in harvester.device_info_list]
            found = [
                i
                for i, d in enumerate(there)
                if device and device in (d["serial"], d["user_id"], d["ip"], d["id"])
            ]
            seen += [d["serial"] or d["id"] for d in there]
            if len(found) > 1:
                raise CameraRefused(f"{len(found)} cameras are {device}: name one by its serial")
            if found:
                return _features_of(harvester, there[found[0]] | {"index": found[0]})
        finally:
            harvester.reset()
    there_are = ", ".join(seen) or "none"
    raise CameraRefused(f"no camera is {device}; there are: {there_are}{broken}")


def _features_of(harvester: Harvester, info: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        acquirer = open_device(harvester, info)
        try:
            return features.rows(acquirer.remote_device.node_map)
        finally:
            acquirer.destroy()
    except GENTL_ERRORS as error:
        name, why = info["serial"] or info["id"], features.first_line(error)
        raise CameraRefused(f"camera {name} cannot be opened: {why}") from error


def _present(producers: Sequence[str]) -> Iterator[Path]:
    found: dict[Path, None] = {}
    for producer in producers:
        try:
            found |= dict.fromkeys(producer_files(producer))
        except ProducerError:
            if producer not in ("path", "virtual"):
                raise
    yield from found


def open_device(harvester: Harvester, info: Mapping[str, Any]) -> Any:
    """An image acquirer for the device of a ``device_row``; ``CameraRefused`` when it is busy."""
    config = ParameterSet({ParameterKey.ENABLE_AUTO_CHUNK_DATA_UPDATE: False})
    try:
        return harvester.create(int(info["index"]), config=config)
    except (gentl.ResourceInUseException, gentl.AccessDeniedException) as error:
        raise CameraRefused(
            f"camera {info['serial'] or info['id']} is in use by another program"
        ) from error


def _attribute(info: Any, name: str) -> Any:
    try:
        return getattr(info, name)
    except GENTL_ERRORS:  # GenTL: a producer may leave any of these out
        return None


def _address(info: Any, device_id: str) -> str:
    """A GigE device's IP address: only the interface's node map has it (GenTL SFNC)."""
    nodes = info.parent.node_map
    with suppress(*GENTL_ERRORS):
        if not nodes.has_node("DeviceSelector") or not nodes.has_node("GevDeviceIPAddress"):
            return ""
        for index in range(int(nodes.DeviceSelector.max) + 1):
            nodes.DeviceSelector.value = index
            if nodes.DeviceID.value == device_id:
                address = int(nodes.GevDeviceIPAddress.value)
                if address == 0:
                    return ""
                return ".".join(str(address >> shift & 0xFF) for shift in (24, 16, 8, 0))
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """The binding writes to standard error which optional functions a producer lacks."""
    with Path(os.devnull).open("wb") as nothing:
        saved = os.dup(2)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
