"""A draft enters that a page has written; a recipe ready to judge leaves, or one put into service.

A draft lies apart from the recipe that it came from, and names golden pictures, banks and
calibrations by that one's folder. It goes into service under an electronic signature alone: the
signature is a record of the desk under exactly these bytes, by somebody who may approve. Imported
by the command line.
"""

from __future__ import annotations

from pathlib import Path

from inspector.approval import approve
from inspector.config import ConfigError, Problem, load_yaml
from inspector.identity import Action, Forbidden, Users, authorise
from inspector.recipe import Recipe, RecipeFile, digest_of, read
from inspector.store import StoreError, signing_key
from inspector.store import recipes as kept
from inspector.store.files import write_whole
from inspector.store.signatures import Signature, given
from inspector.tools.onnx import Shelf


def load_beside(draft: Path, origin: Path, shelf: Shelf) -> Recipe:
    """The recipe in ``draft``, as if it stood in ``origin``'s place.

    Raises ``ConfigError`` or ``ModelError``.
    """
    file = load_yaml(draft, RecipeFile, shelf=shelf, folder=origin.parent)
    name = read(origin).name
    if file.name != name:
        what = f"must stay `{name}`: parts, change-overs and approvals know it by its name"
        raise ConfigError(draft, [Problem(None, "name", what)])
    return Recipe(file, shelf)


def adopt(draft: Path, origin: Path, data: Path, models: Path, position: int) -> Path:
    """Puts ``draft`` in ``origin``'s place, approved by who signed; the file that is kept.

    Args:
        position: of the signature's record at the desk.

    What stood there is kept as a revision first. The line takes a recipe up when it starts.
    Raises ``ConfigError``, ``ModelError``, ``StoreError``, or ``Forbidden`` for who may not
    approve; ``origin`` is then as it was.
    """
    text = draft.read_bytes()
    recipe = load_beside(draft, origin, Shelf(models, 1))
    signature = _signature(data, recipe.name, text, position)
    who = Users(data).find(signature.name)
    if who is None:
        raise Forbidden(f"{signature.name} is no user of this station any more")
    authorise(who, Action.APPROVE_RECIPE)
    former = origin.read_bytes()
    _keep(origin, former, data)
    write_whole(origin, text)
    try:
        return approve(origin, who, signing_key(data), data, models)
    except BaseException:
        write_whole(origin, former)
        raise


def _signature(data: Path, name: str, text: bytes, position: int) -> Signature:
    signature = given(data, position)
    if signature is None:
        raise StoreError(f"the desk's record {position} is no signature; sign the recipe first")
    if not signature.fits(kept.subject(name, text)):
        raise StoreError(
            f"{signature.name}'s signature {position} is not under this text of {name}; it was"
            " changed since, so look at it and sign again"
        )
    if signature.meaning.lower() != kept.MEANING:
        raise StoreError(
            f"{signature.name}'s signature {position} says `{signature.meaning}`, not"
            f" `{kept.MEANING}`"
        )
    return signature


def _keep(origin: Path, text: bytes, data: Path) -> None:
    """What was in service stays to be rolled back to, approved or not."""
    try:
        file = read(origin)
    except ConfigError:
        return
    path = kept.revision_path(data, file.name, digest_of(file))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
