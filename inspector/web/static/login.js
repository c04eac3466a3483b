// Sign-in: people by their tiles and a keypad at the touchscreen, by name and password elsewhere.

import { act, byId, icon, make, on, take, word } from "./frame.js";
import { keypad, tiles } from "./keypad.js";
import { because } from "./said.js";

const { next, said } = JSON.parse(byId("settings").textContent);

take(said);
let way = said.touchscreen && said.people.length ? "tiles" : "password";
let chosen = "";

async function enter(user, secret, by) {
  await act("/login", { user, secret, by });
  location.assign(next);
}

function show() {
  const place = byId("who");
  if (!place) return;
  const heading = make("h2", {}, way === "pin" ? word("sign_in.pin.of", chosen) : word(way === "tiles" ? "sign_in.who" : "sign_in"));
  place.replaceChildren(heading);
  document.onkeydown = null;
  if (way === "tiles") {
    place.append(tiles(said.people, (user) => {
      chosen = user;
      go("pin");
    }));
  } else if (way === "pin") {
    const pad = keypad((pin) => enter(chosen, pin, "pin"));
    document.onkeydown = pad.press;
    place.append(pad);
  } else {
    place.append(form());
  }
  place.append(others());
}

function go(other) {
  way = other;
  show();
}

function form() {
  const user = make("input", { name: "user", autocomplete: "username", required: true, maxLength: 64, spellcheck: false });
  const secret = make("input", { name: "secret", type: "password", autocomplete: "current-password", required: true });
  const note = make("p", { className: "note bad", role: "alert" });
  const send = make("button", { type: "submit", className: "button main" }, icon("person"), make("span", {}, word("sign_in")));
  const made = make(
    "form",
    { className: "fields", autocomplete: "on" },
    make("label", { className: "field" }, make("span", {}, word("sign_in.user")), user),
    make("label", { className: "field" }, make("span", {}, word("sign_in.password")), secret),
    note,
    send,
  );
  made.onsubmit = async (event) => {
    event.preventDefault();
    note.textContent = "";
    send.disabled = true;
    try {
      await enter(user.value, secret.value, "password");
    } catch (failed) {
      note.textContent = because(failed);
      secret.value = "";
      secret.focus();
    }
    send.disabled = false;
  };
  return made;
}

function others() {
  const row = make("div", { className: "ways" });
  const add = (text, sign, how) => {
    const button = make("button", { type: "button", className: "button" }, icon(sign), make("span", {}, text));
    button.onclick = how;
    row.append(button);
  };
  if (way === "pin") add(word("sign_in.back"), "back", () => go("tiles"));
  if (way !== "password") add(word("sign_in.other"), "hold", () => go("password"));
  else if (said.touchscreen && said.people.length) add(word("sign_in.touch"), "person", () => go("tiles"));
  if (said.provider) {
    const link = make("a", { className: "button", href: `/login/oidc?next=${encodeURIComponent(next)}` }, icon("next"), make("span", {}, said.provider));
    row.append(link);
  }
  return row;
}

on("language", show);
show();
