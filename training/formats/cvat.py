"""CVAT for images 1.1 (docs.cvat.ai): ``annotations.xml`` with ``images/``.

Boxes and polygons with their severity, source and kind as attributes; what is said of the whole
picture is a tag; the split is the image's subset. Masks, ellipses, lines and points that people
have drawn become the boxes around them. Lineage is lost but for the file's name.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as xml

from training.dataset.row import GIVEN, Draft, Label
from training.dataset.snapshot import Snapshot, SnapshotError
from training.formats.pictures import draft, put, turned


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
                shape = xml.SubElement(image, "tag", label=label.label)
            elif label.polygon:
                points = ";".join(f"{x:.2f},{y:.2f}" for x, y in label.polygon)
                shape = xml.SubElement(image, "polygon", label=label.label, points=points)
            else:
                x1, y1, x2, y2 = (f"{v:.2f}" for v in label.box)
                shape = xml.SubElement(
                    image, "box", label=label.label, xtl=x1, ytl=y1, xbr=x2, ybr=y2
                )
            shape.set("source", "manual")
            if label.box is not None:
                shape.set("occluded", "0")
            said = {"severity": label.severity, "source": label.source, "text": label.text}
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
    try:
        return [_draft(image, path.parent / "images") for image in root.iter("image")]
    except (KeyError, ValueError) as error:
        if isinstance(error, SnapshotError):
            raise
        raise SnapshotError(f"{path}: no export of CVAT for images: {error!r}") from None


def _draft(image: xml.Element, home: Path) -> Draft:
    name, subset = Path(image.get("name", "")), image.get("subset", "")
    labels = [_label(shape, f"{name}") for shape in image]
    inside = [] if name.is_absolute() or ".." in name.parts else [home / name, home / subset / name]
    path = next((p for p in inside if p.is_file()), home / name.name)
    return draft(path, labels, (image.get("width"), image.get("height")), split=subset)


def _label(shape: xml.Element, image: str) -> Label:
    said = {a.get("name"): a.text or "" for a in shape.findall("attribute")}
    rest = (said.get("severity") or "major", said.get("source") or GIVEN, said.get("text", ""),
            said.get("defect", "true") != "false")  # fmt: skip
    name = shape.get("label", "")
    if shape.tag == "tag":
        return Label(name, None, (), *rest)
    points = _points(shape)
    if not points:
        raise SnapshotError(
            f"{image}: {name or 'a label'} is a {shape.tag}, whose place is unknown"
        )
    xs, ys = zip(*points, strict=True)
    box = (min(xs), min(ys), max(xs), max(ys))
    drawn = shape.tag == "polygon" or float(shape.get("rotation", "0"))
    return Label(name, box, points if drawn else (), *rest)


def _points(shape: xml.Element) -> tuple[tuple[float, float], ...]:
    """Points that a shape's box goes around; of polygons and turned boxes its corners."""

    def sides(*names: str) -> list[float]:
        return [float(shape.attrib[name]) for name in names]

    if shape.tag == "box":
        x1, y1, x2, y2 = sides("xtl", "ytl", "xbr", "ybr")
        corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
        turn = float(shape.get("rotation", "0"))
        return turned(corners, ((x1 + x2) / 2, (y1 + y2) / 2), turn) if turn else corners
    if shape.tag == "mask":
        x, y, w, h = sides("left", "top", "width", "height")
        return ((x, y), (x + w, y + h))
    if shape.tag == "ellipse":
        x, y, rx, ry = sides("cx", "cy", "rx", "ry")
        return ((x - rx, y - ry), (x + rx, y + ry))
    pairs = [p.split(",") for p in shape.get("points", "").split(";") if p]
    return tuple((float(x), float(y)) for x, y in pairs)
