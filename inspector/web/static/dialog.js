// Dialogs of the operator's page: one frame for all, who acts, a signature.

import { act, ask, icon, make, may, person, put, word } from "./frame.js";
import { keypad, tiles } from "./keypad.js";
import { because } from "./said.js";

// A dialog with a heading, its content and its buttons; `close()` takes it away.
export function open(heading, content, buttons = [], kind = "") {
  const dialog = make("dialog", { className: `sheet ${kind}` });
  const shut = make("button", { type: "button", className: "button shut" }, icon("close"));
  shut.setAttribute("aria-label", word("close"));
  const title = make("h2", { id: `sheet-${performance.now()}` }, heading);
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.append(
    make("header", {}, title, shut),
    make("div", { className: "content" }, ...content),
    make("footer", {}, ...buttons),
  );
  if (!buttons.length) dialog.lastElementChild.hidden = true;
  document.body.append(dialog);
  shut.onclick = () => dialog.close();
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  return { dialog, close: () => dialog.close(), body: dialog.querySelector(".content") };
}

// Enter in a form does what its button does.
export function sends(form, button) {
  form.onsubmit = (event) => {
    event.preventDefault();
    button.click();
  };
}

// A line for what became of it; screen readers say it.
export function note() {
  return make("p", { className: "note", role: "status" });
}

export function said(line, text, state = "ok") {
  line.className = `note ${state === "fault" ? "bad" : ""}`;
  line.replaceChildren(icon(state), make("span", {}, text));
}

// Have somebody who may do `action` sign in if need be, then do `what`; `line` says what failed.
export async function asPerson(action, what, line = null) {
  if (!person.user) await ask();
  if (!may(action) && !(await signIn(action))) return false;
  try {
    await what();
    return true;
  } catch (failed) {
    if (line?.isConnected) said(line, because(failed), "fault"); // Else its sheet was shut meanwhile.
    else tell(because(failed));
    return false;
  }
}

export function tell(text) {
  const line = note();
  said(line, text, "fault");
  open(word("refused.refused"), [line]);
}

// Whether somebody who may do `action` has signed in. Who is asked already is not asked once more,
// for a glove touches twice.
let asked = false;
export function signIn(action) {
  if (!person.people?.length) {
    location.assign("/login");
    return Promise.resolve(false);
  }
  if (asked) return Promise.resolve(false);
  asked = true;
  return new Promise((done) => {
    const line = note();
    if (person.user) said(line, word("failed.forbidden", person.user), "warning");
    const place = make("div");
    const { dialog, close } = open(word("sign_in.who"), [line, place], [], "narrow");
    let good = false;
    const choose = () => place.replaceChildren(tiles(person.people, (user) => pad(user)));
    const pad = (user) => {
      put(dialog.querySelector("h2"), word("sign_in.pin.of", user));
      const keys = keypad(async (pin) => {
        await act("/login", { user, secret: pin, by: "pin" });
        await ask();
        if (!may(action)) {
          said(line, word("failed.forbidden", user), "warning");
          put(dialog.querySelector("h2"), word("sign_in.who"));
          choose();
          return;
        }
        good = true;
        close();
      });
      document.onkeydown = keys.press;
      place.replaceChildren(keys);
    };
    dialog.addEventListener("close", () => {
      document.onkeydown = null;
      asked = false;
      done(good);
    });
    choose();
  });
}

// The fields of a signature; `given()` is what the station checks.
export function signature(meaning) {
  const people = person.people?.length ? person.people : [person.user];
  const name = make("select", {}, ...people.map((user) => make("option", { value: user, selected: user === person.user }, user)));
  const pin = Boolean(person.people?.length);
  const secret = make("input", { type: "password", inputMode: pin ? "numeric" : "text", autocomplete: "off", required: true });
  const box = make(
    "fieldset",
    { className: "signature" },
    make("legend", {}, icon("sign"), make("span", {}, word("sign"))),
    make("p", {}, `${word("sign.meaning")}: ${word(`meaning.${meaning}`)}. ${word("sign.more")}`),
    make("label", { className: "field" }, make("span", {}, word("signs.name")), name),
    make("label", { className: "field" }, make("span", {}, word(pin ? "sign_in.pin" : "sign_in.password")), secret),
  );
  const given = () => ({ user: name.value, secret: secret.value, by: pin ? "pin" : "password" });
  const wipe = () => {
    secret.value = "";
  };
  return { box, given, wipe };
}
