"""A camera that the belt triggers: its encoder input, set and checked.

Enters: a node map, a camera of the station file with ``trigger: encoder``. Leaves: the features
that make it expose by way and not by time, or a ``FeatureError`` that says what is missing.
Imports config; ``genicam.py`` uses it. Names and meanings after SFNC 2.7, Encoder Control.
"""

from __future__ import annotations

from typing import Any

from inspector.cameras import features
from inspector.config import Camera


def defaults(nodes: Any, config: Camera) -> dict[str, features.Value]:
    """What is set, in this order, before the station file's own features.

    ``HighResolution`` counts every quadrature edge, as a PLC's fast counter does.
    ``PositionUp`` exposes at new positions only: a belt that trembles or runs back exposes nothing
    until it has passed the furthest point again. Channels are left as the camera has them: only
    who wired the encoder knows.
    """
    sources = nodes.TriggerSource.symbolics if nodes.has_node("TriggerSource") else ()
    encoders = [source for source in sources if source.startswith("Encoder")]
    if not encoders and "TriggerSource" not in config.features:
        raise features.FeatureError(
            "TriggerSource",
            f"no encoder triggers this camera, only {', '.join(sources) or 'a line'}; "
            "use another `trigger`, or name the source under `features`",
        )
    wanted: dict[str, features.Value] = {"TriggerSource": encoders[0]} if encoders else {}
    if encoders and features.has(nodes, "EncoderSelector", writable=True):
        wanted["EncoderSelector"] = encoders[0]
    if features.has(nodes, "EncoderMode", writable=True):
        wanted["EncoderMode"] = "HighResolution"
    if config.every_counts is not None:
        wanted["EncoderDivider"] = config.every_counts
    if features.has(nodes, "EncoderOutputMode", writable=True):
        wanted["EncoderOutputMode"] = "PositionUp"
    return wanted


def check(nodes: Any) -> None:
    """``FeatureError`` where the encoder, as it is set now, would never expose anything."""
    for channel in ("EncoderSourceA", "EncoderSourceB"):
        if features.has(nodes, channel) and nodes.get_node(channel).value == "Off":
            lines = [line for line in nodes.get_node(channel).symbolics if line != "Off"]
            raise features.FeatureError(
                channel,
                "is Off, so nothing counts; name the line that the channel is wired to under "
                f"`features`: {', '.join(lines)}",
            )
    if features.read(nodes, "EncoderOutputMode") == "Off":
        raise features.FeatureError(
            "EncoderOutputMode",
            "is Off, so no movement exposes anything; remove it, or take another",
        )
