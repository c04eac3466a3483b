// What a desk page of our own script is made of: its words, its place, its fields.

import { byId, given, make, word } from "./frame.js";

// A word of the page, without the page's name before it.
export function say(key, ...values) {
  return word(`${given.page}.${key}`, ...values);
}

// Begin in the page's place. NiceGUI puts it there after the page's script has run.
export function placed(begin) {
  const root = byId(given.page);
  if (root) begin(root);
  else setTimeout(() => placed(begin), 30);
}

export function field(text, input, kind = "") {
  return make("label", { className: `field ${kind}` }, make("span", {}, text), input);
}

export function tick(text, box) {
  return make("label", { className: "field check" }, box, make("span", {}, text));
}

// Of `options`, values and what they are called, `chosen` gets the one that is chosen.
export function choice(name, text, options, value, chosen) {
  const select = make("select", { name }, ...options.map(([key, said]) => make("option", { value: key, selected: key === value }, said)));
  select.addEventListener("change", () => chosen(select.value));
  return field(text, select);
}
