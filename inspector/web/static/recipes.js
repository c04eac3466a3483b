// The recipe editor: tools on the left, a kept picture with their areas, numbers on the right, and
// below what the change does to the newest parts.

import { Failed, act, byId, icon, make, number, on } from "./frame.js";
import { Areas } from "./roi.js";

const given = JSON.parse(byId("recipes-given").textContent);
const SETTLE_MS = 700; // After the last change, before parts are judged again.
const LOOK_MS = 500;

const changes = new Map(); // place as JSON → value
let known = null;
let chosen = 0; // the tool
let field = null; // place of the area that is drawn, as JSON
let part = 0;
let view = "";
let flip = null; // the flipped part that is looked at
let settling = 0;
let turn = 0;

function say(key, ...values) {
  return values.reduce((text, value, index) => text.replace(`{${index}}`, value), given.words[`recipes.${key}`] ?? key);
}

function button(name, key, action, kind = "") {
  const made = make("button", { className: `button ${kind}`, type: "button" }, icon(name), make("span", {}, say(key)));
  made.addEventListener("click", action);
  return made;
}

function choice(key, options, value, chosen_) {
  const select = make("select", { name: key, ariaLabel: say(key) });
  for (const [option, text] of options) select.append(make("option", { value: option, selected: option === value }, text));
  select.addEventListener("change", () => chosen_(select.value));
  return make("label", { className: "field" }, make("span", {}, say(key)), select);
}

const note = make("p", { className: "note", role: "status" });
const tools = make("ol", { className: "tools" });
const canvas = make("canvas", { className: "areas", role: "img" });
const areas = new Areas(canvas, (box) => box ? change(field, box) : show());
const numbers = make("div", { className: "numbers" });
const bar = make("div", { className: "bar" });
const outcome = make("section", { className: "outcome card" });
const save = button("ok", "save", () => keep(), "main");
const undo = button("back", "undo", () => {
  changes.clear();
  changed();
});
const last = make("input", { type: "number", min: 1, max: 10000, value: 500, name: "last" });
const again = button("change", "retry", () => retry());

function value(place, was) {
  return changes.has(place) ? changes.get(place) : was;
}

function change(place, to) {
  changes.set(place, to);
  changed();
}

function changed() {
  note.textContent = "";
  show();
  clearTimeout(settling);
  if (changes.size) settling = setTimeout(retry, SETTLE_MS);
}

function wish() {
  return { base: known.base, changes: [...changes].map(([place, to]) => ({ place: JSON.parse(place), value: to })) };
}

async function read(path) {
  const answer = await fetch(path);
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Failed(answer.status, said.code ?? "", said.error ?? String(answer.status));
  return said;
}

// --- what is shown ---

function areasOf(step) {
  const whole = [{ name: step.name, place: JSON.stringify(step.place), box: step.roi }];
  return [...whole, ...step.fields.filter((one) => one.roi).map((one) => ({ name: one.name, place: JSON.stringify(one.place), box: one.roi }))];
}

function show() {
  const step = known.steps[chosen];
  tools.replaceChildren(...known.steps.map((one, index) => {
    const made = make("button", { className: "button", type: "button" }, make("b", {}, one.name), make("span", {}, [one.kind, known.views > 1 ? one.view : ""].filter(Boolean).join(" · ")));
    made.setAttribute("aria-pressed", String(index === chosen));
    made.addEventListener("click", () => choose(index));
    return make("li", {}, made);
  }));
  areas.boxes = known.steps.flatMap((one, index) => {
    if (one.view !== view || one.follow) return [];
    return areasOf(one).map(({ name, place, box }) => ({
      name, box: value(place, box), chosen: index === chosen && place === field, fixed: !given.edit,
    })).filter((area) => area.box || area.chosen);
  });
  const looked = flip ? flip.parts : known.parts[part];
  areas.findings = flip ? flip.findings.filter((one) => one.view === view) : [];
  const pictures = looked?.pictures ?? {};
  areas.show(pictures[view] ?? Object.values(pictures)[0] ?? "");
  areas.draw();
  canvas.setAttribute("aria-label", `${say("picture")} ${looked ? `#${looked.number}` : ""}`);
  if (numbers.dataset.step !== `${chosen}` || !numbers.contains(document.activeElement)) fields(step);
  save.disabled = undo.disabled = !given.edit || changes.size === 0;
}

function fields(step) {
  numbers.dataset.step = `${chosen}`;
  const rows = [make("h2", {}, step.name)];
  if (step.follow) rows.push(make("p", { className: "soft" }, say("follows", step.follow)));
  for (const area of areasOf(step)) rows.push(corners(step, area));
  const tuned = step.fields.filter((one) => !one.roi);
  for (const one of tuned) rows.push(tune(one));
  if (!tuned.length) rows.push(make("p", { className: "soft" }, say("no_numbers")));
  numbers.replaceChildren(...rows);
}

function corners(step, area) {
  const box = value(area.place, area.box);
  const title = area.name === step.name ? say("roi") : area.name;
  const legend = make("legend", {}, title);
  const set = make("fieldset", { className: "field corners" }, legend);
  set.dataset.changed = changes.has(area.place);
  if (!box) {
    set.append(make("p", { className: "soft" }, say("whole")));
  } else {
    for (const [index, name] of ["x1", "y1", "x2", "y2"].entries()) {
      const input = make("input", { type: "number", min: 0, step: 1, value: box[index], disabled: !given.edit, ariaLabel: `${title} ${name}` });
      input.addEventListener("change", () => {
        const next = [...value(area.place, area.box)];
        next[index] = Math.round(input.valueAsNumber);
        if (next.every(Number.isFinite)) change(area.place, next);
      });
      set.append(input);
    }
  }
  if (given.edit && !step.follow && (!box || area.place !== field)) {
    const draw = button("edit", box ? "roi" : "draw", () => {
      field = area.place;
      fields(step);
      show();
    });
    set.append(draw);
  }
  return set;
}

function tune(one) {
  const place = JSON.stringify(one.place);
  const now = value(place, one.value);
  const yes = typeof one.value === "boolean";
  const input = yes
    ? make("input", { type: "checkbox", checked: now, disabled: !given.edit })
    : make("input", { type: "number", step: "any", value: now, disabled: !given.edit });
  input.name = one.name;
  const label = make("label", { className: yes ? "field check" : "field" }, ...(yes ? [input] : []), make("span", {}, one.name.replaceAll("_", " ")), ...(yes ? [] : [input]));
  const mark = () => {
    label.dataset.changed = changes.has(place);
  };
  input.addEventListener(yes ? "change" : "input", () => {
    const to = yes ? input.checked : input.valueAsNumber;
    if (!yes && !Number.isFinite(to)) return;
    if (to === one.value) changes.delete(place);
    else changes.set(place, to);
    mark();
    changed();
  });
  mark();
  return label;
}

function choose(index) {
  chosen = index;
  const step = known.steps[index];
  if (view !== step.view) flip = null;
  view = step.view;
  field = JSON.stringify(step.place);
  if (!step.roi) field = areasOf(step).find((area) => area.box)?.place ?? field;
  show();
}

function head() {
  const pictures = known.parts.map((one, index) => [String(index), `#${one.number} · ${say(one.outcome)}`]);
  bar.replaceChildren(
    choice("recipe", given.names.map((name) => [name, name]), given.name, (name) => location.assign(`/desk/recipes?recipe=${name}`)),
    choice("picture", pictures.length ? pictures : [["", say("no_picture")]], String(part), (index) => {
      part = Number(index);
      flip = null;
      show();
    }),
    make("label", { className: "field short" }, make("span", {}, say("last")), last), again, undo, save);
}

// --- the newest parts, judged again ---

async function retry() {
  clearTimeout(settling);
  if (!given.edit) return;
  turn += 1;
  const mine = turn;
  flip = null;
  try {
    let now = await act(`/recipes/${given.name}/retry`, { ...wish(), last: Number(last.value) || 500 });
    while (mine === turn) {
      tell(now);
      if (!now.running) break;
      await new Promise((done) => setTimeout(done, LOOK_MS));
      now = await read(`/recipes/${given.name}/retry`);
    }
  } catch (failed) {
    if (mine === turn) note.textContent = failed.message || String(failed.status);
  }
}

function tell(now) {
  note.textContent = now.error ?? "";
  if (now.error) {
    outcome.hidden = true;
    return;
  }
  outcome.hidden = false;
  const of = now.of ?? now.parts ?? 0;
  const done = now.done ?? now.parts ?? 0;
  const progress = make("progress", { max: Math.max(1, of), value: now.running ? done : Math.max(1, of), ariaLabel: say("retry") });
  const rows = ["pass", "reject", "error"].map((key) => {
    const [was, will] = [now.was?.[key] ?? 0, now.now?.[key] ?? 0];
    const step = will - was;
    return make("tr", {}, make("th", { scope: "row" }, say(key)), make("td", { className: "number" }, number(was)), make("td", { className: "number strong" }, number(will)),
      make("td", { className: "number" }, step ? `${step > 0 ? "+" : "−"}${number(Math.abs(step))}` : ""));
  });
  const table = make("table", { className: "table" },
    make("thead", {}, make("tr", {}, make("th", {}), make("th", { className: "number" }, say("before")), make("th", { className: "number" }, say("after")), make("th", {}))),
    make("tbody", {}, ...rows));
  const strip = make("div", { className: "flips" }, ...now.flips.map(thumb));
  const state = now.running ? say("judging", number(done), number(of)) : say("judged", number(now.parts ?? 0));
  outcome.dataset.running = now.running;
  outcome.replaceChildren(
    make("div", { className: "counts" }, make("h2", {}, state), progress, table, make("p", { className: "soft" }, say("sample"))),
    make("div", {}, make("h2", {}, now.flipped || now.running ? say("flipped", number(now.flipped ?? 0)) : say("none_flips")), strip));
}

function thumb(one) {
  const pictures = Object.fromEntries(one.views.map((name) => [name, `/picture/${one.id}/${encodeURIComponent(name)}`]));
  const bad = one.findings.find((finding) => !finding.ok)?.view;
  const shown = pictures[bad] ?? pictures[view] ?? Object.values(pictures)[0];
  const said = say("flip", `#${one.number}`, say(one.was), say(one.now));
  const made = make("button", { className: "flip", type: "button", title: one.reasons.join("; ") },
    make("img", { src: shown, alt: said, loading: "lazy" }),
    make("span", {}, `#${one.number}`), make("span", { className: "way" }, icon(one.was), icon("next"), icon(one.now)));
  made.dataset.now = one.now;
  made.addEventListener("click", () => {
    flip = { findings: one.findings, parts: { number: one.number, pictures } };
    show();
    canvas.scrollIntoView({ block: "nearest" });
  });
  return made;
}

async function keep() {
  clearTimeout(settling);
  save.disabled = true;
  try {
    await act(`/recipes/${given.name}/draft`, wish());
    location.assign(`/desk/recipes?recipe=${given.name}`);
  } catch (failed) {
    note.textContent = failed.message || String(failed.status);
    save.disabled = false;
  }
}

async function begin(root) {
  try {
    known = await read(`/recipes/${given.name}`);
  } catch (failed) {
    root.replaceChildren(make("p", { className: "empty" }, failed.message));
    return;
  }
  known.views = new Set(known.steps.map((one) => one.view)).size;
  head();
  outcome.hidden = true;
  const side = make("section", { className: "side" }, make("h2", { className: "away" }, say("tools")), tools);
  const empty = known.parts.length ? null : make("p", { className: "empty" }, say("no_picture"));
  root.replaceChildren(bar, note, make("div", { className: "work" }, side, make("div", { className: "stage" }, canvas, empty), numbers), outcome);
  if (empty) canvas.hidden = true;
  choose(0);
}

// NiceGUI puts its own part of the page in place after this module has run.
const waiting = setInterval(() => {
  const root = byId("recipes");
  if (!root) return;
  clearInterval(waiting);
  begin(root);
}, 30);
on("person", () => known && show());
