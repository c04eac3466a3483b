// The live page: display messages enter by WebSocket, one screen leaves.
//
// One message holds a part's picture, overlay and verdict; `look` puts all of them on the screen in
// one go, so that a verdict never stands over another part's picture. On a slow line the large
// field shows each part's verdict. Above two parts a second it shows how the line runs, which is
// steady, and holds each reject for two seconds with its own picture; the pictures go on beside it.

import { byId, known, on, put, word } from "./frame.js";
import { listen, picture, unpack } from "./livefeed.js";
import { draw, drawNear } from "./picture.js";
import { inWords } from "./said.js";
import { remember, seen } from "./strip.js";
import { showDesk, showStatus } from "./status.js";
import "./actions.js";

const { settings } = JSON.parse(byId("catalogue").textContent);

const REJECT_HELD_MS = 2000;
const PASS_HELD_MS = 500; // Twice a second: a person follows it, and nothing flashes (WCAG 2.3.1).
const WAITING_MS = 3000;
const RECONNECT_MS = 400;
const SILENT_MS = 3000;
const FAST = 2.0; // Parts per second above which no eye follows single parts …
const SLOW = 1.6; // … until the line is this slow again.
const DIVERTS = { setup: "recipe", cleaning: "waiting" }; // Modes in which every part is rejected, and their signs.

let socket = null;
let opened = 0; // When the page began to wait for a heartbeat.
let heard = 0; // When the last message came.
let fresh = 0; // When the newest heartbeat was sent, on the page's clock.
let offset = null; // The page's clock less the line's, the least seen: transport delay left out.
let offsetAt = 0;
let status = null;
let fast = false;
let shown = null; // The part whose picture is on the screen.
let held = null; // The reject that the large field holds on a fast line.
let last = null; // Number and time of the last reject.
let nextReject = null;
let nextPass = null;
let drawing = null;
let decoding = Promise.resolve();

// --- the wire ---

function connect() {
  const mine = listen();
  socket = mine;
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
  const message = unpack(data);
  if (!message) return;
  if (message.topic === "ST") heartbeat(message.body, message.sentMs, now);
  else if (message.topic === "DK") showDesk(message.body);
  else {
    const part = { ...message.body, number: message.part, pictures: [], at: now };
    decoding = decoding.then(() => decode(part, message.topic, data, message.start, from)).catch(console.error);
  }
}

// One after the other: small pictures must not overtake large ones.
async function decode(part, topic, data, start, from) {
  try {
    for (const view of part.views) {
      part.pictures.push(await picture(data, start, view.bytes));
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
  fast = status.parts_per_s > (fast ? SLOW : FAST);
  if (fast) {
    const dropped = nextPass; // Its turn would come when the line is slow again, hours later.
    nextPass = null;
    discard(dropped);
  }
  render();
}

// --- parts ---

function discard(part) {
  if (!part || [shown, held, nextReject, nextPass].includes(part)) return;
  for (const picture of part.pictures) picture.close();
}

function arrive(part, topic) {
  const rejected = part.outcome !== "pass";
  if (rejected) {
    remember(part);
    if (!last || part.utc_ms > last.ms) last = { number: part.number, ms: part.utc_ms };
  }
  if (topic === "VH" || link() === "lost") {
    discard(part);
    return;
  }
  seen(part);
  if (fast) {
    look(part, 0);
    if (!rejected) return;
  }
  if (rejected) {
    const before = nextReject;
    nextReject = part;
    discard(before);
  } else {
    const before = nextPass;
    nextPass = part;
    discard(before);
  }
  advance();
}

// A reject interrupts a pass, and is then held; what came meanwhile is in the counts and the strip.
function advance() {
  const now = performance.now();
  if (fast) {
    if (held && now >= held.until) hold(null, 0);
    if (nextReject && !held) {
      const part = nextReject;
      nextReject = null;
      hold(part, now + REJECT_HELD_MS);
    }
    return;
  }
  if (held) hold(null, 0);
  const left = shown?.until ? shown.until - now : 0;
  if (nextReject && (left <= 0 || shown.outcome === "pass")) {
    const [part, dropped] = [nextReject, nextPass];
    nextReject = nextPass = null;
    look(part, now + REJECT_HELD_MS);
    discard(dropped);
  } else if (nextPass && left <= 0) {
    const part = nextPass;
    nextPass = null;
    look(part, now + PASS_HELD_MS);
  }
}

function look(part, until) {
  const before = shown;
  shown = part;
  shown.until = until;
  if (before !== part) discard(before);
  caption();
  draw(byId("picture"), shown, settings.views, fast);
  if (!fast) render();
}

function hold(part, until) {
  const before = held;
  held = part;
  if (held) held.until = until;
  if (before !== held) discard(before);
  render();
  drawNear(byId("near"), held, settings.views);
}

function blank() {
  const parts = [shown, held, nextReject, nextPass];
  shown = held = nextReject = nextPass = null;
  parts.forEach(discard);
  draw(byId("picture"), null);
  drawNear(byId("near"), null);
  caption();
}

// What stands under the picture is of the same part, always.
function caption() {
  const line = byId("caption");
  line.hidden = !shown;
  line.dataset.outcome = shown?.outcome ?? "";
  line.dataset.part = shown?.number ?? "";
  if (!shown) return;
  const sign = `#i-${shown.outcome}`;
  const use = line.querySelector("use");
  if (use.getAttribute("href") !== sign) use.setAttribute("href", sign);
  put("caption-part", `${word("part")} ${shown.number}`);
  put("caption-word", word(shown.outcome));
}

// --- the screen ---

function link() {
  const now = performance.now();
  if (fresh && now - fresh <= settings.freshMs) return "live";
  return fresh || status || now - opened > 1500 ? "lost" : "connecting";
}

// What the field says. Where the mode has the gate divert every part, no green one hides it.
function state(now) {
  const found = lineState(now);
  return ["pass", "running"].includes(found) && status.mode in DIVERTS ? status.mode : found;
}

function lineState(now) {
  if (!status) return "connecting";
  // Whatever a paused line says of a part, the gate diverts it: no verdict may hide that.
  if (status.paused) return "paused";
  if (fast) {
    if (held) return held.outcome;
    if (!status.ready) return "not_ready";
    if (!status.running) return "stopped";
    const flows = status.since_part_ms >= 0 && status.since_part_ms < WAITING_MS;
    if (!flows) return "waiting";
    return status.mode === "bypass" ? "not_inspected" : "running";
  }
  if (shown && (now < shown.until || now - shown.at < WAITING_MS)) {
    if (shown.outcome !== "pass" && now < shown.until) return shown.outcome;
    if (status.ready) return shown.outcome;
  }
  if (!status.ready) return "not_ready";
  return status.running ? "waiting" : "stopped";
}

function render() {
  const now = performance.now();
  const now_link = link();
  if (document.body.dataset.link !== now_link) {
    document.body.dataset.link = now_link;
    if (now_link === "lost") {
      blank();
      for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    }
  }
  const verdict = byId("verdict");
  const what = now_link === "live" ? state(now) : "connecting";
  const part = fast ? held : shown;
  const judged = part && what === part.outcome ? part : null;
  verdict.dataset.outcome = what;
  verdict.dataset.part = judged?.number ?? "";
  verdict.toggleAttribute("data-near", Boolean(fast && judged?.pictures.length));
  const sign = `#i-${what === "connecting" ? "waiting" : DIVERTS[what] ?? what}`;
  if (byId("sign").getAttribute("href") !== sign) byId("sign").setAttribute("href", sign);
  const key = what in DIVERTS ? `mode.${what}` : what;
  const name = what === "connecting" ? "" : word(key).toUpperCase();
  put("word", name);
  byId("word").toggleAttribute("data-long", name.length > 8);
  const more = known(`${key}.more`) ? word(`${key}.more`) : "";
  put("why", name ? [...new Set(judged?.reasons ?? [])].map(inWords).join("\u00a0· ") || more : "");
  put("which", name ? which(judged, what) : "");
  if (now_link === "live") showStatus(status);
}

function which(judged, what) {
  if (judged) return `${word("part")} ${judged.number}`;
  if (!fast || what === "waiting" || what === "stopped") return shown ? `${word("last_part")} ${shown.number} · ${word(shown.outcome)}` : "";
  return last ? word("last_reject", last.number, ago(Date.now() - last.ms)) : word("no_reject");
}

function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return word("ago.s", 10 * Math.ceil((s + 1) / 10));
  return s < 3600 ? word("ago.min", Math.round(s / 60)) : word("ago.h", Math.round(s / 3600));
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
  drawing = requestAnimationFrame(() => {
    draw(byId("picture"), shown, settings.views, fast);
    drawNear(byId("near"), held, settings.views);
  });
}).observe(byId("picture"));
on("language", () => {
  caption();
  render();
});
render();
connect();
setInterval(tick, 100);
