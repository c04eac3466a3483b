// Teaching from the last good parts: which parts and where on them, how far it is, and what came
// out: every part's score, heat maps of those most unlike the others, a draft.

import { choice, field, placed, say, tick } from "./desk.js";
import { act, button, given, icon, make, number, read } from "./frame.js";
import { Areas, LIVE, corners } from "./roi.js";
import { because } from "./said.js";

const LOOK_MS = 400;
const LIMIT = 0.5;
const BINS = 40;

let known = null;
let result = null;
let view = "";
let roi = null;
let lead = ""; // the align step that turns each part back first
let part = 0; // of the kept ones; LIVE is the line's
let tool = "";
let heat = true;
let out = new Set(); // parts that are no good ones, by id

function input(key, value, more) {
  const made = make("input", { type: "number", name: key, value, ...more });
  return [field(say(key), made, "short"), made];
}

const note = make("p", { className: "note bad", role: "alert" });
const canvas = make("canvas", { className: "areas", role: "img" });
const areas = new Areas(canvas, (box) => {
  if (box) roi = box;
  show();
});
const empty = make("p", { className: "empty" }, say("no_picture"));
const place = make("fieldset", { className: "field corners" });
const progress = make("div", { className: "progress", role: "status" });
const outcome = make("section", { className: "outcome card" });
const [lastField, last] = input("last", 50, { min: 8, max: 200, step: 1 });
const thorough = make("input", { type: "checkbox", name: "thorough" });
const thoroughField = tick(say("thorough"), thorough);
const [shareField, share] = input("share", 1, { min: 0.1, max: 20, step: 0.1 });
const product = make("select", { name: "product" });
const teach = button(say("begin"), "teach", "main", () => begin());
const stop = button(say("stop"), "close", "", () => act(`/teach/${given.name}/stop`).catch(tell));

function tell(failed) {
  note.textContent = because(failed);
}

// --- what is asked for ---

function show() {
  const looked = known.parts[part];
  areas.boxes = [{ name: say("area"), box: roi, chosen: true, fixed: false }];
  const leader = known.leaders.find((one) => one.name === lead);
  if (leader) areas.show(leader.golden);
  else if (part === LIVE) areas.live(() => view);
  else areas.show(looked?.pictures[view] ?? Object.values(looked?.pictures ?? {})[0] ?? "");
  areas.draw();
  canvas.hidden = !leader && part !== LIVE && !looked;
  empty.hidden = !canvas.hidden;
  canvas.setAttribute("aria-label", leader ? say("golden", lead) : `${say("picture")} ${part === LIVE ? say("live") : looked ? `#${looked.number}` : ""}`);
  if (place.contains(document.activeElement)) return;
  const whole = button(say("whole"), "fit", "", () => {
    roi = null;
    show();
  });
  whole.disabled = !roi;
  const title = make("legend", {}, say("area"));
  const said = roi ? corners(say("area"), () => roi, false, (box) => {
    roi = box;
    show();
  }) : [make("p", { className: "soft" }, say("draw"))];
  place.replaceChildren(title, ...said, whole);
}

function head() {
  const pictures = [...known.parts.map((one, index) => [String(index), `#${one.number} · ${say(one.outcome)}`]), [LIVE, say("live")]];
  product.replaceChildren(make("option", { value: "" }, say("every")), ...known.products.map((one) => make("option", { value: one }, one)));
  return make("div", { className: "bar" },
    choice("recipe", say("recipe"), given.names.map((name) => [name, name]), given.name, (name) => location.assign(`/desk/teach?recipe=${name}`)),
    known.views.length > 1 ? choice("view", say("view"), known.views.map((name) => [name, name]), view, (name) => {
      view = name;
      show();
    }) : null,
    choice("picture", say("picture"), known.parts.length ? pictures : [["", say("none")], ...pictures], String(part), (index) => {
      part = index === LIVE ? LIVE : Number(index);
      show();
    }),
    field(say("product"), product),
    lastField, shareField, teach);
}

async function begin() {
  note.textContent = "";
  const wish = {
    view, roi, last: Number(last.value), product: product.value, false_reject: Number(share.value) / 100, follow: lead,
    thorough: thorough.checked, without: [...out],
  };
  await alone(async () => {
    await act(`/teach/${given.name}`, wish);
    await follow();
  });
}

// One at a time: a glove touches twice, and the second would be told to wait for the first.
async function alone(what) {
  if (teach.disabled) return;
  teach.disabled = true;
  try {
    await what();
  } catch (failed) {
    tell(failed);
  }
  teach.disabled = false;
}

// A part that stands anyhow is turned back first: then the area is on the picture of that step.
function leaders() {
  const options = [["", say("follow.none")], ...known.leaders.map((one) => [one.name, one.name])];
  const more = make("p", { className: "soft" });
  const explain = () => {
    more.textContent = say(lead ? "follow.more" : "follow.still");
  };
  explain();
  const chosen = choice("follow", say("follow"), options, lead, (name) => {
    [lead, roi] = [name, null];
    view = known.leaders.find((one) => one.name === name)?.view ?? view;
    explain();
    show();
  });
  return make("div", { className: "field" }, chosen, more);
}

// --- how far it is ---

async function follow() {
  outcome.hidden = true;
  progress.hidden = false;
  let now = { running: true };
  while (now.running) {
    now = await read(`/teach/${given.name}/now`);
    const what = now.what ? say(`step.${now.what.replaceAll(" ", "_").replaceAll("-", "_")}`) : say("starting");
    const bar = make("progress", { max: Math.max(1, now.total ?? 1), value: now.done ?? 0, ariaLabel: say("progress") });
    progress.replaceChildren(make("p", {}, now.total ? say("of", what, number(now.done), number(now.total)) : what), bar, stop);
    if (now.running) await new Promise((done) => setTimeout(done, LOOK_MS));
  }
  progress.hidden = true;
  note.textContent = now.error;
  result = now.result ?? null;
  judge();
  if (result) outcome.scrollIntoView({ block: "start" });
}

// --- what came out ---

function judge() {
  outcome.hidden = !result;
  if (!result) return;
  const { false_reject: wrong, good, selfmade, thorough: network } = result.report;
  const percent = (value) => `${number(100 * value, 1)} %`;
  const name = make("input", { type: "text", name: "tool", value: tool, pattern: "[a-z][a-z0-9_\\-]*", required: true });
  name.setAttribute("list", "taught");
  name.addEventListener("change", () => {
    tool = name.value;
  });
  const facts = [
    [say("rejected"), say("rejected.of", number(wrong.seen), number(wrong.of))],
    [say("interval"), say("interval.from", percent(wrong.interval95[0]), percent(wrong.interval95[1]))],
    [say("wanted"), percent(wrong.wanted)],
    [say("selfmade"), say("selfmade.of", number(selfmade.found), number(selfmade.of), number(selfmade.auroc, 3))],
    ...(network ? [[say("network"), say(`network.${network.kept}`)]] : []),
  ];
  outcome.replaceChildren(
    make("div", { className: "counts" },
      make("h2", {}, say("taught", number(good))),
      make("dl", { className: "facts" }, ...facts.map(([key, value]) => make("div", {}, make("dt", {}, key), make("dd", {}, value)))),
      field(say("tool"), name),
      make("datalist", { id: "taught" }, ...known.taught.map((one) => make("option", { value: one.name }))),
      button(say("keep"), "ok", "main", () => keep(name)),
      make("p", { className: "soft" }, say("keep.more"))),
    make("div", {}, make("h2", {}, say("scores")), histogram(), gallery()));
}

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
}

// Good parts stand on the axis, self-made defects hang from it: two kinds, told without colour.
function histogram() {
  const [width, middle, tall, left] = [720, 96, 76, 8];
  const counts = (scores) => scores.reduce((all, score) => {
    all[Math.min(BINS - 1, Math.max(0, Math.floor(score * BINS)))] += 1;
    return all;
  }, new Array(BINS).fill(0));
  const [good, made] = [counts(result.parts.map((one) => one.score)), counts(result.selfmade)];
  const step = (width - 2 * left) / BINS;
  const picture = draw("svg", { viewBox: `0 0 ${width} 200`, class: "histogram", role: "img", "aria-label": say("scores.more") });
  const bars = (values, look, up) => values.forEach((many, bin) => {
    const high = (many / Math.max(1, ...values)) * tall;
    if (many) picture.append(draw("rect", { class: look, x: left + bin * step + 1, y: up ? middle - high : middle, width: step - 2, height: high }));
  });
  bars(good, "good", true);
  bars(made, "made", false);
  picture.append(draw("path", { class: "axis", d: `M${left} ${middle}H${width - left}` }));
  const limit = left + LIMIT * (width - 2 * left);
  picture.append(draw("path", { class: "limit", d: `M${limit} 12V184` }));
  picture.append(draw("text", { x: left, y: 14 }, say("scores.good", number(result.parts.length))));
  picture.append(draw("text", { x: left, y: 194 }, say("scores.made", number(result.selfmade.length))));
  picture.append(draw("text", { x: limit + 6, y: 14 }, say("limit")));
  return picture;
}

function gallery() {
  const toggle = button(say("heat"), "heat", "", () => {
    heat = !heat;
    judge();
  });
  toggle.setAttribute("aria-pressed", String(heat));
  const again = button(say("again", number(out.size)), "teach", "", () => begin());
  const cells = result.parts.slice(0, result.shown).map(cell);
  return make("div", {},
    make("header", {}, make("h2", {}, say("unlike")), toggle, out.size ? again : null),
    make("p", { className: "soft" }, say("unlike.more")),
    make("div", { className: "held" }, ...cells));
}

function cell(one, index) {
  const bad = one.score >= LIMIT;
  const source = (layer) => `/teach/${given.name}/picture/${index}.${layer}?${result.bank.slice(0, 12)}`;
  const said = say("part", one.number, number(one.score, 2));
  const leave = button(say("leave"), "close", "", () => {
    if (!out.delete(one.id)) out.add(one.id);
    judge();
  });
  leave.setAttribute("aria-pressed", String(out.has(one.id)));
  leave.setAttribute("aria-label", `${say("leave")} #${one.number}`);
  const layers = [make("img", { src: source("jpg"), alt: said, loading: "lazy" })];
  if (heat) layers.push(make("img", { src: source("png"), alt: "", className: "heat", loading: "lazy" }));
  const made = make("figure", {}, make("div", { className: "layers" }, ...layers),
    make("figcaption", {}, icon(bad ? "reject" : "pass"), make("span", {}, said)), leave);
  made.dataset.bad = bad;
  return made;
}

async function keep(name) {
  if (!name.reportValidity()) return;
  tool = name.value;
  note.textContent = "";
  try {
    await act(`/teach/${given.name}/draft`, { tool, bank: result.bank });
    location.assign(`/desk/recipes?recipe=${given.name}&tool=${tool}`);
  } catch (failed) {
    tell(failed);
  }
}

async function start(root) {
  try {
    known = await read(`/teach/${given.name}`);
  } catch (failed) {
    root.replaceChildren(make("p", { className: "empty" }, because(failed)));
    return;
  }
  result = known.result;
  const before = result?.asked;
  view = known.views.includes(before?.view) ? before.view : known.views[0];
  const taught = known.taught[0];
  const led = (name) => (known.leaders.some((one) => one.name === name) ? name : "");
  lead = led(before ? before.follow : taught?.follow);
  roi = before ? before.roi : (taught?.roi ?? null);
  thorough.checked = Boolean(known.thorough && before?.thorough);
  thorough.disabled = !known.thorough;
  tool = taught?.name ?? "surface";
  if (before) [last.value, share.value] = [before.last, 100 * before.false_reject];
  if (!known.parts.length) part = LIVE;
  const side = make("section", { className: "numbers" }, make("h2", {}, say("what")), make("p", { className: "soft" }, say("what.more")), leaders(), place,
    thoroughField, make("p", { className: "soft" }, say(known.thorough ? "thorough.more" : "thorough.none")), progress);
  root.replaceChildren(head(), note, make("div", { className: "work" }, make("div", { className: "stage" }, canvas, empty), side), outcome);
  if (before?.product) product.value = before.product;
  progress.hidden = true;
  show();
  judge();
  if (known.now.running) alone(follow);
}

placed(start);
