"""The index files that the store's own rooms keep of the desk's records.

Enters: nothing. Leaves: their names and what they hold. `verify` and `maintenance` import this when
they are asked, because a line that starts needs none of it.
"""

from __future__ import annotations

from inspector.store import batches, genealogy, holds, reviews, signatures

PROJECTIONS = (
    holds.PROJECTION,
    signatures.PROJECTION,
    reviews.PROJECTION,
    batches.PROJECTION,
    genealogy.PROJECTION,
)
