// A picture under a loupe: zoomed and moved, findings over it, boxes and polygons drawn on it.

const STEP = 1.25;
const MOST = 24;

export class Loupe {
  constructor(canvas, changed = () => {}) {
    this.canvas = canvas;
    this.changed = changed;
    this.image = null;
    this.findings = [];
    this.drawn = [];
    this.overlay = true;
    this.tool = ""; // "", "box", "polygon"
    this.open = null; // the shape that is being drawn
    this.fit();
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("dblclick", () => this.close());
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  show(url, findings) {
    this.image = null;
    this.findings = findings;
    this.drawn = [];
    this.open = null;
    this.fit();
    if (!url) return this.draw();
    const image = new Image();
    image.onload = () => {
      if (this.wanted === url) {
        this.image = image;
        this.draw();
      }
    };
    this.wanted = url;
    image.src = url;
    this.draw();
  }

  fit() {
    this.zoom = 1;
    this.x = this.y = 0; // of the picture's middle, from the canvas's, in picture pixels
    this.draw?.();
  }

  get scale() {
    if (!this.image) return 1;
    const whole = Math.min(this.canvas.clientWidth / this.image.width, this.canvas.clientHeight / this.image.height);
    return whole * this.zoom;
  }

  // Canvas to picture.
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const [cx, cy] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    return [cx / this.scale + (this.image?.width ?? 0) / 2 - this.x, cy / this.scale + (this.image?.height ?? 0) / 2 - this.y];
  }

  wheel(event) {
    event.preventDefault();
    if (!this.image) return;
    const [px, py] = this.at(event);
    this.zoom = Math.min(MOST, Math.max(1, this.zoom * (event.deltaY < 0 ? STEP : 1 / STEP)));
    const [qx, qy] = this.at(event);
    this.x += qx - px;
    this.y += qy - py;
    if (this.zoom === 1) this.x = this.y = 0;
    this.draw();
  }

  down(event) {
    if (!this.image) return;
    this.canvas.setPointerCapture(event.pointerId);
    const point = this.at(event);
    if (this.tool === "box") this.open = { box: [...point, ...point] };
    else if (this.tool === "polygon") {
      this.open ??= { polygon: [] };
      this.open.polygon.push(point);
    } else this.held = point;
    this.draw();
  }

  move(event) {
    if (this.open?.box && event.buttons) {
      const [x, y] = this.at(event);
      this.open.box[2] = x;
      this.open.box[3] = y;
      this.draw();
    } else if (this.held && event.buttons) {
      const [x, y] = this.at(event);
      this.x += x - this.held[0];
      this.y += y - this.held[1];
      this.draw();
    }
  }

  up() {
    this.held = null;
    if (!this.open?.box) return;
    const [x1, y1, x2, y2] = this.open.box;
    const box = [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)].map((v, i) =>
      Math.min(Math.max(0, v), i % 2 ? this.image.height : this.image.width));
    this.open = null;
    if (box[2] - box[0] >= 2 && box[3] - box[1] >= 2) this.keep({ box });
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
    const scale = this.scale;
    pen.translate(width / 2 + this.x * scale, height / 2 + this.y * scale);
    pen.scale(scale, scale);
    pen.translate(-this.image.width / 2, -this.image.height / 2);
    pen.imageSmoothingEnabled = scale < 3;
    pen.drawImage(this.image, 0, 0);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const line = (shape, stroke, dashes) => {
      for (const [look, thick] of [[colour("--mark-key"), 4], [stroke, 2]]) {
        pen.strokeStyle = look;
        pen.lineWidth = thick / scale;
        pen.setLineDash(dashes.map((dash) => dash / scale));
        pen.beginPath();
        if (shape.box) pen.rect(shape.box[0], shape.box[1], shape.box[2] - shape.box[0], shape.box[3] - shape.box[1]);
        else {
          shape.polygon.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
          if (shape !== this.open) pen.closePath();
        }
        pen.stroke();
      }
    };
    if (this.overlay) {
      for (const finding of this.findings) {
        if (finding.box) line(finding, colour(finding.ok ? "--mark-normal" : "--mark-defect"), finding.ok ? [4, 4] : []);
      }
    }
    for (const shape of this.drawn) line(shape, colour("--error"), [8, 4]);
    if (this.open) line(this.open, colour("--error"), [3, 3]);
  }
}
