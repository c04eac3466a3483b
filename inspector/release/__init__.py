"""Releases: what the centre signed comes in, what this machine has proven may judge here.

Enters: a release (a tar file: models, a recipe, their card, a parity set, a manifest and two
signatures). Leaves: an installed, parity-checked recipe with its models (I7), the stage it stands
at, what it said beside the champion, and the order to put it into service or to take it back.
Imports recipe, tools, cameras, store, bus, display, identity; the line imports ``installed`` and
``offer``, the command line imports the rest.
"""

from inspector.release.bundle import Manifest, Release, ReleaseRefused
from inspector.release.installed import Installed, install, installed, load_release, remove

__all__ = [
    "Installed",
    "Manifest",
    "Release",
    "ReleaseRefused",
    "install",
    "installed",
    "load_release",
    "remove",
]
