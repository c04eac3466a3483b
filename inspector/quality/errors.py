"""What can go wrong when people deal with quality: sentences that say how to mend it."""

from __future__ import annotations


class QualityError(Exception):
    """It cannot be done like this; ``str()`` says why and what would do."""
