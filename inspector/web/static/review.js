// The review page: a gallery on the left, one part on the right, and what a person says of it.

import { dayField } from "./day.js";
import { field, placed, say, tick } from "./desk.js";
import { act, button, figure, given, icon, make, moment, number, on, put, read } from "./frame.js";
import { Gallery } from "./gallery.js";
import { drawn } from "./heat.js";
import { Loupe } from "./loupe.js";
import { because, inWords, labelled, unit } from "./said.js";

const AGAIN_MS = 1000; // how often a picture that is on its way is asked for
const KINDS = ["reject", "error", "near", "override", "second"];

const address = new URL(location.href);
const asked = Object.fromEntries(["kind", "batch", "label", "view", "station", "since", "until", "below"].map((name) => [name, address.searchParams.get(name) ?? ""]));
if (!KINDS.includes(asked.kind)) asked.kind = "reject";
let labels = [];
let part = null;
let view = 0;
let next; // where the next portion begins; undefined: there is no more, or nothing was asked for yet
let asking = false;
let pointed = null; // the button that a pointer has pressed last: the keys stay the page's then
let turn = 0; // of the filters: an answer to an older question is dropped

const note = make("p", { className: "note", role: "status" });
const count = make("p", { className: "count", role: "status" });
const gallery = new Gallery(make("div", { className: "gallery", tabIndex: 0 }), {
  chosen: (row) => open(row.id),
  more,
  title: (row) => `#${row.number} ${labelled(row.label || row.outcome)}`,
});
const canvas = make("canvas", { className: "loupe" });
const loupe = new Loupe(canvas, () => tools());
const without = make("p", { className: "empty", role: "status", hidden: true });
const detail = make("section", { className: "detail" });
const side = make("div", { className: "beside" });
const findings = make("ul", { className: "findings" });
const said = make("ol", { className: "said" });
const defect = make("select", { ariaLabel: say("label") });
const reason = make("input", { type: "text", maxLength: 500 });
const sample = make("input", { type: "checkbox" });
const heading = make("h2", {}, say("choose"));
const confirm = button(say("confirm"), "ok", "main", says("confirm"));
const override = button(say("override"), "change", "", says("override"));
const views = make("div", { className: "views" });

// No button waits for the answer: the next part can be judged before it.
function says(way) {
  return () => {
    decide(way);
  };
}

// A sign alone: its name is read to who cannot see it, and shown to who points at it.
function sign(name, key, action) {
  const made = button(say(key), name, "sign", action);
  made.title = say(key);
  made.ariaLabel = say(key);
  return made;
}

const overlay = sign("overlay", "overlay", () => toggle());
const warm = sign("heat", "heat", () => {
  heat(!loupe.heat); // while it is made it can be put off
});
const box = sign("box", "draw", () => take("box"));
const polygon = sign("polygon", "shape", () => take("polygon"));
const erase = sign("delete", "clear", () => loupe.erase());

function toggle() {
  loupe.overlay = !loupe.overlay;
  tools();
  loupe.draw();
}

// The part's map: made by the station when it is asked for, once.
async function heat(wanted) {
  loupe.heat = wanted;
  tools();
  loupe.draw();
  if (!wanted || !part) return;
  const mine = part;
  note.textContent = say("heat.making");
  try {
    mine.heats ??= await read(`/review/heat/${mine.id}`);
    if (part !== mine) return;
    const name = mine.views[view]?.name;
    loupe.heats = mine.heats.filter((one) => one.view === name).map(drawn);
    note.textContent = loupe.heats.length ? "" : say("heat.none");
  } catch (failed) {
    if (part === mine) note.textContent = because(failed);
  }
  loupe.draw();
}

function take(tool) {
  loupe.close();
  loupe.tool = loupe.tool === tool ? "" : tool;
  tools();
}

function tools() {
  overlay.setAttribute("aria-pressed", String(loupe.overlay));
  warm.setAttribute("aria-pressed", String(loupe.heat));
  warm.hidden = !part?.findings.some((finding) => finding.kind === "anomaly");
  box.setAttribute("aria-pressed", String(loupe.tool === "box"));
  polygon.setAttribute("aria-pressed", String(loupe.tool === "polygon"));
  erase.disabled = loupe.drawn.length === 0;
}

function choice(name, options) {
  const select = make("select", { name });
  // What the address asks for may be older than all that is offered.
  const known = options.some(([value]) => value === asked[name]) ? options : [...options, [asked[name], asked[name]]];
  for (const [value, text] of known) select.append(make("option", { value, selected: value === asked[name] }, text));
  return filter(name, select);
}

// A field of the filters: what stands in it is in the address and is looked for at once.
function filter(name, field) {
  field.addEventListener("change", () => {
    if (!field.reportValidity()) return;
    asked[name] = field.value.trim();
    for (const [key, value] of Object.entries(asked)) {
      if (value) address.searchParams.set(key, value);
      else address.searchParams.delete(key);
    }
    history.replaceState(null, "", address);
    restart();
  });
  const day = field.dataset.day;
  return make("label", { className: day ? "field day" : "field" }, make("span", {}, say(name)), field, day ? icon("calendar") : null);
}

function restart() {
  turn += 1;
  next = null;
  asking = false;
  count.textContent = "";
  gallery.clear();
  more();
}

async function more() {
  if (asking || next === undefined) return;
  asking = true;
  const mine = turn;
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value));
  if (next !== null) query.set("before", next);
  try {
    const found = await read(`/review/parts?${query}`);
    if (mine !== turn) return;
    next = found.next ?? undefined;
    gallery.add(found.parts);
    count.textContent = gallery.parts.length || next !== undefined ? say("count", number(gallery.parts.length)) : say("none");
    if (gallery.at < 0 && found.parts.length) gallery.choose(0);
  } catch (failed) {
    if (mine !== turn) return;
    note.textContent = because(failed);
    next = undefined;
  } finally {
    if (mine === turn) asking = false;
  }
  if (mine === turn && next !== undefined) gallery.draw();
}

async function open(id) {
  if (part?.id === id) return; // what was written about it stays
  let found;
  try {
    found = await read(`/review/part/${id}`);
  } catch (failed) {
    note.textContent = because(failed);
    return;
  }
  if (!chosen(found) || part?.id === id) return;
  part = found;
  const bad = part.findings.find((finding) => !finding.ok);
  view = Math.max(0, part.views.findIndex((one) => one.name === bad?.view));
  reason.value = "";
  sample.checked = false;
  note.textContent = "";
  if (bad && labels.includes(bad.label)) defect.value = bad.label;
  show();
  follow();
}

// The line waits for no archive: a part may be here before its picture. What a person has written,
// drawn or chosen meanwhile stays.
async function follow() {
  const mine = part;
  while (part === mine && mine.awaited) {
    await new Promise((done) => setTimeout(done, AGAIN_MS));
    if (part !== mine) return;
    const found = await read(`/review/part/${mine.id}`).catch(() => null);
    if (part !== mine || found === null) continue;
    const shown = mine.views[view]?.name;
    const name = shown ?? mine.findings.find((finding) => !finding.ok)?.view;
    Object.assign(mine, { views: found.views, awaited: found.awaited });
    view = Math.max(0, found.views.findIndex((one) => one.name === name));
    if (found.thumb) gallery.picture(mine.id, found.thumb);
    offer();
    if (!shown) picture();
  }
}

function show() {
  heading.textContent = `#${part.number} · ${part.batch}${part.serial ? ` · ${part.serial}` : ""}`;
  heading.dataset.outcome = part.outcome;
  put(confirm.lastChild, say(part.outcome === "error" ? "bad" : "confirm"));
  put(override.lastChild, say(part.outcome === "error" ? "good" : "override"));
  offer();
  picture();
  canvas.setAttribute("aria-label", part.reasons.map(inWords).join("; ") || labelled(part.outcome));
  const beside = [["golden", part.golden], ["previous", part.previous]];
  side.replaceChildren(...beside.map(([key, url]) =>
    make("figure", {}, url ? make("img", { src: url, alt: say(key), loading: "lazy" }) : make("span", { className: "blank" }, say("none_kept")), make("figcaption", {}, say(key)))));
  findings.replaceChildren(...part.findings.map((finding) => {
    const value = finding.text ?? (finding.value === null ? "" : `${figure(finding.value)} ${unit(finding.unit)}`.trim());
    const row = make("li", {}, icon(finding.ok ? "ok" : "reject"), make("b", {}, labelled(finding.label)),
      make("span", {}, [value, inWords(finding.reason)].filter(Boolean).join(" · ")), make("i", {}, number(finding.score, 2)));
    row.dataset.ok = finding.ok;
    return row;
  }));
  if (!part.findings.length) findings.replaceChildren(...part.reasons.map((text) => make("li", {}, icon("error"), make("b", {}, inWords(text)))));
  history_();
  tools();
  if (loupe.heat && !warm.hidden) heat(true);
}

// Which views there are, and what is said where there is none.
function offer() {
  views.replaceChildren(...part.views.map((one, index) => {
    const made = make("button", { className: "button", type: "button" }, one.name);
    made.setAttribute("aria-pressed", String(index === view));
    made.addEventListener("click", () => {
      view = index;
      show();
    });
    return made;
  }));
  without.textContent = say(part.awaited ? "awaited" : "no_picture");
  without.hidden = Boolean(part.views.length);
}

// The view that was chosen.
function picture() {
  const name = part.views[view]?.name;
  loupe.show(part.views[view]?.picture ?? null, part.findings.filter((finding) => finding.view === name));
}

function history_() {
  said.replaceChildren(...part.reviews.map((one) =>
    make("li", {}, make("b", {}, one.who), make("span", {}, say(`said.${one.decision}`)), make("span", {}, moment(one.ms)), make("span", {}, one.reason))));
}

// A part is on the screen until the chosen one has come, and a person is faster than an answer: what
// is said is of the part on the screen, once, and its answer changes nothing of the next one.
async function decide(way) {
  const mine = part;
  if (!mine || mine.sent || (gallery.at >= 0 && !chosen(mine))) return;
  loupe.close();
  const was = mine.outcome;
  const truly = way === "override" ? (was === "pass" ? "reject" : "pass") : was === "pass" ? "pass" : "reject";
  // Where the line could not judge there is nothing to confirm: it is told what the part is.
  const decision = was === "error" && way === "confirm" ? "override" : way;
  if (decision === "override" && !reason.value.trim()) {
    note.textContent = say("reason.needed");
    reason.focus();
    return;
  }
  if (decision === "relabel" && !loupe.drawn.length) {
    note.textContent = say("label.needed");
    return;
  }
  const shapes = loupe.drawn.map((shape) => ({ label: defect.value, ...shape }));
  mine.sent = true;
  try {
    const answer = await act(`/review/part/${mine.id}`, {
      decision, outcome: truly, view: mine.views[view]?.name ?? "", labels: shapes, reason: reason.value.trim(), sample: sample.checked,
    });
    mine.reviews = answer.reviews;
    gallery.mark(mine.id, decision);
    if (part !== mine) return;
    history_();
    loupe.erase();
    note.textContent = say("saved");
    if (way === "confirm" && chosen(mine)) gallery.choose(gallery.at + 1);
  } catch (failed) {
    const which = part === mine ? "" : `#${mine.number}: `;
    note.textContent = which + because(failed);
  } finally {
    mine.sent = false;
  }
}

function chosen(one) {
  return gallery.parts[gallery.at]?.id === one.id;
}

function key(event) {
  if (event.key === "Tab") pointed = null;
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const pressed = event.key.toLowerCase();
  const focused = event.target.closest("button:not(.cell)");
  if (pressed === " " && focused && focused !== pointed) return; // whoever came to it by keys presses it
  if (pressed === "j") gallery.choose(gallery.at + 1);
  else if (pressed === "k") gallery.choose(gallery.at - 1);
  else if (pressed === " ") event.repeat || decide("confirm"); // a key that is held is of one part
  else if (pressed === "b") take("box");
  else if (pressed === "o") toggle();
  else if (pressed === "h" && !warm.hidden) heat(!loupe.heat);
  else if (/^[1-9]$/.test(pressed) && labels[pressed - 1]) defect.value = labels[pressed - 1];
  else return;
  event.preventDefault();
}

async function compare(who, line) {
  if (!who) return;
  try {
    const found = await read(`/review/agreement?other=${encodeURIComponent(who)}`);
    line.textContent = say("kappa", found.parts, found.agreed, number(found.kappa, 2));
  } catch (failed) {
    line.textContent = because(failed);
  }
}

async function begin(root) {
  const known = await read("/review/labels").catch(() => ({ labels: [], batches: [], stations: [] }));
  labels = known.labels;
  for (const [index, label] of labels.entries()) {
    defect.append(make("option", { value: label }, `${index < 9 ? `${index + 1}  ` : ""}${labelled(label)}`));
  }
  // The newest are offered; any that was ever made is found by its number.
  const offered = make("input", { type: "search", name: "batch", value: asked.batch, placeholder: say("batch.all"), maxLength: 64, autocomplete: "off", spellcheck: false });
  offered.setAttribute("list", "known-batch");
  const filters = make("form", { className: "search" },
    choice("kind", KINDS.map((kind) => [kind, say(`kind.${kind}`)])),
    filter("batch", offered),
    make("datalist", { id: "known-batch" }, ...known.batches.map((value) => make("option", { value }))),
    choice("label", [["", say("label.all")], ...labels.map((label) => [label, labelled(label)])]),
    choice("view", [["", say("view.all")], ...given.cameras.map((name) => [name, name])]),
    choice("station", [["", say("station.all")], ...known.stations.map((name) => [name, name])]),
    filter("since", dayField("since", asked.since, given.days)),
    filter("until", dayField("until", asked.until, given.days)),
    filter("below", make("input", { name: "below", type: "number", min: 0, max: 1, step: 0.01, value: asked.below })));
  const other = make("input", { type: "text", maxLength: 64, ariaLabel: say("agreement") });
  const kappa = make("output", {});
  const agreement = make("div", { className: "agreement" }, field(say("agreement"), other),
    button(say("agreement.show"), "checks", "", () => compare(other.value.trim(), kappa)), kappa);
  detail.append(
    make("header", {}, heading, make("div", { className: "views" }, views, overlay, warm, sign("fit", "fit", () => loupe.fit()), box, polygon, erase)),
    make("div", { className: "pane" }, canvas, without),
    make("div", { className: "says" },
      field(say("label"), defect),
      field(say("reason"), reason, "grow"),
      tick(say("sample"), sample)),
    make("div", { className: "bar" },
      confirm, override,
      button(say("relabel"), "edit", "", says("relabel")), button(say("second"), "person", "", says("second_opinion"))),
    note,
    make("p", { className: "keys" }, say("keys")),
    side,
    make("section", {}, make("h3", {}, say("findings")), findings),
    make("section", {}, make("h3", {}, say("history")), said, agreement));
  root.replaceChildren(filters, make("div", { className: "desk-review" }, make("div", { className: "pile" }, count, gallery.root), detail));
  document.addEventListener("keydown", key);
  document.addEventListener("pointerdown", (event) => {
    pointed = event.target.closest("button");
  });
  tools();
  restart();
}

placed(begin);
on("person", () => tools());
