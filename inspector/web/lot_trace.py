"""A batch's trace on its page: the graph, and what a node of it stands for.

Enters: a `Lot`, the chosen node by the address. Leaves: a panel. ``lineage`` draws; ``lot`` imports
this.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from urllib.parse import urlencode

from nicegui import ui

from inspector.store.genealogy import Genealogy
from inspector.web import lineage, panels
from inspector.web.controls import put, table
from inspector.web.frame import Shown
from inspector.web.lot_panels import Lot

MEMBERS = 200
"""Units of a node that are listed."""


def graph_of(shown: Shown, lot: Lot) -> lineage.Graph | None:
    """The graph of a batch; None where nothing is known of it. Not where pages are answered: of
    170,000 units it takes more than half a second, and the operator's page would be dark."""
    if not lot.materials and not lot.units:
        return None
    return lineage.graph(lot.id, lot.materials, lot.units, shown.word)


def show(shown: Shown, lot: Lot, drawn: lineage.Graph | None, chosen: str) -> None:
    """The graph, and what the chosen node stands for."""
    with ui.element("div").classes("board"):
        section = ui.element("section").classes("panel whole").props('id="trace"')
    with section:
        ui.html(f"<h2>{shown.word('trace')}</h2>", sanitize=False)
        if drawn is None:
            put(panels.none(shown, "trace.none"))
            return

        def address(key: str) -> str:
            return f"/desk/batch?{urlencode({'id': lot.id, 'trace': key})}#trace"

        put(lineage.svg(drawn, shown.word, address, chosen))
        node = drawn.node(chosen)
        if node is None or node.kind == "batch":
            return
        ui.html(f"<h2>{html.escape(shown.word('trace.inside', node.title))}</h2>", sanitize=False)
        if node.kind == "material":
            _materials(shown, lot, node)
        else:
            _members(shown, lot, node)


def _members(shown: Shown, lot: Lot, node: lineage.Node) -> None:
    found = lineage.members_of(lot.units, node)
    heads = ("id", "level", "parent", "destination", "document", "shipped")
    table(
        [shown.word(f"trace.{head}") for head in heads],
        [
            (
                u.id, u.level, u.parent,
                u.shipped.destination if u.shipped else shown.word("trace.here"),
                u.shipped.document if u.shipped else "",
                shown.moment(u.shipped.at_ns, seconds=False) if u.shipped else "",
            )
            for u in found[:MEMBERS]
        ],
        node.title,
        {0: "strong", 5: "moment"},
    ).classes("tall")  # fmt: skip
    if len(found) > MEMBERS:
        ui.label(shown.word("lot.more", f"{len(found) - MEMBERS:,}"))


def _materials(shown: Shown, lot: Lot, node: lineage.Node) -> None:
    """Each lot with all the batches that it went into, and a way to recall it."""

    def rows() -> Iterator[str]:
        with Genealogy(shown.desk.data) as genealogy:
            for member in node.members[:MEMBERS]:
                material, _, name = member.partition("\t")
                went = dict.fromkeys(u.batch for u in genealogy.batches_of(name, material))
                links = " · ".join(
                    f'<a href="/desk/batch?{html.escape(urlencode({"id": b}))}">'
                    f"{html.escape(b)}</a>"
                    for b in went
                )
                recall = urlencode({"id": lot.id, "by": "lot", "lot": member})
                yield (
                    f'<tr><td class="strong">{html.escape(name)}</td><td>{html.escape(material)}'
                    f'</td><td>{links}</td><td><a class="button" href="/desk/batch?'
                    f'{html.escape(recall)}#recall">{shown.word("trace.recall_lot")}</a></td></tr>'
                )

    heads = ("recall.lot.which", "lot.what", "trace.went")
    head = "".join(f"<th>{shown.word(name)}</th>" for name in heads)
    put(
        f'<table class="table"><thead><tr>{head}<th></th></tr></thead>'
        f"<tbody>{''.join(rows())}</tbody></table>"
    )
