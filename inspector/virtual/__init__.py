"""The virtual line: films of a virtual product, and the world that plays them past a station.

Enters a film or a seed; leaves frames, signals and the truth. Only the command line, the
supervisor, the training scripts and tests may import it: a station never sees the truth.
"""
