// The live page: display messages enter by WebSocket, one screen leaves; `picture.js` draws.
//
// One message holds a part's picture, overlay and verdict; `show` puts all of them on the screen
// in one go, so that a verdict never stands over another part's picture. A message, little-endian:
// 2 bytes topic, u8 version, u8 pictures, u32 bytes of JSON, u64 part, i64 monotonic ns; JSON; JPEGs.

import { byId, known, number, on, put, word } from "./frame.js";
import { draw, drawThumb } from "./picture.js";

const { settings } = JSON.parse(byId("catalogue").textContent);

const REJECT_HELD_MS = 2000;
const PASS_HELD_MS = 500; // Twice a second: a person follows it, and nothing flashes (WCAG 2.3.1).
const WAITING_MS = 3000;
const RECONNECT_MS = 400;
const SILENT_MS = 3000;
const STRIP = 8;
const HEADER = 24;
const DASH = "–";

let socket = null;
let opened = 0; // When the page began to wait for a heartbeat.
let heard = 0; // When the last message came.
let fresh = 0; // When the newest heartbeat was sent, on the page's clock.
let offset = null; // The page's clock less the line's, the least seen: transport delay left out.
let offsetAt = 0;
let status = null;
let shown = null; // The part on the screen.
let nextReject = null;
let nextPass = null;
let drawing = null;
let decoding = Promise.resolve();

// --- the wire ---

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const mine = new WebSocket(`${scheme}://${location.host}/ws/live`);
  socket = mine;
  mine.binaryType = "arraybuffer";
  heard = performance.now();
  offset = null; // A restarted machine's clock starts again from zero.
  mine.onmessage = (event) => {
    if (mine === socket) take(event.data, mine);
  };
  mine.onclose = () => {
    if (mine === socket) retry();
  };
}

function retry() {
  socket = null;
  fresh = 0;
  setTimeout(connect, RECONNECT_MS);
}

function take(data, from) {
  const now = performance.now();
  heard = now;
  const view = new DataView(data);
  if (view.getUint8(2) !== 1) return;
  const topic = String.fromCharCode(view.getUint8(0), view.getUint8(1));
  const end = HEADER + view.getUint32(4, true);
  const body = JSON.parse(new TextDecoder().decode(new Uint8Array(data, HEADER, end - HEADER)));
  if (topic === "ST") {
    heartbeat(body, Number(view.getBigInt64(16, true)) / 1e6, now);
  } else {
    const part = { ...body, number: Number(view.getBigUint64(8, true)), pictures: [], at: now };
    decoding = decoding.then(() => decode(part, topic, data, end, from)).catch(console.error);
  }
}

// One after the other: small pictures must not overtake large ones.
async function decode(part, topic, data, start, from) {
  try {
    for (const view of part.views) {
      const jpeg = new Blob([new Uint8Array(data, start, view.bytes)], { type: "image/jpeg" });
      part.pictures.push(await createImageBitmap(jpeg));
      start += view.bytes;
    }
    arrive(part, topic);
  } finally {
    if (from.readyState === WebSocket.OPEN) from.send("drawn");
  }
}

function heartbeat(body, sentMs, now) {
  const sample = now - sentMs;
  // Crystals drift apart by up to 100 ppm; what is above the least offset is the message's age.
  offset = offset === null ? sample : Math.min(sample, offset + (now - offsetAt) * 1e-4);
  offsetAt = now;
  fresh = Math.max(fresh, sentMs + offset);
  status = body;
  render();
}

// --- parts ---

function discard(part) {
  for (const picture of part?.pictures ?? []) picture.close();
}

function arrive(part, topic) {
  if (topic === "VH") {
    if (!byId(`reject-${part.part_id}`)) remember(part);
    discard(part);
    return;
  }
  if (part.outcome === "pass") {
    discard(nextPass);
    nextPass = part;
  } else {
    remember(part);
    discard(nextReject);
    nextReject = part;
  }
  advance();
}

// A reject interrupts a pass, and is then held; what came meanwhile is in the counts and the strip.
function advance() {
  const now = performance.now();
  const held = shown ? shown.until - now : 0;
  if (nextReject && (held <= 0 || shown.outcome === "pass")) {
    discard(nextPass);
    nextPass = null;
    const part = nextReject;
    nextReject = null;
    show(part, now + REJECT_HELD_MS);
  } else if (nextPass && held <= 0) {
    const part = nextPass;
    nextPass = null;
    show(part, now + PASS_HELD_MS);
  }
}

function show(part, until) {
  if (link() === "lost") {
    discard(part);
    return;
  }
  discard(shown);
  shown = part;
  shown.until = until;
  draw(byId("picture"), shown);
  render();
}

function blank() {
  for (const part of [shown, nextReject, nextPass]) discard(part);
  shown = nextReject = nextPass = null;
  draw(byId("picture"), shown);
}

function remember(part) {
  const item = document.createElement("li");
  item.id = `reject-${part.part_id}`;
  item.dataset.outcome = part.outcome;
  const thumb = document.createElement("canvas");
  thumb.width = 240;
  thumb.height = 200;
  drawThumb(thumb, part);
  const name = document.createElement("b");
  name.textContent = `#${part.number}`;
  const why = document.createElement("span");
  why.textContent = why.title = part.reasons[0] ?? "";
  item.append(thumb, name, why);
  const strip = byId("rejects");
  strip.prepend(item);
  byId("no-rejects").hidden = true;
  for (const old of [...strip.querySelectorAll("li[id^=reject-]")].slice(STRIP)) old.remove();
}

// --- the screen ---

function link() {
  const now = performance.now();
  if (fresh && now - fresh <= settings.freshMs) return "live";
  return fresh || status || now - opened > 1500 ? "lost" : "connecting";
}

function outcome(now) {
  if (!status) return "connecting";
  if (shown && (now < shown.until || now - shown.at < WAITING_MS)) {
    if (shown.outcome !== "pass" && now < shown.until) return shown.outcome;
    if (!status.paused && status.ready) return shown.outcome;
  }
  if (status.paused) return "paused";
  if (!status.ready) return "not_ready";
  return status.running ? "waiting" : "stopped";
}

function render() {
  const now = performance.now();
  const state = link();
  if (document.body.dataset.link !== state) {
    document.body.dataset.link = state;
    if (state === "lost") blank();
  }
  const verdict = byId("verdict");
  const what = state === "live" ? outcome(now) : "connecting";
  verdict.dataset.outcome = what;
  const judged = shown && what === shown.outcome;
  verdict.dataset.part = judged ? shown.number : "";
  const sign = `#i-${what === "connecting" ? "waiting" : what}`;
  if (byId("sign").getAttribute("href") !== sign) byId("sign").setAttribute("href", sign);
  const name = what === "connecting" ? "" : word(what);
  put("word", name);
  byId("word").toggleAttribute("data-long", name.length > 8);
  put("why", name ? ((judged && [...new Set(shown.reasons)].join(" · ")) || (known(`${what}.more`) ? word(`${what}.more`) : "")) : "");
  put("which", shown ? `${word(judged ? "part" : "last_part")} ${shown.number}` + (judged ? "" : ` · ${word(shown.outcome)}`) : "");
  if (status && state === "live") {
    facts();
    figures();
    health();
    alarms();
  }
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
  put("n-latency", number(status.latency_ms.p99, 1));
  put("latency-limit", status.deadline_ms ? `/ ${number(status.deadline_ms)}` : "");
  for (const key of ["parts", "passed", "rejected", "errors"]) put(`n-${key}`, number(counts[key]));
  for (const figure of document.querySelectorAll(".figure dd")) {
    figure.toggleAttribute("data-long", figure.textContent.length > 6);
  }
}

function health() {
  const list = byId("health");
  const drawn = JSON.stringify([document.documentElement.lang, status.health]);
  if (list.drawn === drawn) return;
  list.drawn = drawn;
  list.replaceChildren(
    ...status.health.map((item) => {
      const row = document.createElement("li");
      row.dataset.state = item.state;
      const sign = byId("alarm").querySelector("svg").cloneNode(true);
      sign.firstElementChild.setAttribute("href", `#i-${item.state}`);
      const name = document.createElement("b");
      name.textContent = item.kind === "camera" ? `${word("health.camera")} ${item.name}` : word(`health.${item.kind}`);
      const state = document.createElement("span");
      state.textContent = [word(`state.${item.state}`), item.detail].filter(Boolean).join(" · ");
      row.append(sign, name, state);
      return row;
    }),
  );
}

function alarms() {
  const [first, ...rest] = [...status.alarms].sort((a, b) => a.acknowledged - b.acknowledged || b.stops - a.stops);
  byId("alarm").hidden = !first;
  if (!first) return;
  const code = known(`alarm.${first.code}`) ? first.code : "other";
  put("alarm-what", word(`alarm.${code}`) + (first.detail ? ` (${first.detail})` : ""));
  put("alarm-do", word(`mend.${code}`));
  put("alarm-more", rest.length ? word("alarm.more", rest.length) : "");
}

function tick() {
  const now = performance.now();
  if (socket && now - heard > SILENT_MS) {
    const silent = socket;
    retry();
    silent.onclose = null;
    silent.close();
  }
  advance();
  render();
}

opened = performance.now();
new ResizeObserver(() => {
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(() => draw(byId("picture"), shown));
}).observe(byId("picture"));
on("language", render);
render();
connect();
setInterval(tick, 100);
