"""The centre and the stations of these tests."""

from __future__ import annotations

from centre_and_stations import another, centre, site

__all__ = ["another", "centre", "site"]
