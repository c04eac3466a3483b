"""Where a batch came from and where it went, as a graph: links enter, an SVG leaves.

Columns from left to right: material lots, the batch, the units that hold its parts, the units
around those, destinations. However many there are, a column shows `MOST` nodes: what is more is
grouped by what comes behind it, with its count, and a group is opened by pointing at it. Pure;
``lot`` puts it on its page, ``static/lot.css`` is its look.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from inspector.store.genealogy import DEPTH, Consumed, Unit

MOST = 7
"""Nodes of a column that are shown one by one."""
WIDTH, NODE, HIGH, GAP, HEAD = 1140, 168, 64, 12, 30
"""Of the picture, of a node, of the space between two, of the columns' names; about pixels."""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing of the graph, or a group of them."""

    key: str
    """Stands in the address when it is looked at."""
    kind: str
    """``material``, ``batch``, ``unit``, ``sent`` or ``here``."""
    title: str
    more: str
    members: tuple[str, ...]
    """What it stands for: units' ids, or material lots."""
    grouped: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Columns of nodes, and how much goes from one node to another."""

    columns: tuple[tuple[str, tuple[Node, ...]], ...]
    """Each with the key of its name in the catalogue."""
    edges: Mapping[tuple[str, str], int]

    def node(self, key: str) -> Node | None:
        """The node that the address names."""
        return next((n for _, nodes in self.columns for n in nodes if n.key == key), None)


Word = Callable[..., str]


def graph(batch: str, materials: Sequence[Consumed], units: Sequence[Unit], word: Word) -> Graph:
    """The graph of ``batch``; ``word`` gives the catalogue's words."""
    edges: Counter[tuple[str, str]] = Counter()
    left = _materials(materials, word)
    for node in left:
        edges[node.key, "batch"] += len(node.members)
    ends = _destinations(units, word)
    of_unit: dict[str, str] = {id: node.key for node in ends for id in node.members}
    """Node behind each unit …"""
    known = {unit.id: unit for unit in units}
    heights = _heights(known)
    levels: list[tuple[Node, ...]] = []
    shown: dict[str, str] = {}
    """… and the node that it is in."""
    for height in range(max(heights.values(), default=-1), -1, -1):
        level = [unit for unit in units if heights[unit.id] == height]
        behind = {u.id: shown.get(u.parent, of_unit[u.id]) for u in level}
        nodes = _units(level, behind, [n.key for n in ends] + [n.key for ns in levels for n in ns],
                       word)  # fmt: skip
        for node in nodes:
            for id in node.members:
                shown[id] = node.key
                edges[node.key, behind[id]] += 1
        levels.insert(0, nodes)
    for node in levels[0] if levels else ():
        edges["batch", node.key] += len(node.members)
    middle = Node("batch", "batch", batch, word("batch"), (batch,))
    columns: list[tuple[str, tuple[Node, ...]]] = [("trace.materials", left)]
    columns.append(("batch", (middle,)))
    columns += [
        ("trace.units" if i == 0 else "trace.around", nodes) for i, nodes in enumerate(levels)
    ]
    columns.append(("trace.destinations", ends))
    return Graph(tuple(columns), edges)


def svg(shown: Graph, word: Word, address: Callable[[str], str], chosen: str = "") -> str:
    """The picture; ``address`` of a node's key is where pointing at it leads."""
    columns = [(name, nodes) for name, nodes in shown.columns if nodes]
    most = max(len(nodes) for _, nodes in columns)
    height = HEAD + most * (HIGH + GAP)
    step = (WIDTH - NODE) / max(1, len(columns) - 1)
    place: dict[str, tuple[float, float]] = {}
    for i, (_, nodes) in enumerate(columns):
        top = HEAD + (most - len(nodes)) * (HIGH + GAP) / 2
        for j, node in enumerate(nodes):
            place[node.key] = (i * step, top + j * (HIGH + GAP))
    column_of = {node.key: i for i, (_, nodes) in enumerate(columns) for node in nodes}
    totals: Counter[int] = Counter()
    for (one, _), count in shown.edges.items():
        totals[column_of.get(one, -1)] += count
    drawn = [
        f'<text class="column" x="{i * step + NODE / 2:.0f}" y="16">'
        f"{html.escape(word(name))}</text>"
        for i, (name, _) in enumerate(columns)
    ]
    for (one, other), count in shown.edges.items():
        if one in place and other in place:
            share = count / totals[column_of[one]]
            drawn.append(_edge(place[one], place[other], count, share, chosen in (one, other)))
    for _, nodes in columns:
        drawn += [_node(node, place[node.key], address(node.key), node.key == chosen)
                  for node in nodes]  # fmt: skip
    return (
        f'<svg class="chart lineage" viewBox="0 0 {WIDTH} {height}" role="group"'
        f' aria-label="{html.escape(word("trace"))}">{"".join(drawn)}</svg>'
    )


def _node(node: Node, at: tuple[float, float], address: str, chosen: bool) -> str:
    x, y = at
    said = f"{node.title}, {node.more}" if node.more else node.title
    behind = "".join(
        f'<rect class="behind" x="{x + d:.0f}" y="{y - d:.0f}" width="{NODE - 8}" height="{HIGH}"'
        ' rx="4"/>'
        for d in ((8, 4) if node.grouped else ())
    )
    wide = NODE - 8
    return (
        f'<a class="node {node.kind}" href="{html.escape(address)}"'
        f"{' aria-current=true' if chosen else ''}><title>{html.escape(said)}</title>{behind}"
        f'<rect class="box" x="{x:.0f}" y="{y:.0f}" width="{wide}" height="{HIGH}" rx="4"/>'
        f'<text class="name" x="{x + 12:.0f}" y="{y + 27:.0f}">'
        f"{html.escape(_cut(node.title))}</text>"
        f'<text x="{x + 12:.0f}" y="{y + 47:.0f}">{html.escape(_cut(node.more, 24))}</text></a>'
    )


def _edge(
    one: tuple[float, float], other: tuple[float, float], count: int, share: float, chosen: bool
) -> str:
    x1, y1 = one[0] + NODE - 8, one[1] + HIGH / 2
    x2, y2 = other[0], other[1] + HIGH / 2
    bend = max(24.0, (x2 - x1) / 2)
    width = 1.5 + 8 * share
    return (
        f'<path class="edge{" chosen" if chosen else ""}" stroke-width="{width:.1f}"'
        f' d="M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f}'
        f' {y2:.0f}"><title>{count:,}</title></path>'
    )


def _materials(materials: Sequence[Consumed], word: Word) -> tuple[Node, ...]:
    lots = list(dict.fromkeys((use.material, use.lot) for use in materials))
    if len(lots) <= MOST:
        return tuple(
            [Node(f"lot:{m}:{lot}", "material", lot, m, (_lot(m, lot),)) for m, lot in lots]
        )
    kinds: dict[str, list[str]] = {}
    for material, lot in lots:
        kinds.setdefault(material, []).append(_lot(material, lot))
    return _fitted(
        [Node(f"material:{m}", "material", m, word("trace.lots", len(found)), tuple(found), True)
         for m, found in kinds.items()],
        "material", "materials", word,
    )  # fmt: skip


def _lot(material: str, lot: str) -> str:
    return f"{material}\t{lot}"


def _destinations(units: Sequence[Unit], word: Word) -> tuple[Node, ...]:
    sent: dict[str, list[str]] = {}
    for unit in units:
        sent.setdefault(unit.shipped.destination if unit.shipped else "", []).append(unit.id)
    here = sent.pop("", [])
    nodes = _fitted(
        [Node(f"sent:{to}", "sent", to, word("trace.units_of", len(ids)), tuple(ids))
         for to, ids in sorted(sent.items(), key=lambda item: (-len(item[1]), item[0]))],
        "sent", "sents", word,
    )  # fmt: skip
    if here:
        more = word("trace.units_of", len(here))
        nodes = (*nodes, Node("here", "here", word("trace.here"), more, tuple(here)))
    return nodes


def _units(
    level: Sequence[Unit], behind: Mapping[str, str], order: Sequence[str], word: Word
) -> tuple[Node, ...]:
    """Units of one height: each by itself, or in groups by the node behind them."""
    rank = {key: i for i, key in enumerate(order)}
    level = sorted(level, key=lambda unit: (rank.get(behind[unit.id], 0), unit.id))
    if len(level) <= MOST:
        return tuple(
            [Node(f"unit:{u.id}", "unit", u.id, u.level or word("trace.unit"), (u.id,))
             for u in level]
        )  # fmt: skip
    groups: dict[str, list[Unit]] = {}
    for unit in level:
        groups.setdefault(behind[unit.id], []).append(unit)
    made = []
    for key, found in groups.items():
        named = {u.level for u in found}
        of = named.pop() if len(named) == 1 else ""
        made.append(
            Node(f"units:{key}", "unit", word("trace.units_of", len(found)),
                 of or word("trace.unit"), tuple(u.id for u in found), True)
        )  # fmt: skip
    return _fitted(made, "unit", f"rest:{level[0].id}", word)


def _fitted(nodes: Sequence[Node], kind: str, key: str, word: Word) -> tuple[Node, ...]:
    """No more than `MOST`, and one that stands for the rest."""
    if len(nodes) <= MOST:
        return tuple(nodes)
    rest = nodes[MOST - 1 :]
    members = tuple(member for node in rest for member in node.members)
    title = word("trace.more", len(rest))
    return (*nodes[: MOST - 1], Node(key, kind, title, "", members, True))


def _heights(known: Mapping[str, Unit]) -> dict[str, int]:
    """How many units deep each unit is packed full; 0: parts are in it."""
    heights = dict.fromkeys(known, 0)
    for id in known:
        at, height = known[id].parent, 1
        while at in heights and height < DEPTH:
            heights[at] = max(heights[at], height)
            at, height = known[at].parent, height + 1
    return heights


def _cut(said: str, most: int = 19) -> str:
    """The middle goes where a name is too long: numbers differ at their ends."""
    if len(said) <= most:
        return said
    half = (most - 1) // 2
    return f"{said[: most - 1 - half]}…{said[-half:]}"


def members_of(units: Iterable[Unit], node: Node) -> list[Unit]:
    """The units that a node stands for."""
    wanted = set(node.members)
    return [unit for unit in units if unit.id in wanted]
