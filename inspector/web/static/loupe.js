// A picture under a loupe: zoomed and moved, findings over it, boxes and polygons drawn on it.

import { Sight } from "./sight.js";

const LEAST = 2; // pixels of the picture

export class Loupe {
  constructor(canvas, changed = () => {}) {
    this.changed = changed;
    this.findings = [];
    this.drawn = [];
    this.overlay = true;
    this.heat = false;
    this.heats = []; // of the picture, see `heat.js`
    this.tool = ""; // "", "box", "polygon"
    this.open = null; // the shape that is being drawn
    this.held = null;
    this.sight = new Sight(canvas, (pen) => this.over(pen), {
      down: (point) => this.down(point),
      move: (point) => this.move(point),
      up: () => this.up(),
      drop: () => this.drop(),
    });
    canvas.addEventListener("wheel", (event) => this.sight.near(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.close());
  }

  show(url, findings) {
    this.findings = findings;
    this.heats = [];
    this.drawn = [];
    this.open = null;
    this.sight.whole();
    this.sight.show(url);
  }

  fit() {
    this.sight.whole();
  }

  draw() {
    this.sight.draw();
  }

  down(point) {
    if (this.tool === "box") this.open = { box: [...point, ...point] };
    else if (this.tool === "polygon") {
      this.open ??= { polygon: [], open: true };
      this.open.polygon.push(point);
    } else this.held = point;
    this.draw();
  }

  move([x, y]) {
    if (this.open?.box) {
      this.open.box[2] = x;
      this.open.box[3] = y;
      this.draw();
    } else if (this.held) this.sight.move(x - this.held[0], y - this.held[1]);
  }

  up() {
    this.held = null;
    if (!this.open?.box) return;
    const box = this.sight.box(this.open.box);
    this.open = null;
    if (box[2] - box[0] >= LEAST && box[3] - box[1] >= LEAST) this.keep({ box });
    this.draw();
  }

  drop() {
    this.held = null;
    if (this.open?.box || this.open?.polygon.length === 1) this.open = null;
    else this.open?.polygon.pop();
    this.draw();
  }

  // A polygon ends with a double click, or when another tool is taken.
  close() {
    const polygon = this.open?.polygon;
    this.open = null;
    if (polygon && polygon.length >= 3) this.keep({ polygon });
    this.draw();
  }

  keep(shape) {
    this.drawn.push(shape);
    this.changed(this.drawn);
  }

  erase() {
    this.drawn = [];
    this.open = null;
    this.changed(this.drawn);
    this.draw();
  }

  over(pen) {
    const warm = this.heat ? this.heats : [];
    this.sight.canvas.dataset.heat = String(warm.length);
    for (const { image, matrix } of warm) {
      pen.save();
      pen.transform(...matrix);
      pen.imageSmoothingEnabled = true;
      pen.drawImage(image, 0, 0);
      pen.restore();
    }
    if (this.overlay) {
      for (const finding of this.findings) {
        if (finding.box) this.sight.outline(pen, finding, finding.ok ? "--mark-normal" : "--mark-defect", 2, finding.ok ? [4, 4] : []);
      }
    }
    for (const shape of this.drawn) this.sight.outline(pen, shape, "--error", 2, [8, 4]);
    if (this.open) this.sight.outline(pen, this.open, "--error", 2, [3, 3]);
  }
}
