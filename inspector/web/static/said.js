// What the record says in English, in the page's language: the twin of `inspector/web/said.py`, with
// the rows that the page has brought along.

import { byId, language, person, word } from "./frame.js";

const DEPTH = 6;
const SENTENCES = /; (?![^()]*\))(?=(?:[^`]*`[^`]*`)*[^`]*$)/;
const KEPT = 1000; // Sentences remembered: a page says the same ones ten times a second.
const given = JSON.parse(byId("said")?.textContent ?? "{}");
const ready = new Map();
const memory = new Map();

function rows() {
  if (!ready.has(language)) {
    ready.set(language, (given.rows?.[language] ?? []).map(([pattern, text, kept, weak]) =>
      ({ pattern: new RegExp(`^${pattern}$`, "s"), text, kept, weak })));
  }
  return ready.get(language);
}

function look(text, depth) {
  const plain = text.replaceAll("_", " ");
  const words = given.words?.[language] ?? {};
  const known = words[text] || words[plain] || given.exact?.[language]?.[plain];
  if (known || !depth) return known || text;
  let each = text.split(SENTENCES);
  for (const row of rows()) {
    if (each.length > 1 && !row.pattern.source.includes("; ")) { // each by itself, if all are known
      const told = each.map((one) => look(one, depth - 1));
      if (told.every((one, index) => one !== each[index])) return told.join("；");
      each = [];
    }
    const found = row.pattern.exec(text);
    if (!found) continue;
    const before = found.slice(1);
    const parts = before.map((part, index) => (row.kept.includes(index) ? part : look(part, depth - 1)));
    if (row.weak && parts.every((part, index) => part === before[index])) continue;
    return row.text.replace(/\{(\d)#?\}/g, (_, index) => parts[index]);
  }
  return text;
}

export function inWords(text) {
  if (!text) return "";
  const key = `${language} ${text}`;
  if (!memory.has(key)) {
    if (memory.size >= KEPT) memory.clear();
    memory.set(key, look(text, DEPTH).replace(/`([^`]*)`/g, language === "zh" ? "“$1”" : '"$1"'));
  }
  return memory.get(key);
}

// A label, without underscores where it is not known.
export function labelled(text) {
  const found = inWords(text);
  return found === text ? (text ?? "").replaceAll("_", " ") : found;
}

// UCUM as people write it.
export function unit(code) {
  return given.units?.[language]?.[code] ?? code ?? "";
}

// Why something failed, in the page's language where the page knows it.
export function because(failed) {
  if (["no_station", "no_line", "wrong_secret"].includes(failed.code)) return word(`failed.${failed.code}`);
  if (failed.code === "locked_out") return word("sign_in.locked", failed.message.match(/\d+/)?.[0] ?? "30");
  if (failed.code === "forbidden") return word("failed.forbidden", person.user ?? "–");
  return inWords(failed.message) || failed.code || word("failed.no_station");
}
