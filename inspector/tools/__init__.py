"""The tools: one file looks at pixels in one way. A new tool is one file and one line here.

A recipe's step names a ``kind``; its tool is built once and then looks at part after part. May
import ``part`` and ``config``; imported by ``recipe`` and ``training``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inspector.tools.align import Align
from inspector.tools.anomaly import Anomaly
from inspector.tools.blob import Blob
from inspector.tools.classify import Classify
from inspector.tools.code import Code
from inspector.tools.colour import Colour
from inspector.tools.compare import Compare
from inspector.tools.count import Count
from inspector.tools.detect import Detect
from inspector.tools.illumination import Illumination
from inspector.tools.measure import Measure
from inspector.tools.read import Read
from inspector.tools.segment import Segment

TOOLS: Mapping[str, type[Any]] = {
    "detect": Detect,
    "read": Read,
    "code": Code,
    "illumination": Illumination,
    "align": Align,
    "compare": Compare,
    "measure": Measure,
    "count": Count,
    "colour": Colour,
    "blob": Blob,
    "segment": Segment,
    "classify": Classify,
    "anomaly": Anomaly,
}
"""Kind in a recipe → tool, see ``tools/step.py`` for what a tool is."""
