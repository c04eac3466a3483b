"""CVAT for images 1.1 (docs.cvat.ai): ``annotations.xml`` with ``images/``.

Boxes and polygons with their severity, source and kind as attributes; the split is the image's
subset. Lineage is lost but for the file's name.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as xml

from training.dataset.row import GIVEN, Draft, Label
from training.dataset.snapshot import Snapshot, SnapshotError
from training.formats.pictures import draft, put


def write(snapshot: Snapshot, folder: Path) -> int:
    """One file."""
    root = xml.Element("annotations")
    xml.SubElement(root, "version").text = "1.1"
    labels = xml.SubElement(xml.SubElement(xml.SubElement(root, "meta"), "task"), "labels")
    for name in sorted(snapshot.classes()):
        xml.SubElement(xml.SubElement(labels, "label"), "name").text = name
    for number, row in enumerate(snapshot.rows):
        image = xml.SubElement(
            root, "image", id=str(number), name=put(snapshot, row, folder / "images"),
            width=str(row.width), height=str(row.height), subset=row.split,
        )  # fmt: skip
        for label in row.labels:
            if label.box is None:
                continue
            if label.polygon:
                points = ";".join(f"{x:.2f},{y:.2f}" for x, y in label.polygon)
                shape = xml.SubElement(image, "polygon", label=label.label, points=points)
            else:
                x1, y1, x2, y2 = (f"{v:.2f}" for v in label.box)
                shape = xml.SubElement(
                    image, "box", label=label.label, xtl=x1, ytl=y1, xbr=x2, ybr=y2
                )
            shape.set("source", "manual")
            shape.set("occluded", "0")
            said = {"severity": label.severity, "source": label.source}
            for name, value in (said | {"defect": str(label.defect).lower()}).items():
                xml.SubElement(shape, "attribute", name=name).text = value
    folder.mkdir(parents=True, exist_ok=True)
    xml.ElementTree(root).write(folder / "annotations.xml", "utf-8", xml_declaration=True)
    return len(snapshot.rows)


def read(folder: Path) -> list[Draft]:
    """``annotations.xml`` of ``folder``, or the XML file that it is."""
    path = folder if folder.is_file() else folder / "annotations.xml"
    try:
        content = path.read_text("utf-8")
        if "<!ENTITY" in content or "<!DOCTYPE" in content:
            raise SnapshotError(f"{path}: has a document type, which CVAT never writes")
        root = xml.fromstring(content)
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from None
    except xml.ParseError as error:
        raise SnapshotError(f"{path}: no XML: {error}") from None
    drafts = []
    for image in root.iter("image"):
        name = Path(image.get("name", "")).name
        labels = [_label(shape) for shape in image if shape.tag in ("box", "polygon")]
        drafts.append(
            draft(path.parent / "images" / name, labels, split=image.get("subset", "train").lower())
        )
    return drafts


def _label(shape: xml.Element) -> Label:
    said = {a.get("name"): a.text or "" for a in shape.findall("attribute")}
    rest = (said.get("severity") or "major", said.get("source") or GIVEN, "",
            said.get("defect", "true") != "false")  # fmt: skip
    name = shape.get("label", "")
    if shape.tag == "box":
        sides = [float(shape.get(side, "0")) for side in ("xtl", "ytl", "xbr", "ybr")]
        return Label(name, (sides[0], sides[1], sides[2], sides[3]), (), *rest)
    points = [p.split(",") for p in shape.get("points", "").split(";") if p]
    polygon = tuple((float(x), float(y)) for x, y in points)
    xs, ys = zip(*polygon, strict=True)
    return Label(name, (min(xs), min(ys), max(xs), max(ys)), polygon, *rest)
