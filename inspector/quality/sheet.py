"""A first article on one page, to be signed and filed.

Enters: ``<data>`` and the first article's id. Leaves: its newest sheet as a PDF, with its
signatures where it has any. ``inspector.printed`` runs it in a process of its own.
"""

from __future__ import annotations

from pathlib import Path

from reportlab.platypus import Flowable, Spacer

from inspector.quality import paper
from inspector.quality.errors import QualityError
from inspector.quality.paper import BAD, BODY, GOOD, INK, NOTE
from inspector.quality.report import moment, steps_of
from inspector.quality.report_words import Say, Words
from inspector.quality.signing import article, article_subject
from inspector.store.files import fresh_file
from inspector.store.signatures import Signatures


def print_sheet(data: Path, id: str, out: Path, language: str = "en", say: Say = str) -> None:
    """Write the sheet of first article ``id`` to ``out``; ``say``: what the record says, in
    ``language``.

    Raises:
        QualityError: there is none, or no such language.
    """
    w = Words(language, say)
    sheet = article(data, id)
    if sheet is None:
        raise QualityError(f"no parts of a first article {id!r} have come")
    paper.speak(language)
    with Signatures(data) as signatures:
        signed = signatures.under(article_subject(sheet))
    passed = bool(sheet["passed"])
    story: list[Flowable] = paper.heading(w["article"], str(sheet["batch"]), [
        (w["recipe"], str(sheet["recipe"])), (w["digest"], str(sheet["recipe_digest"])[:16]),
        (w["expected"], "; ".join(f"{w.say(k)} {v}" for k, v in sheet["texts"].items() if v)),
        (w["software"], str(sheet["software"])),
    ])  # fmt: skip
    story += [
        paper.tiles([
            (w["result"], w["passed"] if passed else w["failed"], GOOD if passed else BAD),
            (w["attempt"], str(sheet["attempt"]), INK),
            (w["looked_at"], str(len(sheet["parts"])), INK),
            (w["station_s"], f"{sheet['station_s']:.1f} s", INK),
        ]),
        Spacer(1, 10),
    ]  # fmt: skip
    story += paper.section(w["articles"], steps_of(sheet, w))
    parts: list[list[object]] = [
        [p["number"], w.get(p["outcome"], p["outcome"]), p["part"]] for p in sheet["parts"]
    ]
    story += paper.section(
        w["looked_at"], paper.table((w["number"], w["outcome"], "ID"), parts, (1, 2, 6), (0,))
    )
    if signed:
        given: list[list[object]] = [
            [s.name, w.say(s.meaning), w.get(s.by, s.by), moment(s.utc_ns), s.sha256[:16]]
            for s in signed
        ]
        head = (w["name"], w["meaning"], w["by"], w["at"], "SHA-256")
        story += paper.section(w["signatures"], paper.table(head, given, (2, 3, 1.2, 2.8, 2.4)))
    else:
        story += paper.section(w["sign_here"], paper.text(w["unsigned"], BODY))
    story.append(paper.text(w["sheet_note"], NOTE))
    with fresh_file(out) as new:  # two who ask at once print it twice, each a whole one
        paper.write(
            new, story, title=f"{w['article']} {sheet['batch']}", author="inspector",
            running=f"{w['article']} {sheet['batch']} · {id}",
            page=lambda number: w["page"].format(number),
        )  # fmt: skip
