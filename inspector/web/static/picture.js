// A part's pictures with its findings drawn over them: a part and a canvas enter.

function mainView(part) {
  const bad = part.findings.find((finding) => !finding.ok && finding.box);
  return Math.max(0, part.views.findIndex((view) => view.name === bad?.view));
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
export function draw(canvas, part) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  canvas.dataset.part = part?.number ?? "";
  if (!part?.pictures.length) return;
  const main = mainView(part);
  const others = part.views.map((_, index) => index).filter((index) => index !== main);
  const line = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  let room = width;
  if (others.length) {
    // The other views get what the main one leaves over, and never less than a quarter.
    const aspect = part.views[main].width / part.views[main].height;
    const side = Math.max(width * 0.25, Math.min(width * 0.4, width - height * aspect));
    room = width - side;
    others.forEach((view, row) => {
      const tall = height / others.length;
      const box = fit(part.views[view], room + 6, row * tall, side - 6, tall);
      place(pen, part, view, box, line, true);
    });
  }
  place(pen, part, main, fit(part.views[main], 0, 0, room, height), line, true);
}

// The worst finding of `part`, near, on a small canvas.
export function drawThumb(thumb, part) {
  if (!part.pictures.length) return;
  const main = mainView(part);
  place(thumb.getContext("2d"), part, main, closeUp(part, main, thumb), 2, false);
}

function place(pen, part, index, box, line, labelled) {
  pen.drawImage(part.pictures[index], box.x, box.y, box.w, box.h);
  const here = part.findings.filter((f) => f.box && (f.view || part.views[0].name) === part.views[index].name);
  for (const finding of here.sort((a, b) => b.ok - a.ok)) mark(pen, finding, box, line, labelled);
  if (labelled) {
    const text = `${part.views[index].name}  #${part.number}`;
    tag(pen, text, box.x, box.y + box.h - 22 * line, 13 * line, 400, "--mark-key", "--mark-normal", box);
  }
}

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}

// A label of `size` pixels with its corner at (x, y), kept inside `box`.
function tag(pen, text, x, y, size, weight, ground, ink, box) {
  pen.font = `${weight} ${size}px ${token("--face")}`;
  const wide = Math.min(pen.measureText(text).width + size, box.w);
  const tall = size * 1.6;
  const left = Math.max(box.x, Math.min(x, box.x + box.w - wide));
  const top = Math.max(box.y, Math.min(y, box.y + box.h - tall));
  pen.globalAlpha = weight === 400 ? 0.75 : 1;
  pen.fillStyle = token(ground);
  pen.fillRect(left, top, wide, tall);
  pen.globalAlpha = 1;
  pen.fillStyle = token(ink);
  pen.textBaseline = "middle";
  pen.fillText(text, left + size / 2, top + tall / 2 + size / 16, wide - size);
}

// A defect: solid, thick, with corners and a cross; what is as it should be: thin and dashed.
function mark(pen, finding, box, line, labelled) {
  const [x1, y1, x2, y2] = finding.box.map((side, i) => side * box.scale + (i % 2 ? box.y : box.x));
  const strokes = finding.ok
    ? [["--mark-key", 3], ["--mark-normal", 1.5]]
    : [["--mark-key", 7], ["--mark-normal", 5], ["--mark-defect", 3]];
  pen.save();
  pen.setLineDash(finding.ok ? [5 * line, 4 * line] : []);
  for (const [colour, wide] of strokes) {
    pen.strokeStyle = token(colour);
    pen.lineWidth = wide * line;
    pen.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
  pen.restore();
  if (!labelled) return;
  const size = (finding.ok ? 13 : 16) * line;
  const text = (finding.ok ? "" : "✕ ") + (finding.text || finding.label);
  const above = y1 - size * 1.6 - 3 * line;
  const y = above >= box.y ? above : y2 + 3 * line;
  const [ground, ink] = finding.ok ? ["--mark-key", "--mark-normal"] : ["--reject", "--reject-ink"];
  tag(pen, text, x1 - 2 * line, y, size, finding.ok ? 400 : 700, ground, ink, box);
}
