// The frame of every page: words, language, theme, clock, menu, and who is signed in.
//
// Pages import from it: `word`, `number`, `moment`, `read` and `act` (a request in the person's name)
// and `person`. A page that holds the catalogue switches its language in place, another one is loaded
// again. Choices are cookies, so that the next page comes from the server as it was chosen.

// What the server gives a page of its own script, see `frame.lives`: its words, and what it is about.
export const given = JSON.parse(byId("given")?.textContent ?? "{}");
const catalogue = JSON.parse(byId("catalogue")?.textContent ?? "null");
const TOUCH_MS = 10000; // How often at most the server is told that somebody is there.
const LOOK_MS = 3000; // How often the page asks whether its person is signed in still.

const languages = catalogue?.languages ?? { en: "English", zh: "中文" };
export let language = document.documentElement.lang.slice(0, 2) === "zh" ? "zh" : "en";
export let person = { user: null };

// The station's, wherever the page is looked at: what the server writes is of it too.
const zone = aZone(byId("clock")?.dataset.zone);
const listeners = { language: [], person: [] };
let touched = -Infinity;
let looked = 0;
let ends = null; // When the person is signed out if nothing is touched, on the page's clock.

export function byId(id) {
  return document.getElementById(id);
}

function words() {
  return catalogue?.words[language] ?? given.words ?? {};
}

export function word(key, ...values) {
  return values.reduce((text, value, index) => text.replace(`{${index}}`, () => value), words()[key] ?? key);
}

export function known(key) {
  return key in words();
}

export function put(id, text) {
  const node = typeof id === "string" ? byId(id) : id;
  if (node && node.textContent !== text) node.textContent = text;
}

export function number(value, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// What was measured: four digits, of a larger one all before its point, and never an exponent.
export function figure(value) {
  const whole = Math.trunc(Math.abs(value)).toString().length;
  return value.toLocaleString(locale(), { maximumSignificantDigits: Math.min(21, Math.max(4, whole)) });
}

export function moment(ms) {
  const form = { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23", timeZone: zone };
  return new Date(ms).toLocaleString(locale(), form);
}

export function clock(ms, seconds = false) {
  const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone, ...(seconds && { second: "2-digit" }) };
  return new Date(ms).toLocaleTimeString(locale(), form);
}

// The time of today's, of an older one the day too: a clock alone would be taken for today's.
export function since(ms, seconds = false) {
  return day(ms) === day(Date.now()) ? clock(ms, seconds) : moment(ms);
}

// As 2026-11-26, which is how Swedes write it.
export function day(ms) {
  return new Date(ms).toLocaleDateString("sv-SE", { timeZone: zone });
}

// A time zone that this browser knows; else its own.
function aZone(name) {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}

// English dates as Europe writes them: 25 Nov 2026, 14:05.
export function locale() {
  return language === "en" ? "en-GB" : "zh-CN";
}

export function icon(name) {
  const sign = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  sign.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  sign.append(use);
  return sign;
}

// An element with its children and properties, in one go.
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(node.dataset, value);
    else if (name.startsWith("aria") || name === "role") node.setAttribute(name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`), value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// A button. A second touch does nothing while it does what `how` may return, nor where it is of one
// double click: a glove touches twice, and the second would be of what has come since.
export function button(text, sign, kind, how) {
  const made = make("button", { type: "button", className: `button ${kind}` }, icon(sign), make("span", {}, text));
  let busy = false;
  made.onclick = async ({ detail }) => {
    if (busy || detail > 1) return;
    busy = true;
    try {
      await how();
    } finally {
      busy = false;
    }
  };
  return made;
}

export function on(what, listener) {
  listeners[what].push(listener);
}

function cookie(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax`;
}

// --- requests in the person's name ---

class Failed extends Error {
  constructor(code, text = "") {
    super(text);
    this.code = code;
  }
}

// What the station answers at `path`. Throws `Failed`.
export function read(path) {
  return answered(path, {});
}

// Send `body` to `path`; what the station answers. Throws `Failed`.
export function act(path, body = {}) {
  const headers = { "content-type": "application/json", "x-csrf-token": person.csrf ?? "" };
  return answered(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function answered(path, how) {
  const answer = await fetch(path, how).catch(() => null);
  if (!answer) throw new Failed("no_station");
  const said = await answer.json().catch(() => undefined);
  if (answer.ok && said !== undefined) return said;
  if (said?.code === "sign_in" || said?.code === "old_page") await ask();
  throw new Failed(said?.code ?? "", said?.error);
}

export async function ask(path = "/session", method = "GET") {
  try {
    const headers = method === "GET" ? {} : { "x-csrf-token": person.csrf ?? "" };
    const answer = await fetch(path, { method, headers });
    if (answer.ok) take(await answer.json());
    else if (method !== "GET") await ask();
  } catch {
    return; // The station is away; the page says so by itself.
  }
}

export function take(said) {
  const before = person.user;
  person = said;
  ends = said.user ? performance.now() + said.left_s * 1000 : null;
  if (before !== said.user) for (const listener of listeners.person) listener();
  name();
  const { page, closed } = document.body.dataset;
  if (!before || before === said.user || (page && (said.user || closed === undefined))) return;
  if (said.user) location.reload();
  else signIn();
}

// The operator's page stays, for whoever comes next, where everybody may look at it; any other is nobody's any more, or was drawn
// for somebody else, who has signed out in another tab.
function signIn() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function name() {
  const node = byId("person-name");
  if (!node) return;
  put(node, person.user ?? word("sign_in"));
  node.dataset.user = person.user ?? "";
}

export function may(action) {
  return person.may?.includes(action) ?? false;
}

export async function leave() {
  await act("/logout").catch(() => {});
  location.assign(document.body.dataset.page === "live" ? "/" : "/login");
}

// --- language, theme, clock, menu ---

function speak() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  for (const node of document.querySelectorAll("[data-word]")) put(node, word(node.dataset.word));
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", word(node.dataset.label));
  const other = next();
  put("language", languages[other]);
  if (byId("language")) byId("language").lang = other;
  for (const listener of listeners.language) listener();
}

function next() {
  const names = Object.keys(languages);
  return names[(names.indexOf(language) + 1) % names.length];
}

function dark() {
  const root = document.documentElement;
  if (root.dataset.theme) return root.dataset.theme === "dark";
  return !matchMedia("(prefers-color-scheme: light)").matches;
}

const DO = {
  language() {
    const other = next();
    cookie("language", other);
    if (!catalogue) {
      location.reload();
      return;
    }
    language = other;
    speak();
  },
  theme() {
    const theme = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    document.body.classList.toggle("body--dark", theme === "dark");
    document.body.classList.toggle("body--light", theme === "light");
    cookie("theme", theme);
  },
  menu(button) {
    const open = byId("nav").toggleAttribute("data-open");
    button.setAttribute("aria-expanded", String(open));
  },
  person() {
    if (!person.user) signIn();
    else leave();
  },
};

// A page with dialogs of its own does more than the frame.
export function does(what, how) {
  DO[what] = how;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-do]");
  if (button) DO[button.dataset.do]?.(button, event);
  const nav = byId("nav");
  if (nav?.hasAttribute("data-open") && !event.target.closest(".nav, .menu")) DO.menu(document.querySelector(".menu"));
});

function touch() {
  const now = performance.now();
  if (!person.user || now - touched < TOUCH_MS) return;
  touched = now;
  ask("/session/touch", "POST");
}
for (const kind of ["pointerdown", "keydown", "wheel"]) {
  document.addEventListener(kind, touch, { passive: true, capture: true });
}

function tick() {
  put("clock", clock(Date.now()));
  if (ends !== null && performance.now() > ends) {
    ends = null;
    take({ ...person, user: null, may: [], csrf: "" });
  }
  if (person.user && performance.now() - looked > LOOK_MS) {
    looked = performance.now();
    ask();
  }
}

// A page's own place scrolls, so whoever has only keys must come to it, whatever is in it.
byId("app")?.setAttribute("tabindex", "0");

if (catalogue) speak();
if (!document.body.classList.contains("alone")) {
  ask();
  setInterval(tick, 1000);
  tick();
}
