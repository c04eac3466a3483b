// A camera as the line shows it, and what it can be set to. The picture is reduced to 960 pixels:
// focus and exposure are compared with themselves, not between cameras.

import { clean, token } from "./canvas.js";
import { choice, placed, say } from "./desk.js";
import { act, button, given, icon, make, number, read } from "./frame.js";
import { watch } from "./livefeed.js";
import { because } from "./said.js";

const MEASURE_MS = 200; // A person turns a lens no faster.
const WHITE = 250;
const BLACK = 5;
const OVER = 0.01; // More saturated pixels than this lose detail.
const DARK = 0.5;

let best = 0;
let measured = 0;
let rows = [];
let saved = {};
const chosen = new Map();

const picture = make("canvas", { className: "picture", role: "img", ariaLabel: say("live") });
const waiting = make("p", { className: "empty" }, say("waiting"));
const histogram = make("canvas", { className: "histogram", role: "img", ariaLabel: say("histogram") });
const focus = make("output", { className: "figure" }, "–");
const bestLine = make("p", { className: "soft" }, say("focus.more", "–"));
const meter = make("meter", { min: 0, max: 1, value: 0, ariaLabel: say("focus") });
const shares = Object.fromEntries(["white", "black", "mean"].map((key) => [key, make("dd", {}, "–")]));
const exposure = make("p", { className: "note", role: "status" });
const list = make("tbody", {});
const filter = make("input", { type: "search", placeholder: say("filter"), ariaLabel: say("filter") });
const save = button(say("save"), "ok", "main", () => keep());
const count = make("span", { className: "soft" });
const note = make("p", { className: "note", role: "status" });

// --- the live picture ---

function show(image) {
  waiting.hidden = true;
  picture.hidden = false;
  picture.width = image.width;
  picture.height = image.height;
  const pen = picture.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  image.close();
  const now = performance.now();
  if (now - measured < MEASURE_MS) return;
  measured = now;
  measure(pen.getImageData(0, 0, picture.width, picture.height));
}

// Grey by Rec. 601, as OpenCV has it; the Laplacian of four neighbours.
function measure({ data, width, height }) {
  const grey = new Float32Array(width * height);
  const levels = new Uint32Array(256);
  let sum = 0;
  for (let i = 0; i < grey.length; i += 1) {
    const value = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
    grey[i] = value;
    levels[Math.round(value)] += 1;
    sum += value;
  }
  let total = 0;
  let squares = 0;
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1, i = y * width + 1; x < width - 1; x += 1, i += 1) {
      const edge = grey[i - 1] + grey[i + 1] + grey[i - width] + grey[i + width] - 4 * grey[i];
      total += edge;
      squares += edge * edge;
    }
  }
  const inner = (width - 2) * (height - 2);
  const sharp = squares / inner - (total / inner) ** 2;
  best = Math.max(best, sharp);
  focus.textContent = number(sharp, sharp < 100 ? 1 : 0);
  bestLine.textContent = say("focus.more", number(best, best < 100 ? 1 : 0));
  meter.value = best ? sharp / best : 0;
  const share = (from, to) => levels.slice(from, to).reduce((all, one) => all + one, 0) / grey.length;
  const [white, black] = [share(WHITE, 256), share(0, BLACK + 1)];
  shares.white.textContent = `${number(100 * white, 1)} %`;
  shares.black.textContent = `${number(100 * black, 1)} %`;
  shares.mean.textContent = number(sum / grey.length);
  const state = white > OVER ? "over" : black > DARK ? "under" : "exposed";
  exposure.replaceChildren(icon(state === "exposed" ? "ok" : "warning"), make("span", {}, say(state)));
  bars(levels);
}

function bars(levels) {
  const { pen, width, height } = clean(histogram);
  const [plain, end] = [token("--accent"), token("--warn")];
  const high = Math.sqrt(Math.max(...levels)); // By its root, so that small peaks are seen too.
  const wide = width / 256;
  for (const [level, many] of levels.entries()) {
    pen.fillStyle = level >= WHITE || level <= BLACK ? end : plain;
    const tall = (Math.sqrt(many) / high) * height;
    pen.fillRect(level * wide, height - tall, Math.max(1, wide), tall);
  }
}

// --- features ---

function range(row) {
  if (row.entries.length) return row.entries.join(", ");
  if (row.minimum === null) return "";
  const step = row.increment ? ` / ${row.increment}` : "";
  return `${Number(row.minimum.toPrecision(6))} … ${Number(row.maximum.toPrecision(6))}${step}`;
}

function field(row) {
  const now = chosen.get(row.name) ?? row.value;
  if (row.access !== "RW" || !["integer", "float", "boolean", "string", "enumeration"].includes(row.kind)) return make("span", {}, row.value === null ? "–" : String(row.value));
  let input;
  if (row.kind === "enumeration") {
    input = make("select", {}, ...row.entries.map((one) => make("option", { value: one, selected: one === now }, one)));
  } else if (row.kind === "boolean") {
    input = make("input", { type: "checkbox", checked: now });
  } else if (row.kind === "string") {
    input = make("input", { type: "text", value: now ?? "" });
  } else {
    input = make("input", { type: "number", value: now, step: row.increment ?? "any" });
    if (row.minimum !== null) Object.assign(input, { min: row.minimum, max: row.maximum });
  }
  input.name = row.name;
  input.setAttribute("aria-label", row.name);
  // while it is typed: a button that waits for the field to be left would lose its first touch
  input.addEventListener("input", () => {
    const to = row.kind === "boolean" ? input.checked : ["integer", "float"].includes(row.kind) ? input.valueAsNumber : input.value;
    const fits = input.checkValidity() && !Number.isNaN(to);
    note.textContent = fits ? "" : `${row.name}: ${input.validationMessage}`;
    if (!fits || (to === row.value && !(row.name in saved))) chosen.delete(row.name);
    else chosen.set(row.name, to);
    told();
  });
  return make("label", { className: `field ${row.kind === "boolean" ? "check" : ""}` }, input);
}

function told() {
  save.disabled = chosen.size === 0;
  count.textContent = chosen.size ? say("chosen", number(chosen.size)) : "";
}

function fill() {
  const wanted = filter.value.trim().toLowerCase();
  const found = rows.filter((row) => !wanted || `${row.name} ${row.tooltip}`.toLowerCase().includes(wanted));
  list.replaceChildren(...found.map((row) => make("tr", {},
    make("td", {}, make("b", {}, row.name), make("span", { className: "soft" }, row.tooltip)),
    make("td", {}, field(row)),
    make("td", {}, [range(row), row.unit].filter(Boolean).join(" ")),
    make("td", {}, row.name in saved ? String(saved[row.name]) : ""))));
}

async function keep() {
  save.disabled = true;
  try {
    const answer = await act(`/cameras/${given.name}/features`, { features: Object.fromEntries(chosen) });
    saved = answer.set;
    chosen.clear();
    note.textContent = say("saved");
    fill();
  } catch (failed) {
    note.textContent = because(failed);
  }
  told();
}

async function begin(root) {
  const cameras = choice("camera", say("camera"), given.names.map((name) => [name, name]), given.name, (name) => location.assign(`/desk/cameras?camera=${name}`));
  picture.hidden = true;
  filter.addEventListener("input", fill);
  const state = make("p", { className: "soft" });
  root.replaceChildren(
    make("div", { className: "sight" },
      make("div", { className: "stage" }, picture, waiting),
      make("section", { className: "card aids" },
        cameras,
        make("h2", {}, say("focus")), focus, meter, bestLine,
        button(say("focus.reset"), "change", "", () => {
          best = 0;
        }),
        make("h2", {}, say("histogram")), histogram,
        make("dl", { className: "shares" }, ...Object.entries(shares).map(([key, value]) => make("div", {}, make("dt", {}, say(key)), value))),
        exposure)),
    make("section", { className: "card features" },
      make("div", { className: "bar" }, make("h2", {}, say("features")), make("label", { className: "field" }, filter), count, save),
      state, note,
      make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: say("features") },
        make("table", { className: "table" }, make("thead", {}, make("tr", {}, ...["features", "value", "range", "in_file"].map((key) => make("th", {}, say(key))))), list))));
  told();
  watch(() => given.name, show);
  try {
    const answer = await read(`/cameras/${given.name}/features`);
    rows = answer.features;
    saved = answer.set;
    state.textContent = rows.length ? (answer.in_use ? say("in_use") : "") : say("no_features");
    fill();
  } catch (failed) {
    state.textContent = because(failed);
  }
}

placed(begin);
