// A part's pictures with its findings drawn over them: a part and a canvas enter.

import { clean, token } from "./canvas.js";
import { labelled } from "./said.js";

// The view with the worst finding; where all is well, or pictures follow each other too fast to
// change places, the one of the station's first camera.
function mainView(part, order, steady) {
  const bad = steady ? null : part.findings.find((finding) => !finding.ok && finding.box);
  for (const name of [bad?.view, ...order]) {
    const index = part.views.findIndex((view) => view.name === name);
    if (index >= 0) return index;
  }
  return 0;
}

function fit(view, x, y, width, height) {
  const scale = Math.min(width / view.width, height / view.height);
  const [w, h] = [view.width * scale, view.height * scale];
  return { x: x + (width - w) / 2, y: y + (height - h) / 2, w, h, scale };
}

// Where to draw the whole view so that its worst finding fills half of the thumb.
function closeUp(part, index, thumb) {
  const view = part.views[index];
  const whole = Math.max(thumb.width / view.width, thumb.height / view.height);
  const box = part.findings.find((f) => !f.ok && f.box && f.view === view.name)?.box;
  const [x1, y1, x2, y2] = box ?? [0, 0, view.width, view.height];
  const near = 0.5 * Math.min(thumb.width / (x2 - x1 + 1), thumb.height / (y2 - y1 + 1));
  const scale = Math.max(whole, Math.min(near, 4 * whole));
  const [w, h] = [view.width * scale, view.height * scale];
  const x = Math.min(0, Math.max(thumb.width - w, thumb.width / 2 - ((x1 + x2) / 2) * scale));
  const y = Math.min(0, Math.max(thumb.height - h, thumb.height / 2 - ((y1 + y2) / 2) * scale));
  return { x, y, w, h, scale };
}

// All views of `part` on `canvas`, or nothing if there is no part.
export function draw(canvas, part, order = [], steady = false) {
  const { pen, width, height } = clean(canvas);
  canvas.dataset.part = part?.number ?? "";
  if (!part?.pictures.length) return;
  const main = mainView(part, order, steady);
  const rank = (index) => order.indexOf(part.views[index].name);
  const others = part.views.map((_, index) => index).filter((index) => index !== main);
  others.sort((a, b) => rank(a) - rank(b));
  const line = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  let room = width;
  if (others.length) {
    // The other views get what the main one leaves over, and never less than three tenths.
    const aspect = part.views[main].width / part.views[main].height;
    const side = Math.max(width * 0.3, Math.min(width * 0.4, width - height * aspect));
    room = width - side;
    others.forEach((view, row) => {
      const tall = height / others.length;
      const box = fit(part.views[view], room + 6, row * tall, side - 6, tall);
      place(pen, part, view, box, line, true);
    });
  }
  place(pen, part, main, fit(part.views[main], 0, 0, room, height), line, true);
}

// The worst finding of `part`, near; nothing if there is no part. A `still` canvas keeps its size.
export function drawNear(canvas, part, order = [], still = false) {
  const near = still ? { pen: canvas.getContext("2d"), width: canvas.width, height: canvas.height } : clean(canvas);
  canvas.dataset.part = part?.number ?? "";
  if (!part?.pictures.length) return;
  const main = mainView(part, order, false);
  place(near.pen, part, main, closeUp(part, main, near), 2, false);
}

function place(pen, part, index, box, line, labelled) {
  pen.drawImage(part.pictures[index], box.x, box.y, box.w, box.h);
  const view = part.views[index].name;
  const here = part.findings
    .filter((finding) => finding.box && (finding.view || part.views[0].name) === view)
    .sort((a, b) => b.ok - a.ok)
    .map((finding) => ({ finding, ...onScreen(finding.box, box) }));
  for (const item of here) if (labelled || !item.finding.ok) mark(pen, item, line);
  if (!labelled) return;
  // On a small picture what is as it should be goes without a name: the defect needs the room.
  const small = box.w < 320 * line;
  const taken = [...here];
  for (const item of [...here].reverse()) {
    // a measure that is as it should be has its box; its name would only hide the part
    const told = !small && (item.finding.value === undefined || item.finding.value === null);
    if (!item.finding.ok || told) taken.push(name(pen, item, taken, box, small ? 0.8 * line : line));
  }
  const text = view;
  const size = 13 * line;
  const tall = size * 1.6;
  const caption = { x: box.x, y: box.y + box.h - tall, w: width(pen, text, size, 400), h: tall };
  tag(pen, text, caption, size, 400, "--mark-key", "--mark-normal");
}

function onScreen([x1, y1, x2, y2], box) {
  const scale = box.scale;
  return { x: box.x + x1 * scale, y: box.y + y1 * scale, w: (x2 - x1) * scale, h: (y2 - y1) * scale };
}

// A defect: solid and thick; what is as it should be: thin and dashed.
function mark(pen, { finding, x, y, w, h }, line) {
  const strokes = finding.ok
    ? [["--mark-key", 3], ["--mark-normal", 1.5]]
    : [["--mark-key", 7], ["--mark-normal", 5], ["--mark-defect", 3]];
  pen.save();
  pen.setLineDash(finding.ok ? [5 * line, 4 * line] : []);
  for (const [colour, wide] of strokes) {
    pen.strokeStyle = token(colour);
    pen.lineWidth = wide * line;
    pen.strokeRect(x, y, w, h);
  }
  pen.restore();
}

// The name of a finding, beside its box where it hides least; a defect's has a cross before it.
function name(pen, item, taken, box, line) {
  const { finding } = item;
  const size = (finding.ok ? 13 : 16) * line;
  const weight = finding.ok ? 400 : 700;
  const text = (finding.ok ? "" : "✕ ") + (finding.text || labelled(finding.label));
  const [w, h, gap] = [Math.min(width(pen, text, size, weight), box.w), size * 1.6, 4 * line];
  const places = [
    [item.x, item.y - h - gap],
    [item.x, item.y + item.h + gap],
    [item.x + item.w + gap, item.y + item.h / 2 - h / 2],
    [item.x - w - gap, item.y + item.h / 2 - h / 2],
    [item.x + item.w - w, item.y - h - gap],
  ].map(([x, y]) => ({
    x: Math.max(box.x, Math.min(x, box.x + box.w - w)),
    y: Math.max(box.y, Math.min(y, box.y + box.h - h)),
    w,
    h,
  }));
  const others = taken.filter((other) => other === item || !contains(other, item));
  const hidden = (place) => others.reduce((sum, other) => sum + overlap(place, other), 0);
  const best = places.reduce((a, b) => (hidden(b) < hidden(a) - 1 ? b : a));
  const [ground, ink] = finding.ok ? ["--mark-key", "--mark-normal"] : ["--reject", "--reject-ink"];
  tag(pen, text, best, size, weight, ground, ink);
  return best;
}

function contains(outer, inner) {
  const [right, bottom] = [outer.x + outer.w, outer.y + outer.h];
  return outer.x <= inner.x && outer.y <= inner.y && right >= inner.x + inner.w && bottom >= inner.y + inner.h;
}

function overlap(a, b) {
  const w = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  return Math.max(0, w) * Math.max(0, h);
}

function width(pen, text, size, weight) {
  pen.font = `${weight} ${size}px ${token("--face")}`;
  return pen.measureText(text).width + size;
}

function tag(pen, text, place, size, weight, ground, ink) {
  pen.font = `${weight} ${size}px ${token("--face")}`;
  pen.globalAlpha = weight === 400 ? 0.8 : 1;
  pen.fillStyle = token(ground);
  pen.fillRect(place.x, place.y, place.w, place.h);
  pen.globalAlpha = 1;
  pen.fillStyle = token(ink);
  pen.textBaseline = "middle";
  pen.fillText(text, place.x + size / 2, place.y + place.h / 2 + size / 16, place.w - size);
}
