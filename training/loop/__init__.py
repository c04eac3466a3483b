"""The story of the loop, on a running virtual line: a defect nobody has seen, and its end.

Enters: a folder and a size. Leaves: figures that the world process counted at its gate, as a table,
JSON and a plot. Everything goes the way of a plant: the station's own processes, the centre over
HTTP, reviews through the MES's API, a release signed by two. The only thing that is played is QA: a
person who looks at parts, and is wrong about one in twenty. ``scripts/loop`` runs this.

``story`` is how long it is and what has happened so far; ``acts`` tells it from beginning to end;
``line``, ``people``, ``centre`` and ``teaching`` are who takes part; ``plot`` draws the curve.
"""

from training.loop.acts import run
from training.loop.story import SHORT, LoopFailed, Size

__all__ = ["SHORT", "LoopFailed", "Size", "run"]
