// Facts, figures, alarms and the station's state: a heartbeat enters, and what the desk says.

import { act, button, byId, icon, known, language, make, number, on, put, since, word } from "./frame.js";
import { asPerson, open } from "./dialog.js";
import { inWords, labelled } from "./said.js";

const DASH = "–";

export let status = null;
export let desk = { help: null, target: null, order: "", signed: [], article: null, challenge: null, can: {} };

const watchers = [];

// Called whenever the line or the desk has said something new.
export function watch(watcher) {
  watchers.push(watcher);
}

// Until the heartbeat names `batch`, or `ms` have passed: an answer may come before it.
export function runs(batch, ms = 3000) {
  return new Promise((done) => {
    const look = () => status?.batch === batch && end();
    const end = () => {
      clearTimeout(late);
      if (watchers.includes(look)) watchers.splice(watchers.indexOf(look), 1);
      done();
    };
    const late = setTimeout(end, ms);
    watchers.push(look);
    look();
  });
}

export function showStatus(now) {
  status = now;
  if (!status) return;
  facts();
  figures();
  progress();
  station();
  alarms();
  for (const watcher of [...watchers]) watcher();
}

export function showDesk(now) {
  desk = now;
  if (status) progress();
  help();
  for (const watcher of [...watchers]) watcher();
}

function facts() {
  for (const key of ["product", "batch", "recipe"]) {
    put(key, status[key] || DASH);
    byId(key).title = status[key];
  }
  put("mode", word(`mode.${status.mode}`));
  byId("fact-mode").dataset.mode = status.mode;
}

function figures() {
  const counts = status.counts;
  const judged = counts.passed + counts.rejected + counts.errors;
  put("n-yield", judged ? number((100 * counts.passed) / judged, 1) : DASH);
  put("n-rate", number(status.parts_per_s * 60));
  const long = status.takt_ms >= 10000;
  put("n-takt", status.takt_ms ? number(long ? status.takt_ms / 1000 : status.takt_ms, long ? 1 : 0) : DASH);
  put("takt-unit", long ? "s" : "ms");
  for (const key of ["parts", "rejected", "errors"]) put(`n-${key}`, number(counts[key]));
  for (const figure of document.querySelectorAll(".figure dd")) {
    figure.toggleAttribute("data-long", figure.textContent.length > 6);
  }
}

function progress() {
  const done = status.counts.passed;
  put("n-progress", number(done));
  put("progress-of", desk.target ? word("progress.of", number(desk.target)) : word("progress.none"));
  const bar = byId("progress-bar");
  bar.hidden = !desk.target;
  bar.max = desk.target ?? 1;
  bar.value = Math.min(done, desk.target ?? 0);
}

// The worst first; one word for all of it when all is well.
function station() {
  const bad = status.health.filter((item) => item.state === "fault" || item.state === "warning");
  const worst = bad.find((item) => item.state === "fault") ?? bad[0];
  const state = worst?.state ?? "ok";
  const box = byId("station");
  box.dataset.state = state;
  const use = box.querySelector("use");
  if (use.getAttribute("href") !== `#i-${state}`) use.setAttribute("href", `#i-${state}`);
  put("station-word", worst ? nameOf(worst) : word("station.ok"));
  put("station-more", worst ? [word(`state.${worst.state}`), inWords(worst.detail)].filter(Boolean).join(" · ") : word("health"));
}

function nameOf(item) {
  if (item.kind === "camera") return `${word("health.camera")} ${item.name}`;
  return known(`health.${item.kind}`) ? word(`health.${item.kind}`) : item.name;
}

function stationDialog() {
  const rows = status.health.map((item) =>
    make(
      "li",
      { data: { state: item.state } },
      icon(item.state),
      make("b", {}, nameOf(item)),
      make("span", {}, [word(`state.${item.state}`), inWords(item.detail)].filter(Boolean).join(" · ")),
    ),
  );
  const p99 = number(status.latency_ms.p99, 1);
  const limit = status.deadline_ms ? ` / ${number(status.deadline_ms)}` : "";
  rows.push(make("li", { data: { state: "ok" } }, icon("clock"), make("b", {}, word("latency")), make("span", {}, `${p99}${limit} ms`)));
  open(word("station.details"), [make("ul", { className: "health" }, ...rows)]);
}

// --- alarms ---

function sorted() {
  return [...status.alarms].sort((a, b) => a.acknowledged - b.acknowledged || b.stops - a.stops);
}

function what(alarm) {
  const code = known(`alarm.${alarm.code}`) ? alarm.code : "other";
  // what a line waits for is a list of names, why it is by-passed is what somebody wrote
  const needs = alarm.code === "unsigned" ? (alarm.detail ?? "").split(" ").filter(Boolean) : [];
  const said = alarm.code === "bypass" ? alarm.detail : labelled(alarm.detail);
  const detail = needs.length ? new Intl.ListFormat(language).format(needs.map(labelled)) : said;
  return { name: word(`alarm.${code}`) + (detail ? ` (${detail})` : ""), mend: word(`mend.${code}`) };
}

function alarms() {
  const [first, ...rest] = sorted();
  const bar = byId("alarm");
  bar.hidden = !first;
  if (!first) return;
  const { name, mend } = what(first);
  bar.dataset.seen = String(first.acknowledged);
  bar.dataset.code = first.code;
  put("alarm-what", name);
  byId("alarm-what").title = name;
  put("alarm-do", mend);
  const by = first.acknowledged ? word("alarm.by", first.acknowledged_by || DASH) : "";
  put("alarm-more", [by, rest.length ? word("alarm.more", rest.length) : ""].filter(Boolean).join(" · "));
  byId("alarm-acknowledge").hidden = first.acknowledged;
}

function acknowledge(code) {
  return asPerson("acknowledge_alarm", () => act("/line/acknowledge", code ? { code } : {}));
}

function alarmsDialog() {
  const list = make("ul", { className: "alarms" });
  const fill = () => {
    const rows = sorted().map((alarm) => {
      const { name, mend } = what(alarm);
      const from = alarm.since_utc_ns ? word("alarm.since", since(alarm.since_utc_ns / 1e6, true)) : "";
      const by = alarm.acknowledged ? word("alarm.by", alarm.acknowledged_by || DASH) : "";
      const text = make("div", {}, make("b", {}, name), make("p", {}, mend), make("span", {}, [from, by].filter(Boolean).join(" · ")));
      const seen = alarm.acknowledged ? null : button(word("do.acknowledge"), "ok", "", () => acknowledge(alarm.code).then(() => setTimeout(fill, 400)));
      return make("li", { data: { stops: alarm.stops } }, icon(alarm.stops ? "fault" : "warning"), text, seen);
    });
    list.replaceChildren(...(rows.length ? rows : [make("li", { className: "none" }, word("alarms.none"))]));
  };
  fill();
  const all = button(word("do.acknowledge_all"), "ok", "main", () => acknowledge(null).then(() => setTimeout(fill, 400)));
  open(word("alarms"), [list], [all], "wide");
}

// --- help ---

function help() {
  const bar = byId("help-bar");
  bar.hidden = !desk.help;
  if (!desk.help) return;
  put("help-what", word("help.called", desk.help.by, since(desk.help.at_ms)));
  const key = `help.${desk.help.reason}`;
  put("help-why", known(key) ? word(key) : desk.help.reason);
}

byId("station").onclick = () => status && stationDialog();
// Of a double touch the second would be of the next alarm, which nobody has read.
byId("alarm-acknowledge").onclick = ({ detail }) => detail > 1 || acknowledge(sorted()[0]?.code);
byId("alarm-all").onclick = () => status && alarmsDialog();
byId("help-come").onclick = () => asPerson("call_help", () => act("/help/come"));
on("language", help);
