// A picture on a canvas and a pointer over it: a picture enters, points in its own pixels leave.
// What the loupe and the recipe's areas share; what is drawn over the picture is theirs.
//
// A live picture comes smaller than the frame it shows, so its size is said beside it: boxes and
// points always count in pixels of the whole frame.

import { clean, token } from "./canvas.js";

const STEP = 1.25;
const MOST = 24;

export class Sight {
  // `over(pen)` draws on the picture, in its pixels; `pointer` has `down` and `move`, told the point,
  // `up`, and `drop`: what one finger has begun was none of it, for a second one has come.
  constructor(canvas, over, pointer) {
    this.canvas = canvas;
    this.over = over;
    this.image = null;
    this.width = this.height = 0; // of the whole frame
    this.wanted = "";
    this.whole();
    this.fingers = new Map(); // of a mouse too, where each is
    this.pinched = false; // until all of them are lifted
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.image) return;
      canvas.setPointerCapture(event.pointerId);
      this.fingers.set(event.pointerId, event);
      const [first, drawn] = [this.fingers.size === 1, !this.pinched];
      this.pinched = !first;
      if (first) pointer.down(this.at(event));
      else if (drawn) pointer.drop();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.image || !event.buttons || !this.fingers.has(event.pointerId)) return;
      const before = this.span();
      this.fingers.set(event.pointerId, event);
      const after = this.span();
      if (this.fingers.size === 2) this.closer(before, after, after.wide / before.wide);
      else if (!this.pinched) pointer.move(this.at(event));
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => {
        if (!this.fingers.delete(event.pointerId) || this.pinched) return;
        if (kind === "pointerup") pointer.up();
        else pointer.drop();
      });
    }
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // The picture at an address; nothing where there is none. One that comes late is not shown.
  show(url) {
    if (url && url === this.wanted) return this.draw();
    this.wanted = url ?? "";
    this.image = null;
    this.draw();
    if (!url) return;
    const image = new Image();
    image.onload = () => this.wanted === url && this.put(image, image.width, image.height);
    image.src = url;
  }

  // A picture that is at hand, of a frame of this size.
  put(image, width, height) {
    this.image?.close?.();
    [this.image, this.width, this.height] = [image, width, height];
    this.draw();
  }

  // A picture of whoever calls, as it comes, until another one is shown.
  stream(name) {
    if (this.wanted === name) return;
    this.wanted = name;
    this.image = null;
    this.draw();
  }

  whole() {
    this.zoom = 1;
    this.x = this.y = 0; // of the frame's middle, from the canvas's, in its pixels
    this.draw();
  }

  // Canvas pixels to one of the frame.
  get scale() {
    if (!this.image) return 1;
    return Math.min(this.canvas.clientWidth / this.width, this.canvas.clientHeight / this.height) * this.zoom;
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const [cx, cy] = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    return [cx / this.scale + this.width / 2 - this.x, cy / this.scale + this.height / 2 - this.y];
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.draw();
  }

  // Nearer or further by a wheel, the point under the pointer staying where it is.
  near(event) {
    event.preventDefault();
    if (this.image) this.closer(event, event, event.deltaY < 0 ? STEP : 1 / STEP);
  }

  // The middle of the first two fingers, and how far apart they are.
  span() {
    const [one, other = one] = this.fingers.values();
    return {
      clientX: (one.clientX + other.clientX) / 2,
      clientY: (one.clientY + other.clientY) / 2,
      wide: Math.max(1, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY)),
    };
  }

  // What lay `from` comes to lie `to`, so many times as large.
  closer(from, to, times) {
    const [px, py] = this.at(from);
    this.zoom = Math.min(MOST, Math.max(1, this.zoom * times));
    const [qx, qy] = this.at(to);
    if (this.zoom === 1) this.whole();
    else this.move(qx - px, qy - py);
  }

  // A box from any two corners: left before right, above before below, nothing outside the frame.
  box([x1, y1, x2, y2]) {
    const within = (value, high) => Math.min(Math.max(value, 0), high);
    const [left, right] = [x1, x2].sort((a, b) => a - b).map((x) => within(x, this.width));
    const [top, bottom] = [y1, y2].sort((a, b) => a - b).map((y) => within(y, this.height));
    return [left, top, right, bottom];
  }

  draw() {
    const { pen, width, height } = clean(this.canvas);
    this.canvas.dataset.shown = this.image ? this.wanted : "";
    if (!this.image) return;
    const { scale } = this;
    pen.translate(width / 2 + this.x * scale, height / 2 + this.y * scale);
    pen.scale(scale, scale);
    pen.translate(-this.width / 2, -this.height / 2);
    pen.imageSmoothingEnabled = scale < 3;
    pen.drawImage(this.image, 0, 0, this.width, this.height);
    this.over(pen);
  }

  // A box or a polygon in a colour of the tokens, `thick` CSS pixels, seen on whatever picture.
  outline(pen, shape, look, thick = 2, dashes = []) {
    for (const [stroke, wide] of [[token("--mark-key"), thick + 2], [token(look), thick]]) {
      pen.strokeStyle = stroke;
      pen.lineWidth = wide / this.scale;
      pen.setLineDash(dashes.map((dash) => dash / this.scale));
      pen.beginPath();
      if (shape.box) {
        const [x1, y1, x2, y2] = shape.box;
        pen.rect(x1, y1, x2 - x1, y2 - y1);
      } else {
        shape.polygon.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
        if (!shape.open) pen.closePath();
      }
      pen.stroke();
    }
  }
}
