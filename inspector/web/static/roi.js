// Areas on a picture, drawn and moved: a picture and named boxes enter, the box that was changed
// leaves. Boxes are whole pixels of the picture, right and bottom outside, as a recipe has them.

import { token } from "./canvas.js";
import { make } from "./frame.js";
import { watch } from "./livefeed.js";
import { Sight } from "./sight.js";

const GRIP = 14; // CSS pixels around a corner or an edge that take hold of it
const HANDLE = 5;
const LEAST = 4; // pixels of the picture

export const LIVE = "live";

export class Areas {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.boxes = []; // { name, box, chosen, fixed }
    this.findings = [];
    this.held = null;
    this.leave = null; // ends the live picture
    this.sight = new Sight(canvas, (pen) => this.over(pen), {
      down: (point) => this.down(point),
      move: (point) => this.move(point),
      up: () => this.up(),
      drop: () => this.drop(),
    });
  }

  show(url) {
    this.leave?.();
    this.leave = null;
    this.sight.show(url);
  }

  // The line's pictures by the camera that `wanted()` names, until another one is shown. They stand
  // still under a finger that draws.
  live(wanted) {
    this.sight.stream(LIVE);
    this.leave ??= watch(wanted, (image, { width, height }) => {
      if (this.held) image.close();
      else this.sight.put(image, width, height);
    });
  }

  draw() {
    this.sight.draw();
  }

  get chosen() {
    return this.boxes.find((one) => one.chosen && !one.fixed);
  }

  // Which sides of the chosen box are taken hold of: all four is the box itself.
  sides([px, py]) {
    const box = this.chosen?.box;
    if (!box) return null;
    const near = GRIP / this.sight.scale;
    const inside = px > box[0] - near && px < box[2] + near && py > box[1] - near && py < box[3] + near;
    if (!inside) return null;
    const by = [px - box[0], py - box[1], px - box[2], py - box[3]].map((far) => Math.abs(far) < near);
    if (by.some(Boolean)) return by;
    return [true, true, true, true];
  }

  down(point) {
    if (!this.chosen) return;
    const sides = this.sides(point);
    const start = sides ? [...this.chosen.box] : [point[0], point[1], point[0], point[1]];
    if (!sides && this.chosen.box) return; // a drawn area is moved, not lost to a stray touch
    this.held = { point, start, sides: sides ?? [false, false, true, true], was: this.chosen.box };
  }

  move([x, y]) {
    if (!this.held || !this.chosen) return;
    const by = [x - this.held.point[0], y - this.held.point[1]];
    const { width, height } = this.sight;
    const box = this.held.start.map((value, side) => (this.held.sides[side] ? value + by[side % 2] : value));
    if (this.held.sides.every(Boolean)) {
      const [w, h] = [box[2] - box[0], box[3] - box[1]];
      box[0] = Math.min(Math.max(box[0], 0), width - w);
      box[1] = Math.min(Math.max(box[1], 0), height - h);
      box[2] = box[0] + w;
      box[3] = box[1] + h;
    }
    this.chosen.box = this.sight.box(box).map(Math.round);
    this.draw();
  }

  up() {
    const box = this.held && this.chosen?.box;
    this.held = null;
    if (!box) return;
    if (box[2] - box[0] < LEAST || box[3] - box[1] < LEAST) this.changed(null);
    else this.changed(box);
  }

  drop() {
    if (this.held && this.chosen) this.chosen.box = this.held.was;
    this.held = null;
    this.draw();
  }

  over(pen) {
    const { sight } = this;
    for (const finding of this.findings) sight.outline(pen, finding, finding.ok ? "--mark-normal" : "--mark-defect");
    const size = (pixels) => pixels / sight.scale;
    const { fontSize, fontFamily } = getComputedStyle(this.canvas);
    pen.font = `600 ${size(parseFloat(fontSize))}px ${fontFamily}`;
    for (const one of [...this.boxes].sort((a, b) => a.chosen - b.chosen)) { // its name over all others
      if (!one.box) continue;
      sight.outline(pen, one, one.chosen ? "--error" : "--mark-normal", one.chosen ? 3 : 1.5, one.chosen ? [] : [6, 4]);
      const [left, top] = one.box;
      const above = top > size(24) ? top - size(22) : top + size(2);
      pen.fillStyle = token(one.chosen ? "--error" : "--mark-key");
      pen.fillRect(left, above, pen.measureText(one.name).width + size(8), size(20));
      pen.fillStyle = token(one.chosen ? "--error-ink" : "--mark-normal");
      pen.fillText(one.name, left + size(4), above + size(15));
      if (!one.chosen || one.fixed) continue;
      pen.fillStyle = token("--error");
      for (const [cx, cy] of [[0, 1], [2, 1], [0, 3], [2, 3]]) {
        pen.fillRect(one.box[cx] - size(HANDLE), one.box[cy] - size(HANDLE), size(2 * HANDLE), size(2 * HANDLE));
      }
    }
  }
}

// The four sides of a box as fields, for who has no pointer: `box()` is what it is now. The area
// follows what is typed as soon as it is one; what is none when the field is left was not meant.
export function corners(title, box, disabled, changed) {
  return ["x1", "y1", "x2", "y2"].map((name, index) => {
    const input = make("input", { type: "number", min: 0, step: 1, value: box()[index], disabled, ariaLabel: `${title} ${name}` });
    input.addEventListener("input", () => {
      const next = [...box()];
      next[index] = Math.round(input.valueAsNumber);
      if (next[0] >= 0 && next[1] >= 0 && next[2] - next[0] >= LEAST && next[3] - next[1] >= LEAST) changed(next);
    });
    input.addEventListener("change", () => {
      input.value = box()[index];
    });
    return input;
  });
}
