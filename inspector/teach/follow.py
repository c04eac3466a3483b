"""Pictures of parts that stand anyhow go in, the parts as an ``align`` step was taught them come
out. Imported by ``teach``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ruamel.yaml import YAML

from inspector.config import ConfigError, load_yaml
from inspector.part import Batch, Pixels
from inspector.recipe import RecipeFile, read
from inspector.teach.pictures import TeachError
from inspector.tools.align import Align, AlignStep
from inspector.tools.follow import as_taught
from inspector.tools.golden import keep_golden
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Roi, Unjudged, crop
from inspector.yamlfile import read_yaml


@dataclass(frozen=True, slots=True)
class Leader:
    """The ``align`` step of a recipe, which the step that is taught will follow."""

    step: AlignStep
    path: Path
    view: str

    def turned_back(
        self, pictures: Sequence[Pixels], shelf: Shelf, roi: Roi | None
    ) -> list[Pixels]:
        """Each part as it was taught, cut to ``roi``. Raises ``TeachError`` where none is found."""
        turned = self.eye(shelf, roi)
        out = []
        for number, pixels in enumerate(pictures):
            try:
                out.append(turned(pixels))
            except Unjudged as error:
                what = f"picture {number + 1} of {len(pictures)}, by name: {error}"
                raise TeachError(
                    f"{what}; take it out, or mend step `{self.step.name}` of {self.path}"
                ) from None
        return out

    def eye(self, shelf: Shelf, roi: Roi | None) -> Callable[[Pixels], Pixels]:
        """What turns one part's picture back, and cuts it; it raises ``Unjudged`` where the part is
        not found."""
        tool = Align(self.step.model_copy(update={"view": self.view}), shelf)

        def turned(pixels: Pixels) -> Pixels:
            context = Context(Batch("teach"), date.today())
            found = tool.look(pixels, context)
            place = context.places.get(self.step.name)
            if place is None or not all(f.ok for f in found):
                raise Unjudged(
                    "; ".join(f.reason for f in found if not f.ok) or "the part is not found"
                )
            return crop(as_taught(pixels, place, (roi,) if roi else (), None), roi)

        return turned

    def yaml(self) -> str:
        """The step as it stands in its recipe."""
        document = read_yaml(self.path)
        step = next(s for s in document["tools"] if s["name"] == self.step.name)
        text = io.StringIO()
        yaml = YAML()
        yaml.indent(mapping=2, sequence=4, offset=2)
        yaml.dump([step], text)
        return text.getvalue().rstrip("\n")

    def keep_golden(self, recipes: Path) -> None:
        """Its golden picture beside the recipes in a folder."""
        if recipes.resolve() != self.path.parent.resolve():
            keep_golden(self.step.params.golden.pixels, recipes)


def leader_of(path: Path, shelf: Shelf) -> Leader:
    """The first ``align`` step of the recipe in ``path``. Raises ``TeachError`` or
    ``ConfigError``."""
    file = read(path, shelf)
    step = next((s for s in file.tools if isinstance(s, AlignStep)), None)
    if step is None:
        raise TeachError(f"{path} has no `align` step to follow; add one, or teach without it")
    if len(file.views) > 1:
        raise TeachError(f"{path} has the views {', '.join(file.views)}; pictures give one")
    return _leader(step, path, file)


def leader_named(name: str, text: Path, beside: Path, shelf: Shelf) -> Leader:
    """The ``align`` step ``name`` of the recipe in ``text``, a draft maybe, whose golden pictures
    lie beside ``beside``. Raises ``TeachError`` or ``ConfigError``."""
    file = load_yaml(text, RecipeFile, shelf=shelf, folder=beside.parent)
    step = next((s for s in file.tools if s.name == name), None)
    if not isinstance(step, AlignStep):
        raise TeachError(f"recipe {file.name} has no `align` step {name} to follow")
    return _leader(step, text, file)


def _leader(step: AlignStep, path: Path, file: RecipeFile) -> Leader:
    if step.follow:
        raise TeachError(f"step `{step.name}` of {path} follows another; follow one that leads")
    return Leader(step, path, step.view or file.views[0])


def is_taught(path: Path, step: str) -> bool:
    """Whether the recipe in ``path`` holds what teaching writes and nothing else."""
    try:
        tools = [(s.name, s.kind) for s in read(path).tools]
    except ConfigError:
        return False
    return tools[-1] == (step, "anomaly") and [kind for _, kind in tools[:-1]] in ([], ["align"])
