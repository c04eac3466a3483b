// The recipe editor: tools on the left, a kept or the live picture with their areas, numbers on the
// right, and below what the change does to the newest parts.

import { choice, field as fieldOf, placed, say, tick } from "./desk.js";
import { act, button, given, icon, known as knows, make, number, on, read } from "./frame.js";
import { Areas, LIVE, corners } from "./roi.js";
import { because, inWords, labelled } from "./said.js";
import { begun, form } from "./toolform.js";

const SETTLE_MS = 700; // After the last change, before parts are judged again.
const LOOK_MS = 500;

const changes = new Map(); // place as JSON → value
const unsaid = new Map(); // place as JSON → a setting that the text leaves at its default
let known = null;
let chosen = 0; // the tool
let field = null; // place of the area that is drawn, as JSON
let part = 0; // of the kept ones; LIVE is the line's
let view = "";
let flip = null; // the flipped part that is looked at
let adding = null; // the tool that is being made
let settling = 0;
let turn = 0;

const note = make("p", { className: "note", role: "status" });
const tools = make("ol", { className: "tools" });
const canvas = make("canvas", { className: "areas", role: "img" });
const areas = new Areas(canvas, (box) => {
  if (box && adding) adding.box = box;
  else if (box) change(field, box);
  if (adding || !box) show();
});
const empty = make("p", { className: "empty" }, say("no_picture"));
const numbers = make("div", { className: "numbers" });
const bar = make("div", { className: "bar" });
const outcome = make("section", { className: "outcome card" });
const save = button(say("save"), "ok", "main", () => keep());
const undo = button(say("undo"), "back", "", () => {
  changes.clear();
  changed();
});
const more = button(say("add"), "start", "", () => add());
const last = make("input", { type: "number", min: 1, max: 10000, value: 500, name: "last" });
const again = button(say("retry"), "change", "", () => {
  retry(); // a newer wish takes the place of one that is still tried
});

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
  return { base: known.base, changes: [...changes].map(([place, to]) => {
    const fresh = unsaid.get(place);
    return { place: JSON.parse(place), value: to, ...(fresh ? { new: true, whole: fresh.whole } : {}) };
  }) };
}

// --- what is shown ---

function kindOf(kind) {
  return knows(`recipes.kind.${kind}`) ? say(`kind.${kind}`) : kind;
}

function areasOf(step) {
  const whole = [{ name: labelled(step.name), title: say("roi"), place: JSON.stringify(step.place), box: step.roi }];
  return [...whole, ...step.fields.filter((one) => one.roi).map((one) => ({ name: one.title, title: one.title, place: JSON.stringify(one.place), box: one.roi }))];
}

function show() {
  const step = known.steps[chosen];
  tools.replaceChildren(...known.steps.map((one, index) => {
    const made = make("button", { className: "button", type: "button" }, make("b", {}, labelled(one.name)), make("span", {}, [kindOf(one.kind), known.views > 1 ? one.view : ""].filter(Boolean).join(" · ")));
    made.setAttribute("aria-pressed", String(!adding && index === chosen));
    made.addEventListener("click", () => choose(index));
    return make("li", {}, made);
  }));
  areas.boxes = known.steps.flatMap((one, index) => {
    if (one.view !== view || one.follow) return [];
    return areasOf(one).map(({ name, place, box }) => ({
      name, box: value(place, box), chosen: !adding && index === chosen && place === field, fixed: !given.edit,
    })).filter((area) => area.box || area.chosen);
  });
  if (adding) areas.boxes.push({ name: adding.tool, box: adding.box, chosen: true, fixed: false });
  if (adding) adding.view = view;
  const golden = adding?.follow ? `/teach/${given.name}/golden/${adding.follow}.png` : "";
  if (golden) areas.boxes = areas.boxes.slice(-1);
  const looked = flip ? flip.parts : known.parts[part];
  areas.findings = flip ? flip.findings.filter((one) => one.view === view) : [];
  const pictures = looked?.pictures ?? {};
  const live = part === LIVE && !flip;
  if (golden) areas.show(golden);
  else if (live) areas.live(() => view);
  else areas.show(pictures[view] ?? Object.values(pictures)[0] ?? "");
  areas.draw();
  canvas.hidden = !golden && !live && !looked;
  empty.hidden = !canvas.hidden;
  canvas.setAttribute("aria-label", `${say("picture")} ${live ? say("live") : looked ? `#${looked.number}` : ""}`);
  if (adding) describe();
  else if (numbers.dataset.step !== `${chosen}` || !numbers.contains(document.activeElement)) fields(step);
  more.disabled = !given.edit || !known.parts.length;
  save.disabled = undo.disabled = !given.edit || changes.size === 0;
}

function fields(step) {
  numbers.dataset.step = `${chosen}`;
  const rows = [make("h2", {}, labelled(step.name))];
  if (step.follow) rows.push(make("p", { className: "soft" }, say("follows", labelled(step.follow))));
  for (const area of areasOf(step)) rows.push(place(step, area));
  const tuned = step.fields.filter((one) => !one.roi);
  for (const one of tuned) rows.push(tune(one));
  if (!tuned.length) rows.push(make("p", { className: "soft" }, say("no_numbers")));
  if (given.edit) rows.push(...rest(step));
  if (given.edit) rows.push(button(say("remove"), "delete", "", () => remove(step)));
  numbers.replaceChildren(...rows);
}

function place(step, area) {
  const box = value(area.place, area.box);
  const { title } = area;
  const legend = make("legend", {}, title);
  const set = make("fieldset", { className: "field corners" }, legend);
  set.dataset.changed = changes.has(area.place);
  if (!box) {
    set.append(make("p", { className: "soft" }, say("whole")));
  } else {
    set.append(...corners(title, () => value(area.place, area.box), !given.edit, (next) => {
      set.dataset.changed = true;
      change(area.place, next);
    }));
  }
  if (given.edit && !step.follow && (!box || area.place !== field)) {
    const draw = button(say(box ? "roi" : "draw"), "edit", "", () => {
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
    : make("input", { type: "number", step: "any", value: now ?? "", placeholder: now === null ? "–" : "", disabled: !given.edit });
  input.name = one.name;
  const label = yes ? tick(one.title, input) : fieldOf(one.title, input);
  const mark = () => {
    label.dataset.changed = changes.has(place);
  };
  input.addEventListener(yes ? "change" : "input", () => {
    const to = yes ? input.checked : input.valueAsNumber;
    // An emptied field says nothing, and not what stood in it a key before.
    const none = !yes && !Number.isFinite(to);
    if (none || to === one.value) changes.delete(place);
    else changes.set(place, to);
    mark();
    changed();
  });
  mark();
  return label;
}

// What the text leaves unsaid is asked for when somebody wants to see it.
function rest(step) {
  if (!known.unsaid) {
    return [button(say("unsaid"), "recipe", "", async () => {
      try {
        known.unsaid = await read(`/recipes/${given.name}/unsaid`);
      } catch (failed) {
        note.textContent = because(failed);
        return;
      }
      for (const one of known.unsaid) unsaid.set(JSON.stringify(one.place), one);
      fields(known.steps[chosen]);
    })];
  }
  const mine = known.unsaid.filter((one) => one.place[1] === step.place[1]);
  if (!mine.length) return [make("p", { className: "soft" }, say("unsaid.none"))];
  return [make("h3", {}, say("unsaid.title")), ...mine.map((one) => {
    const made = tune(one);
    if (one.help) made.append(make("small", { className: "soft" }, one.help));
    return made;
  })];
}

function choose(index) {
  chosen = index;
  adding = null;
  const step = known.steps[index];
  if (view !== step.view) flip = null;
  view = step.view;
  field = JSON.stringify(step.place);
  if (!step.roi) field = areasOf(step).find((area) => area.box)?.place ?? field;
  show();
}

function head() {
  const pictures = [...known.parts.map((one, index) => [String(index), `#${one.number} · ${say(one.outcome)}`]), [LIVE, say("live")]];
  bar.replaceChildren(
    choice("recipe", say("recipe"), given.names.map((name) => [name, name]), given.name, (name) => location.assign(`/desk/recipes?recipe=${name}`)),
    choice("picture", say("picture"), known.parts.length ? pictures : [["", say("no_picture")], ...pictures], String(part), (index) => {
      part = index === LIVE ? LIVE : Number(index);
      flip = null;
      show();
    }),
    fieldOf(say("last"), last, "short"), again, undo, save);
}

// --- tools that come and go ---

async function add() {
  flip = null;
  adding = begun(known.steps, areas.sight);
  show();
  try {
    adding.kinds = adding.kinds ?? (await read(`/recipes/${given.name}/kinds`));
  } catch (failed) {
    note.textContent = because(failed);
    adding = null;
  }
  show();
}

function cancel() {
  adding = null;
  numbers.dataset.step = "";
  show();
}

function describe() {
  const sign = `add ${adding.kind} ${Boolean(adding.kinds)}`;
  const held = numbers.contains(document.activeElement) ? document.activeElement.name : null;
  if (held !== null && numbers.dataset.step === sign) return;
  numbers.dataset.step = sign;
  numbers.replaceChildren(...form(adding, { recipe: given.name, add: put, cancel, changed: show }));
  if (held) numbers.querySelector(`[name="${held}"]`)?.focus();
}

async function put() {
  const { kind, tool, model, box, follow } = adding;
  const from = known.parts[part] ?? known.parts[0];
  await rewrite("tools", { kind, tool, model, view, follow, roi: box, part: from.id }, tool);
}

async function remove(step) {
  await rewrite("tools/remove", { tool: step.name }, "");
}

// The draft is another one afterwards, so the page is read anew, with what it does to the parts.
async function rewrite(what, more_, tool) {
  clearTimeout(settling);
  turn += 1; // what the newest parts say of the draft before is of no use any more
  note.textContent = say("making");
  try {
    await act(`/recipes/${given.name}/${what}`, { ...wish(), ...more_ });
    location.assign(`/desk/recipes?recipe=${given.name}&tool=${tool}`);
  } catch (failed) {
    note.textContent = because(failed);
  }
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
      now = await read(`/recipes/${given.name}/retry?turn=${now.turn}`);
    }
  } catch (failed) {
    if (mine === turn) tell({ error: because(failed) });
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
  const made = make("button", { className: "flip", type: "button", title: one.reasons.map(inWords).join("; ") },
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
    note.textContent = because(failed);
    save.disabled = false;
  }
}

async function begin(root) {
  try {
    known = await read(`/recipes/${given.name}`);
  } catch (failed) {
    root.replaceChildren(make("p", { className: "empty" }, because(failed)));
    return;
  }
  known.views = new Set(known.steps.map((one) => one.view)).size;
  head();
  outcome.hidden = true;
  const side = make("section", { className: "side" }, make("h2", { className: "away" }, say("tools")), tools, given.edit ? more : null);
  root.replaceChildren(bar, note, make("div", { className: "work" }, side, make("div", { className: "stage" }, canvas, empty), numbers), outcome);
  const tool = new URLSearchParams(location.search).get("tool");
  choose(Math.max(0, known.steps.findIndex((one) => one.name === tool)));
  if (tool !== null && known.draft) retry();
}

placed(begin);
on("person", () => known && show());
