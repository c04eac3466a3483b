"""Every setting of every tool has its name and its meaning in the page's language. (S8)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from inspector.recipe import RecipeFile
from inspector.unsaid import meanings, unsaid
from inspector.web.recipetext import document, steps_of
from inspector.web.said import label, words_of
from inspector.web.settings import help_of, title
from inspector.web.words_settings import HELP, KEYS_ZH, PARTS

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "station_configs" / "recipes").glob("*.yaml"))


def types_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for inner in get_args(annotation):
        yield from types_in(inner)


def settings_of_all_tools() -> dict[tuple[type[BaseModel], str], FieldInfo]:
    """By model and key, wherever below a tool's ``params`` they stand; of areas the page says what
    it says of all of them."""
    found: dict[tuple[type[BaseModel], str], FieldInfo] = {}
    waiting = [
        inner
        for step in types_in(RecipeFile.model_fields["tools"].annotation)
        if issubclass(step, BaseModel)
        for inner in types_in(step.model_fields["params"].annotation)
        if issubclass(inner, BaseModel)
    ]
    while waiting:
        model = waiting.pop()
        for key, field in model.model_fields.items():
            if key == "roi":
                continue
            new = (model, key) not in found
            found[model, key] = field
            inner = [t for t in types_in(field.annotation) if issubclass(t, BaseModel)]
            waiting += inner if new else []
    return found


def tuned(field: FieldInfo) -> bool:
    """Whether it is, or holds, a number or a yes-or-no."""
    return bool({bool, int, float} & set(types_in(field.annotation)))


def above_numbers(field: FieldInfo) -> bool:
    return any(
        issubclass(t, BaseModel)
        and any(tuned(f) or above_numbers(f) for f in t.model_fields.values())
        for t in types_in(field.annotation)
    )


ALL = settings_of_all_tools()


def test_every_key_of_a_setting_has_a_chinese_name() -> None:
    shown = {key for (_, key), field in ALL.items() if tuned(field) or above_numbers(field)}

    assert shown - set(KEYS_ZH) == set()
    assert set(KEYS_ZH) - shown == {"roi", "every"}, "what stands beside a tool's params, no more"
    assert PARTS["zh"].keys() <= KEYS_ZH.keys()
    assert PARTS["en"].keys() == PARTS["zh"].keys()


def test_every_meaning_is_told_in_chinese() -> None:
    said = {meanings(model).get(key, "") for (model, key), field in ALL.items() if tuned(field)} - {
        ""
    }

    assert said - set(dict(HELP)) == set()
    assert set(dict(HELP)) - said == set(), "no tool says so any more"
    assert len(dict(HELP)) == len(HELP), "no sentence stands twice"
    assert all(any("\u4e00" <= sign <= "\u9fff" for sign in text) for _, text in HELP)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_title_of_a_shipped_recipe_is_chinese(recipe: Path) -> None:
    """What its author has named has the author's words."""
    text = recipe.read_text()
    tools, own = document(text)["tools"], words_of([recipe]).get("zh", {})
    places = [one["place"] for step in steps_of(text) for one in step["fields"]]
    places += [
        ["tools", index, *one["place"]]
        for index, step in enumerate(unsaid(recipe))
        for one in step["settings"]
    ]

    titles = {
        title(tools[place[1]], place[2:], "zh", lambda name: label("zh", name, own))
        for place in places
    }

    assert titles
    for one in titles:
        first = one.split(" · ")[0]
        assert any("\u4e00" <= sign <= "\u9fff" for sign in first), one


def test_a_title_names_the_number_of_a_row_and_what_the_author_has_named() -> None:
    step = {
        "params": {
            "area": [20, 90],
            "measures": [{"name": "cap width", "at_most": 3}],
            "thresholds": {"label_scratched": 0.4},
            "ignore": [[0, 0, 4, 4]],
        }
    }

    def said(language: str, *place: str | int) -> str:
        own = {"cap width": "瓶盖宽度", "label scratched": "标签划伤"}
        return title(
            step, ["params", *place], language,
            lambda name: label(language, name, own if language == "zh" else {}),
        )  # fmt: skip

    assert said("zh", "area", 0) == "面积 · 最小"
    assert said("en", "area", 1) == "area · largest"
    assert said("zh", "measures", 0, "at_most") == "测量项 · 瓶盖宽度 · 上限"
    assert said("zh", "thresholds", "label_scratched") == "各标签阈值 · 标签划伤"
    assert said("en", "thresholds", "label_scratched") == "thresholds · label scratched"
    assert said("zh", "ignore", 0, 2) == "忽略区域 · 1 · x2"
    assert said("zh", "long", 1) == "长宽比 · 最大", "the text leaves it unsaid"


def test_a_meaning_that_is_not_known_stays_as_it_is() -> None:
    assert help_of("Smaller differences are noise.", "zh") == "更小的差异视为噪声。"
    assert help_of("Smaller differences are noise.", "en") == "Smaller differences are noise."
    assert help_of("A plug-in's own.", "zh") == "A plug-in's own."
