"""The line: triggers, frames and commands in; verdicts in time, gate decisions and counters out.

``process.py`` is the loop; ``plcmatching.py``, ``eyematching.py`` and ``tracking.py`` are its
logic without any I/O.
May import cameras, recipe, store, bus, identity, registers, config and part.
"""
