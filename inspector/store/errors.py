"""What can go wrong in the store, by name.

Enters: nothing. Leaves: exceptions whose text says what is wrong and how to mend it.
Anyone who calls the store may import this.
"""

from __future__ import annotations


class StoreError(Exception):
    """The store could not do it; what was already acknowledged is untouched."""


class NoLedger(StoreError):
    """No line has run here yet."""


class StoreFull(StoreError):
    """No space left on the disk. What was added waits in memory and goes with the next commit."""


class StoreStalled(StoreError):
    """The disk has not answered in time. The commit is still under way and may yet succeed."""


class StoreDamaged(StoreError):
    """What is on the disk contradicts what was signed or recorded before."""


class StoreInUse(StoreError):
    """Another process is already the one writer of this file."""


class DuplicateVerdict(StoreError):
    """This part number of this stream already has its verdict (I1)."""


class RecordError(StoreError):
    """A record that cannot be encoded, or bytes that are no record."""


class QueryTimeout(StoreError):
    """A query took longer than its bound and was stopped."""


class ProofRefused(StoreError):
    """A proof or a package that does not prove what it says; the text names what is wrong."""
