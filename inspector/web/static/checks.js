// Checks in guided steps: line clearance, first article, challenge. What the line awaits comes first.

import { act, button, icon, make, on, put, word } from "./frame.js";
import { asPerson, note, open, said, sends, signature } from "./dialog.js";
import { inWords } from "./said.js";
import { desk, status, watch } from "./status.js";

const CLEARANCE = 4; // Lines of the list; the words are `clearance.0` …

let shown = null; // The steps of the first article on the screen, so that they follow the line.

export function checks() {
  const needs = (status?.needs ?? []).filter((kind) => !desk.signed.includes(kind));
  if (needs.includes("line_clearance")) clearance();
  else if (needs.includes("first_article")) article();
  else overview();
}

function overview() {
  const list = make("div", { className: "choices" });
  const line = note();
  if (desk.can?.challenge) {
    list.append(button(word("checks.challenge"), "checks", desk.challenge?.due ? "main" : "", () => {
      sheet.close();
      challenge();
    }));
  }
  if (desk.article) list.append(button(word("checks.article"), "checks", "", () => {
    sheet.close();
    article();
  }));
  if (!list.childElementCount) said(line, word(desk.can?.article || desk.can?.challenge ? "checks.none" : "checks.off"), "ok");
  const sheet = open(word("do.checks"), [list, line]);
}

function clearance() {
  const line = note();
  const boxes = [];
  const list = make("ul", { className: "ticks" });
  for (let index = 0; index < CLEARANCE; index++) {
    const box = make("input", { type: "checkbox", required: true });
    boxes.push(box);
    list.append(make("li", {}, make("label", { className: "field check" }, box, make("span", {}, word(`clearance.${index}`)))));
  }
  const signed = signature("line clear");
  const form = make("form", {}, list, signed.box);
  const send = button(word("sign.do"), "sign", "main", () => {
    if (!form.reportValidity()) return null;
    return asPerson("release_line", async () => {
      try {
        const checked = boxes.flatMap((box, index) => (box.checked ? [index] : []));
        await act("/steps/clearance", { checked, signature: signed.given() });
        sheet.close();
        if (status?.needs?.includes("first_article")) article();
      } finally {
        signed.wipe();
      }
    }, line);
  });
  sends(form, send);
  const sheet = open(`${word("checks.clearance")} · ${status?.batch ?? ""}`, [make("p", {}, word("clearance.more")), form, line], [send]);
}

function article() {
  const line = note();
  const list = make("ol", { className: "steps" });
  const state = make("p", { className: "state" });
  const signed = signature("first article approved");
  const form = make("form", {}, signed.box);
  const send = button(word("sign.do"), "sign", "main", () =>
    asPerson("release_line", async () => {
      if (!form.reportValidity()) return;
      try {
        await act("/steps/article", { signature: signed.given() });
        said(line, word("checks.signed"), "ok");
        setTimeout(sheet.close, 900);
      } finally {
        signed.wipe();
      }
    }, line),
  );
  sends(form, send);
  const sheet = open(`${word("checks.article")} · ${status?.batch ?? ""}`, [make("p", {}, word("article.more")), state, list, form, line], [send], "wide");
  // The list may be longer than the screen, and nothing in it takes the focus: keys scroll it so.
  sheet.body.tabIndex = 0;
  const follow = () => {
    const found = desk.article;
    const passed = Boolean(found?.passed);
    form.hidden = send.hidden = !passed;
    sheet.dialog.querySelector("footer").hidden = !passed;
    if (!found) return;
    const failed = found.failed && !passed;
    put(state, passed ? word("article.passed") : failed ? word("article.failed", inWords(found.failed)) : word("article.attempt", found.attempt));
    state.dataset.state = passed ? "ok" : failed ? "fault" : "waiting";
    const drawn = JSON.stringify([document.documentElement.lang, found.steps]);
    if (list.drawn === drawn) return;
    list.drawn = drawn;
    list.replaceChildren(...found.steps.map(step));
  };
  shown = follow;
  sheet.dialog.addEventListener("close", () => {
    shown = null;
  });
  follow();
}

function step({ name, state, detail }) {
  const [kind, which] = name.split(": ");
  const text = kind === "seeded" ? word("step.seeded", inWords(which)) : word(`step.${kind}`);
  const sign = { ok: "ok", failed: "fault", waiting: "waiting", none: "absent" }[state] ?? "waiting";
  return make(
    "li",
    { data: { state } },
    icon(sign),
    make("b", {}, text),
    make("span", {}, [word(`step.${state}`), inWords(detail)].filter(Boolean).join(" · ")),
  );
}

function challenge() {
  const line = note();
  const send = button(word("challenge.start"), "checks", "main", () =>
    asPerson("challenge", async () => {
      const window = await act("/steps/challenge");
      said(line, word("challenge.parts", window.first, window.last), "ok");
      send.disabled = true;
    }, line),
  );
  open(word("checks.challenge"), [make("p", {}, word("challenge.more")), line], [send]);
}

watch(() => shown?.());
on("language", () => shown?.());
