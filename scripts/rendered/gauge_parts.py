"""Pictures for a gauge study of the virtual line: each bottle again and again, none twice alike.

Writes ``OUT/bottle-N/K.png``, held-out textures; at each trial the bottle stands elsewhere (±8 px,
±0.7 deg), in other light and focus, moved otherwise during the exposure, with other noise. Then:

    python scripts/rendered/gauge_parts.py parts [--from 2000] [--parts 12] [--trials 12]
    inspector gauge parts --recipe station_configs/recipes/bottle-sizes.yaml \\
        --measure headspace --tolerance 23
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from inspector.virtual.bottle import PartSpec, render_part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--from", type=int, default=2000, dest="first")
    parser.add_argument("--parts", type=int, default=12)
    parser.add_argument("--trials", type=int, default=12)
    asked = parser.parse_args()
    for part in range(asked.parts):
        folder = asked.out / f"bottle-{part:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        for trial in range(asked.trials):
            shot = render_part(asked.first + part, PartSpec(split="held_out"), take=trial + 1)
            cv2.imwrite(str(folder / f"{trial:02d}.png"), shot.side)


if __name__ == "__main__":
    main()
