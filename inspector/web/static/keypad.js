// Who you are, at the touchscreen: tiles with names, and a pad for the PIN.

import { icon, make, word } from "./frame.js";
import { because } from "./said.js";

// The pad for a PIN; `done` gets the digits, and may be async. `Failed` is said below the dots.
export function keypad(done) {
  let pin = "";
  let busy = false;
  const dots = make("p", { className: "dots", role: "status" });
  const note = make("p", { className: "note bad", role: "alert" });
  const keys = make("div", { className: "keys" });
  const draw = () => {
    dots.replaceChildren(...[...pin].map(() => make("i")));
    dots.setAttribute("aria-label", String(pin.length));
  };
  const press = async (key) => {
    if (busy) return;
    note.textContent = "";
    if (key === "delete") pin = pin.slice(0, -1);
    else if (key !== "enter") pin = (pin + key).slice(0, 12);
    draw();
    if (key !== "enter" || pin.length < 4) return;
    busy = true;
    try {
      await done(pin);
    } catch (failed) {
      note.textContent = because(failed);
    }
    pin = "";
    busy = false;
    draw();
  };
  for (const key of ["1", "2", "3", "4", "5", "6", "7", "8", "9", "delete", "0", "enter"]) {
    const named = { delete: "key.delete", enter: "key.enter" }[key];
    const sign = { delete: "delete", enter: "ok" }[key];
    const button = make("button", { type: "button", className: `button ${key === "enter" ? "main" : ""}` }, sign ? icon(sign) : key);
    if (named) button.setAttribute("aria-label", word(named));
    button.onclick = () => press(key);
    keys.append(button);
  }
  const pad = make("div", { className: "pad" }, dots, keys, note);
  pad.press = (event) => {
    if (/^[0-9]$/.test(event.key)) press(event.key);
    else if (event.key === "Backspace") press("delete");
    else if (event.key === "Enter") press("enter");
    else return;
    event.preventDefault();
  };
  draw();
  return pad;
}

export function tiles(people, choose) {
  const list = make("div", { className: "people" });
  for (const user of people) {
    const tile = make("button", { type: "button", className: "button tile" }, icon("person"), make("span", {}, user));
    tile.onclick = () => choose(user);
    list.append(tile);
  }
  return list;
}
