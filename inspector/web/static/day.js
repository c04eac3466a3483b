// A day's calendar, and what is no day: a field with `data-day` enters, what is touched in the
// calendar stands in it, as 2026-11-26. Names of months and days are the page's language's, where
// a date field of the browser's own speaks the browser's. `days.py` writes such a field.

import { day as dayOf, icon, locale, make } from "./frame.js";

const DAY_MS = 86400000;
const MONDAY = Date.UTC(2024, 0, 1);
const FORM = { day: /^\d{4}-\d\d-\d\d$/, clock: /^\d{4}-\d\d-\d\d( \d\d:\d\d)?$/ };
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };

let field = null; // whose calendar is open
let at = null; // the day that has the focus, or would have it
const sheet = make("div", { className: "calendar", popover: "auto", role: "dialog" });

function says(input) {
  return JSON.parse(input.dataset.says);
}

// A field as `days.py` writes it; `words` are its.
export function dayField(name, value, words) {
  return make("input", {
    type: "text", name, value, maxLength: 16, autocomplete: "off", spellcheck: false, placeholder: words.form,
    ariaHaspopup: "dialog", data: { day: "day", says: JSON.stringify(words) },
  });
}

// The day of a text, as its first moment in UTC; null where it is none.
function day(text) {
  const ms = Date.parse(`${text.slice(0, 10)}T00:00Z`);
  return Number.isNaN(ms) || iso(ms) !== text.slice(0, 10) ? null : ms;
}

function iso(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}

function today() {
  return day(dayOf(Date.now()));
}

function named(ms, form) {
  return new Intl.DateTimeFormat(locale(), { timeZone: "UTC", ...form }).format(ms);
}

function wrong(input) {
  const text = input.value.trim();
  if (!text) return false;
  const [hour = 0, minute = 0] = text.slice(11).split(":").map(Number);
  return !FORM[input.dataset.day].test(text) || day(text) === null || hour > 23 || minute > 59;
}

function open(input) {
  field = input;
  at = day(input.value) ?? today();
  sheet.ariaLabel = says(input).calendar;
  draw();
  if (!sheet.isConnected) document.body.append(sheet);
  sheet.showPopover();
  const place = input.getBoundingClientRect();
  const below = place.bottom + 4 + sheet.offsetHeight <= innerHeight;
  sheet.style.left = `${Math.max(8, Math.min(place.left, innerWidth - sheet.offsetWidth - 8))}px`;
  sheet.style.top = `${below ? place.bottom + 4 : Math.max(8, place.top - sheet.offsetHeight - 4)}px`;
}

function draw() {
  const words = says(field);
  const first = new Date(at);
  first.setUTCDate(1);
  const month = first.getUTCMonth();
  const from = first - ((first.getUTCDay() + 6) % 7) * DAY_MS; // weeks begin on Monday, ISO 8601
  const chosen = day(field.value);
  const days = Array.from({ length: 42 }, (_, index) => {
    const ms = from + index * DAY_MS;
    const made = make("button", { type: "button", ariaLabel: named(ms, { dateStyle: "long" }) }, String(new Date(ms).getUTCDate()));
    made.dataset.ms = ms;
    made.tabIndex = ms === at ? 0 : -1;
    made.toggleAttribute("data-other", new Date(ms).getUTCMonth() !== month);
    made.setAttribute("aria-pressed", String(ms === chosen));
    if (ms === today()) made.setAttribute("aria-current", "date");
    return made;
  });
  const names = Array.from({ length: 7 }, (_, index) => {
    const ms = MONDAY + index * DAY_MS;
    return make("abbr", { title: named(ms, { weekday: "long" }) }, named(ms, { weekday: "short" }));
  });
  sheet.replaceChildren(
    make("header", {}, turn("back", words.back, -1), make("b", {}, named(at, { year: "numeric", month: "long" })), turn("next", words.on, 1)),
    make("div", { className: "days" }, ...names, ...days));
}

function turn(sign, text, months) {
  const made = make("button", { type: "button", className: "button", ariaLabel: text, title: text }, icon(sign));
  made.addEventListener("click", () => {
    const there = new Date(at);
    there.setUTCDate(1);
    there.setUTCMonth(there.getUTCMonth() + months);
    at = there.getTime();
    draw();
    sheet.querySelector(months < 0 ? "header button" : "header button:last-child").focus();
  });
  return made;
}

function pick(ms) {
  const clock = field.dataset.day === "clock" ? ` ${field.value.slice(11).trim() || "00:00"}` : "";
  field.value = iso(ms) + clock;
  sheet.hidePopover();
  field.focus();
  for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
}

function focus() {
  sheet.querySelector(`[data-ms="${at}"]`).focus();
}

sheet.addEventListener("click", (event) => {
  const ms = event.target.closest("[data-ms]")?.dataset.ms;
  if (ms) pick(Number(ms));
});
sheet.addEventListener("keydown", (event) => {
  const step = event.target.dataset.ms && STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  at += step * DAY_MS;
  draw();
  focus();
});
document.addEventListener("click", (event) => {
  if (event.target.matches?.("input[data-day]")) open(event.target);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" || !event.target.matches?.("input[data-day]")) return;
  event.preventDefault();
  open(event.target);
  focus();
});
document.addEventListener("input", (event) => {
  if (event.target.matches?.("input[data-day]")) event.target.setCustomValidity(wrong(event.target) ? says(event.target).wrong : "");
});
// Days that one choice alone takes: whoever gives a day chooses it, and another one has none.
document.addEventListener("change", ({ target }) => {
  const choice = target.form?.querySelector("select[data-days]");
  if (!choice) return;
  if (target.matches("input[data-day]") && target.value) choice.value = choice.dataset.days;
  if (target !== choice || choice.value === choice.dataset.days) return;
  for (const input of choice.form.querySelectorAll("input[data-day]")) {
    input.value = "";
    input.setCustomValidity("");
  }
});
