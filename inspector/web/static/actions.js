// What the operator does: one button each, one dialog each. Nothing happens without a person.

import { act, ask, button, byId, does, icon, leave, make, number, person, put, read, word } from "./frame.js";
import { asPerson, note, open, said, sends, signIn, signature } from "./dialog.js";
import { because } from "./said.js";
import { desk, runs, status, watch } from "./status.js";
import { checks } from "./checks.js";

const SCAN_MS = 80; // A key of a scanner, on the average; fingers are slower.
const PAUSE_MS = 400; // Between two codes.
const HELP = ["quality", "maintenance", "engineer", "material", "supervisor"];

// --- pause, resume ---

function pause() {
  const going = !status?.paused;
  const name = going ? "pause" : "resume";
  const line = note();
  const send = button(word(`do.${name}`), name, going ? "danger" : "main", () =>
    asPerson(name, async () => {
      await act(`/line/${name}`);
      sheet.close();
    }, line),
  );
  const sheet = open(word(`${name}.ask`), [make("p", {}, word(`${name}.more`)), line], [send], "narrow");
}

// --- batches and change-over ---

function field(name, text, properties = {}) {
  const input = make("input", { name, type: "text", maxLength: 64, spellcheck: false, autocomplete: "off", ...properties });
  return { input, box: make("label", { className: "field" }, make("span", {}, text), input) };
}

// What the station answers; where it does not, `line` says why.
function asked(path, line) {
  return read(path).catch((failed) => {
    said(line, because(failed), "fault");
    return {};
  });
}

// What is printed on the parts: all that the order says, its lot and date as they stand in the fields.
function printed(order, lot, date) {
  const texts = { ...order?.texts, lot: lot.input.value, date: date.input.value };
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text));
}

async function startBatch() {
  if (!person.may?.includes("start_batch") && !(await signIn("start_batch"))) return;
  const line = note();
  const id = field("id", word("batch.id"), { required: true });
  const product = field("product", word("batch.product"));
  const target = field("target", word("batch.target"), { type: "number", min: 1, inputMode: "numeric" });
  const lot = field("lot", word("batch.lot"));
  const date = field("date", word("batch.date"));
  const recipe = make("select", {}, make("option", { value: "" }, word("batch.keep")));
  const chosen = make("label", { className: "field" }, make("span", {}, word("batch.recipe")), recipe);
  const planned = make("div", { className: "tiles orders" });
  const form = make("form", { className: "grid" }, id.box, product.box, chosen, target.box, lot.box, date.box);
  let order = null;
  const fill = (one) => {
    order = one;
    id.input.value = one.id;
    product.input.value = one.product;
    target.input.value = one.target ?? "";
    lot.input.value = one.texts.lot ?? "";
    date.input.value = one.texts.date ?? "";
    recipe.value = one.recipe;
    if (recipe.value === one.recipe) return;
    // Not loaded here: the line says so. What runs now would judge this order's parts by another's.
    recipe.append(make("option", { value: one.recipe, selected: true }, one.recipe));
  };
  const send = button(word("do.start"), "start", "main", () => {
    if (!form.reportValidity()) return null;
    return asPerson("start_batch", async () => {
      send.disabled = true;
      try {
        await act("/batches/start", {
          id: id.input.value.trim(), product: product.input.value, recipe: recipe.value, texts: printed(order, lot, date),
          order: order?.order ?? "", target: target.input.value ? Number(target.input.value) : null,
        });
        sheet.close();
      } finally {
        send.disabled = false;
      }
    }, line);
  });
  const end = button(word("do.end"), "stopped", "", () => {
    sheet.close();
    endBatch();
  });
  sends(form, send);
  const sheet = open(word("do.start"), [make("h3", {}, word("batch.planned")), planned, form, line], [end, send], "wide");
  const [known, plans] = await Promise.all([asked("/recipes", line), asked("/orders", line)]);
  recipe.append(...(known.recipes ?? []).map((one) => make("option", { value: one.name }, one.name)));
  planned.append(...orderTiles(plans.orders ?? [], fill));
}

function orderTiles(orders, choose) {
  if (!orders.length) return [make("p", { className: "none" }, word("batch.none"))];
  return orders.map((one) => {
    const tile = make(
      "button",
      { type: "button", className: "button tile" },
      make("b", {}, one.order || one.id),
      ...[one.product, one.recipe, one.target ? number(one.target) : ""].filter(Boolean).map((text) => make("span", {}, text)),
    );
    tile.onclick = () => choose(one);
    return tile;
  });
}

function endBatch() {
  const line = note();
  const send = button(word("do.end"), "stopped", "danger", () =>
    asPerson("end_batch", async () => {
      await act("/batches/end");
      sheet.close();
    }, line),
  );
  const sheet = open(word("batch.end_ask", status?.batch ?? ""), [make("p", {}, word("batch.end_more")), line], [send], "narrow");
}

async function change(code = "") {
  if (!person.may?.includes("change_over") && !(await signIn("change_over"))) return;
  const line = note();
  const scan = field("code", word("change.code"), { value: code });
  const pictures = make("div", { className: "tiles recipes" });
  const look = async () => {
    const wanted = scan.input.value.trim();
    if (!wanted) return;
    const { orders } = await asked(`/orders?code=${encodeURIComponent(wanted)}`, line);
    const [found] = orders ?? [];
    if (found) ready(found);
    else if (orders) said(line, word("change.unknown", wanted), "warning");
  };
  const form = make("form", { className: "scan" }, icon("scan"), scan.box);
  form.onsubmit = (event) => {
    event.preventDefault();
    look();
  };
  const ready = (order) => {
    sheet.close();
    sure(order);
  };
  const sheet = open(word("do.change"), [make("p", {}, word("change.scan")), form, line, pictures], [], "wide");
  scan.input.focus();
  if (code) look();
  const { recipes } = await asked("/recipes", line);
  const running = status?.recipe.split("@")[0];
  pictures.append(
    ...(recipes ?? []).map((one) => {
      const picture = one.picture ? make("img", { src: one.picture, alt: "" }) : make("i", {}, icon("recipe"));
      const now = one.name === running ? make("span", {}, word("change.now")) : null;
      const tile = make("button", { type: "button", className: "button tile" }, picture, make("b", {}, one.name), now);
      tile.onclick = () => ready({ id: "", product: "", recipe: one.name, texts: {}, order: "", target: null });
      return tile;
    }),
  );
}

// A change-over from a picture still needs the name of what is made; an order brings it.
function sure(order) {
  const line = note();
  const id = field("id", word("batch.id"), { required: true, value: order.id, readOnly: Boolean(order.id) });
  const product = field("product", word("batch.product"), { value: order.product });
  const lot = field("lot", word("batch.lot"), { value: order.texts.lot ?? "" });
  const date = field("date", word("batch.date"), { value: order.texts.date ?? "" });
  const form = make("form", { className: "grid" }, id.box, product.box, lot.box, date.box);
  const send = button(word("do.change"), "change", "main", () => {
    if (!form.reportValidity()) return null;
    return asPerson("change_over", async () => {
      const batch = id.input.value.trim();
      send.disabled = true;
      try {
        await act("/batches/change", { ...order, id: batch, product: product.input.value, texts: printed(order, lot, date) });
        await runs(batch);
      } finally {
        send.disabled = false;
      }
      if (!sheet.dialog.open) return; // Shut meanwhile: nothing comes between the person and what is done now.
      sheet.close();
      if (status?.needs?.length) checks();
    }, line);
  });
  sends(form, send);
  const sheet = open(word("change.to", order.recipe), [form, line], [send]);
}

// --- modes ---

function mode() {
  const line = note();
  const list = make("div", { className: "choices" });
  for (const one of ["auto", "setup", "cleaning"]) {
    const made = button(word(`mode.${one}`), { auto: "ok", setup: "recipe", cleaning: "waiting" }[one], "", () =>
      asPerson("set_mode", async () => {
        await act("/line/mode", { mode: one });
        sheet.close();
      }, line),
    );
    made.setAttribute("aria-pressed", String(status?.mode === one));
    made.append(make("small", {}, word(`mode.${one}.more`)));
    list.append(made);
  }
  const by = button(word("mode.bypass"), "not_inspected", "", () => {
    sheet.close();
    bypass();
  });
  by.append(make("small", {}, word("mode.bypass.more")));
  list.append(by);
  const sheet = open(word("mode.now", word(`mode.${status?.mode ?? "auto"}`)), [list, line]);
}

async function bypass() {
  if (!person.may?.includes("bypass") && !(await signIn("bypass"))) return;
  const line = note();
  const reason = field("reason", word("bypass.reason"), { required: true, minLength: 3, maxLength: 500 });
  const minutes = field("minutes", word("bypass.minutes"), { type: "number", min: 1, max: 480, required: true, value: "30" });
  const signed = signature("by-pass ordered");
  const form = make("form", { className: "grid" }, reason.box, minutes.box, signed.box);
  const send = button(word("do.bypass"), "not_inspected", "danger", () => {
    if (!form.reportValidity()) return null;
    return asPerson("bypass", async () => {
      try {
        await act("/line/bypass", { reason: reason.input.value, minutes: Number(minutes.input.value), signature: signed.given() });
        sheet.close();
      } finally {
        signed.wipe();
      }
    }, line);
  });
  sends(form, send);
  const sheet = open(word("mode.bypass"), [form, line], [send]);
}

// --- help ---

function help() {
  const line = note();
  const list = make("div", { className: "choices" });
  for (const reason of HELP) {
    list.append(
      button(word(`help.${reason}`), "help", "", () =>
        asPerson("call_help", async () => {
          await act("/help", { reason });
          sheet.close();
        }, line),
      ),
    );
  }
  const sheet = open(word("do.help"), [make("p", {}, word("help.more")), list, line]);
}

// --- the person ---

async function who() {
  if (!person.user) {
    await ask();
    if (!person.user) await signIn("view");
    return;
  }
  const roles = person.roles.map((role) => word(`role.${role}`)).join(", ");
  const out = button(word("sign_out"), "leave", "main", leave);
  open(person.user, [make("p", {}, roles)], [out], "narrow");
}

// --- the buttons, and the scanner ---

const DOES = { pause, start: () => startBatch(), change: () => change(), mode, checks, help };
for (const [name, how] of Object.entries(DOES)) byId(`do-${name}`).onclick = () => how();
does("person", who);

watch(() => {
  const going = !status?.paused;
  const use = byId("do-pause").querySelector("use");
  const sign = going ? "#i-pause" : "#i-resume";
  if (use.getAttribute("href") !== sign) use.setAttribute("href", sign);
  put(byId("do-pause").querySelector("span"), word(going ? "do.pause" : "do.resume"));
  const due = Boolean(status?.needs?.length) || Boolean(desk.challenge?.due);
  byId("do-checks").toggleAttribute("data-due", due);
});

// A scanner types the code as fast as no person does, and ends it with Enter.
let typed = "";
let began = 0;
let newest = 0;
document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.altKey) return;
  const at = event.timeStamp;
  if (at - newest > PAUSE_MS) typed = "";
  if (!typed) began = at;
  newest = at;
  if (event.key === "Enter") {
    if (typed.length >= 3 && (at - began) / typed.length < SCAN_MS) {
      event.preventDefault();
      change(typed);
    }
    typed = "";
  } else if (event.key.length === 1) typed += event.key;
});
