"""Sync: what the station owes the centre goes there, once, when the network lets it.

Enters: the tails of both ledgers, chosen samples, the station file's ``sync:``. Leaves: signed
segments at the centre, its signed receipt here, and what retention may let go. A process of its
own; the line never waits for it. Imports store, bus and config; ``docs/sync.md`` tells the rest.
"""
