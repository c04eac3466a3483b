// The strip of the last rejects, or of the last parts: parts enter, thumbnails stand in a row; a
// touch opens one, and from there it can be rejected by hand.

import { act, byId, figure, make, on, put, word } from "./frame.js";
import { asPerson, note, open, said } from "./dialog.js";
import { draw, drawNear } from "./picture.js";
import { inWords, labelled, unit } from "./said.js";

const { views } = JSON.parse(byId("catalogue").textContent).settings;
const KEPT = 8;
const SAMPLE_MS = 700; // A pass in so long is kept: more than that nobody could touch.

const rejects = [];
const parts = [];
let which = "rejects";
let sampled = -Infinity;

// A reject; it is in both rows.
export function remember(part) {
  if (rejects.some((known) => known.part_id === part.part_id)) return;
  keep(rejects, part);
  keep(parts, part);
  paint();
}

// A part that went by.
export function seen(part) {
  if (part.outcome !== "pass" || part.at - sampled < SAMPLE_MS) return;
  sampled = part.at;
  keep(parts, part);
  if (which === "parts") paint();
}

// The page closes a part's pictures when it has shown it; what is kept here is a copy of them.
function keep(row, part) {
  const thumb = make("canvas", { width: 240, height: 200 });
  drawNear(thumb, part, views, true);
  row.unshift({ ...part, thumb, pictures: part.pictures.map(copy) });
  for (const old of row.splice(KEPT)) for (const picture of old.pictures) picture.width = 0;
}

function copy(picture) {
  const kept = make("canvas", { width: picture.width, height: picture.height });
  kept.getContext("2d").drawImage(picture, 0, 0);
  return kept;
}

function paint() {
  const row = which === "rejects" ? rejects : parts;
  const strip = byId("rejects");
  const before = new Map([...strip.querySelectorAll("li[id]")].map((item) => [item.id, item]));
  const items = row.map((part) => before.get(`${which}-${part.part_id}`) ?? item(part));
  strip.replaceChildren(...items);
  if (!items.length) strip.append(make("li", { className: "none" }, word("strip.none")));
}

function item(part) {
  const button = make(
    "button",
    { type: "button" },
    part.thumb,
    make("b", {}, `#${part.number}`),
    why(part),
  );
  button.onclick = () => enlarge(part);
  const made = make("li", { id: `${which}-${part.part_id}`, data: { outcome: part.outcome } }, button);
  return made;
}

function why(part) {
  const text = inWords(part.reasons[0]) || word(part.outcome);
  return make("span", { title: text }, text);
}

function enlarge(part) {
  const picture = make("canvas", { className: "whole", role: "img", ariaLabel: `${word("part")} ${part.number}` });
  const findings = make("ul", { className: "findings" });
  const worst = [...part.findings].sort((a, b) => a.ok - b.ok);
  for (const finding of worst) {
    const value = (finding.value ?? null) === null ? finding.text ?? "" : `${figure(finding.value)} ${unit(finding.unit)}`.trim();
    const state = finding.ok ? word("part.as_it_should") : inWords(finding.reason) || word("reject");
    findings.append(
      make("li", { data: { ok: finding.ok } }, make("b", {}, labelled(finding.label)), make("span", {}, [value, state].filter(Boolean).join(" · "))),
    );
  }
  const line = note();
  const reject = make("button", { type: "button", className: "button danger" }, word("do.reject"));
  if (part.outcome === "reject" || part.outcome === "error") {
    reject.disabled = true;
    put(line, word("part.rejected"));
  }
  const heading = `${word("part")} ${part.number} · ${word(part.outcome)}`;
  open(heading, [make("div", { className: "enlarged" }, picture, findings), line], [reject], "wide");
  requestAnimationFrame(() => draw(picture, part, views));
  reject.onclick = () =>
    asPerson("reject", async () => {
      reject.disabled = true; // Not twice; again where it failed.
      const answer = await act("/line/reject", { stream: part.stream, part: part.number }).catch((failed) => {
        reject.disabled = false;
        throw failed;
      });
      said(line, word(`reject.${answer.gate}`, part.number), answer.gate === "pending" ? "ok" : "warning");
    }, line);
}

for (const button of document.querySelectorAll("[data-strip]")) {
  button.onclick = () => {
    which = button.dataset.strip;
    for (const other of document.querySelectorAll("[data-strip]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    paint();
  };
}
on("language", () => {
  byId("rejects").replaceChildren();
  paint();
});
paint();
