// Areas on a picture, drawn and moved: a picture and named boxes enter, the box that was changed
// leaves. Boxes are whole pixels of the picture, right and bottom outside, as a recipe has them.

const GRIP = 14; // CSS pixels around a corner or an edge that take hold of it
const LEAST = 4; // pixels of the picture

export class Areas {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.image = null;
    this.boxes = []; // { name, box, chosen, fixed }
    this.findings = [];
    this.held = null;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  show(url) {
    if (url === this.wanted) return this.draw();
    this.wanted = url;
    this.image = null;
    this.draw();
    if (!url) return;
    const image = new Image();
    image.onload = () => {
      if (this.wanted !== url) return;
      this.image = image;
      this.draw();
    };
    image.src = url;
  }

  get fit() {
    const { width, height } = this.image;
    const scale = Math.min(this.canvas.clientWidth / width, this.canvas.clientHeight / height);
    return { scale, x: (this.canvas.clientWidth - width * scale) / 2, y: (this.canvas.clientHeight - height * scale) / 2 };
  }

  at(event) {
    const place = this.canvas.getBoundingClientRect();
    const { scale, x, y } = this.fit;
    return [(event.clientX - place.left - x) / scale, (event.clientY - place.top - y) / scale];
  }

  get chosen() {
    return this.boxes.find((one) => one.chosen && !one.fixed);
  }

  // Which sides of the chosen box are taken hold of: all four is the box itself.
  sides([px, py]) {
    const box = this.chosen?.box;
    if (!box) return null;
    const near = GRIP / this.fit.scale;
    const inside = px > box[0] - near && px < box[2] + near && py > box[1] - near && py < box[3] + near;
    if (!inside) return null;
    const by = [px - box[0], py - box[1], px - box[2], py - box[3]].map((far) => Math.abs(far) < near);
    if (by.some(Boolean)) return by;
    return [true, true, true, true];
  }

  down(event) {
    if (!this.image || !this.chosen) return;
    this.canvas.setPointerCapture(event.pointerId);
    const point = this.at(event);
    const sides = this.sides(point);
    const start = sides ? [...this.chosen.box] : [point[0], point[1], point[0], point[1]];
    if (!sides && this.chosen.box) return; // a drawn area is moved, not lost to a stray touch
    this.held = { point, start, sides: sides ?? [false, false, true, true] };
  }

  move(event) {
    if (!this.held || !event.buttons) return;
    const [x, y] = this.at(event);
    const by = [x - this.held.point[0], y - this.held.point[1]];
    const whole = this.held.sides.every(Boolean);
    const { width, height } = this.image;
    const limit = (value, low, high) => Math.min(Math.max(value, low), high);
    const box = this.held.start.map((value, side) => (this.held.sides[side] ? value + by[side % 2] : value));
    if (whole) {
      const [w, h] = [box[2] - box[0], box[3] - box[1]];
      box[0] = limit(box[0], 0, width - w);
      box[1] = limit(box[1], 0, height - h);
      box[2] = box[0] + w;
      box[3] = box[1] + h;
    }
    const [x1, x2] = [box[0], box[2]].sort((a, b) => a - b).map((value) => limit(Math.round(value), 0, width));
    const [y1, y2] = [box[1], box[3]].sort((a, b) => a - b).map((value) => limit(Math.round(value), 0, height));
    this.chosen.box = [x1, y1, x2, y2];
    this.draw();
  }

  up() {
    const box = this.held && this.chosen?.box;
    this.held = null;
    if (!box) return;
    if (box[2] - box[0] < LEAST || box[3] - box[1] < LEAST) this.changed(null);
    else this.changed(box);
  }

  draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    canvas.dataset.shown = this.image ? this.wanted : "";
    if (!this.image) return;
    const { scale, x, y } = this.fit;
    pen.imageSmoothingEnabled = scale < 3;
    pen.drawImage(this.image, x, y, this.image.width * scale, this.image.height * scale);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const frame = (box, look, thick, dashes = []) => {
      for (const [stroke, wide] of [[colour("--mark-key"), thick + 2], [colour(look), thick]]) {
        pen.strokeStyle = stroke;
        pen.lineWidth = wide;
        pen.setLineDash(dashes);
        pen.strokeRect(x + box[0] * scale, y + box[1] * scale, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale);
      }
    };
    for (const finding of this.findings) frame(finding.box, finding.ok ? "--mark-normal" : "--mark-defect", 2);
    pen.font = `600 ${parseFloat(getComputedStyle(canvas).fontSize)}px ${getComputedStyle(canvas).fontFamily}`;
    for (const one of this.boxes) {
      if (!one.box) continue;
      frame(one.box, one.chosen ? "--error" : "--mark-normal", one.chosen ? 3 : 1.5, one.chosen ? [] : [6, 4]);
      const [left, top] = [x + one.box[0] * scale, y + one.box[1] * scale];
      const wide = pen.measureText(one.name).width + 8;
      const above = top > 24 ? top - 22 : top + 2;
      pen.fillStyle = one.chosen ? colour("--error") : colour("--mark-key");
      pen.fillRect(left, above, wide, 20);
      pen.fillStyle = one.chosen ? colour("--error-ink") : colour("--mark-normal");
      pen.fillText(one.name, left + 4, above + 15);
      if (!one.chosen || one.fixed) continue;
      for (const [cx, cy] of [[0, 1], [2, 1], [0, 3], [2, 3]]) {
        pen.fillRect(x + one.box[cx] * scale - 5, y + one.box[cy] * scale - 5, 10, 10);
      }
    }
  }
}
