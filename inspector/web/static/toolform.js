// The form of a tool that is added to a recipe: its kind, its name, its model and where it looks.
// The station makes the tool from a good part's picture, so that it fits from the beginning.

import { choice, field, say } from "./desk.js";
import { button, icon, make } from "./frame.js";
import { corners } from "./roi.js";

const TAUGHT = "anomaly";
const LEADERS = ["align", "illumination"]; // They look at the picture as it is.
let kinds = null; // asked once a page

// A tool that nobody has described yet: in the middle of the picture, or of a VGA one.
export function begun(steps, sight) {
  const [width, height] = [sight.width || 640, sight.height || 480];
  const box = [width / 4, height / 4, (3 * width) / 4, (3 * height) / 4].map(Math.round);
  return {
    box, model: "", kind: "", tool: "", named: false, steps, follow: "",
    get kinds() {
      return kinds;
    },
    set kinds(found) {
      kinds = found;
      take(this, found[0].kind);
    },
  };
}

function take(adding, kind) {
  adding.kind = kind;
  adding.model = kinds.find((one) => one.kind === kind)?.models[0] ?? "";
  if (adding.named) return;
  const taken = adding.steps.map((one) => one.name);
  adding.tool = kind;
  for (let number = 2; taken.includes(adding.tool); number += 1) adding.tool = `${kind}-${number}`;
}

export function form(adding, { recipe, add, cancel, changed }) {
  const title = make("h2", {}, say("add"));
  const close = button(say("cancel"), "close", "", cancel);
  if (!adding.kinds) return [title, make("p", { className: "soft", role: "status" }, say("looking")), close];
  const able = adding.kinds.filter((one) => one.models.length || !one.needs_model);
  const options = [...able.map((one) => one.kind), TAUGHT];
  const rows = [title, choice("kind", say("kind"), options.map((kind) => [kind, say(`kind.${kind}`)]), adding.kind, (kind) => {
    take(adding, kind);
    changed();
  })];
  rows.push(make("p", { className: "soft" }, say(`about.${adding.kind}`)));
  if (adding.kind === TAUGHT) {
    const way = make("a", { className: "button main", href: `/desk/teach?recipe=${recipe}` }, icon("teach"), make("span", {}, say("teach")));
    return [...rows, way, close];
  }
  const name = make("input", { type: "text", name: "tool", value: adding.tool, pattern: "[a-z][a-z0-9_\\-]*", maxLength: 63, required: true });
  name.addEventListener("change", () => {
    if (!name.reportValidity()) return;
    adding.tool = name.value;
    adding.named = true;
    changed();
  });
  rows.push(field(say("name"), name));
  const { models } = adding.kinds.find((one) => one.kind === adding.kind);
  if (models.length) {
    rows.push(choice("model", say("model"), models.map((ref) => [ref, ref]), adding.model, (ref) => {
      adding.model = ref;
    }));
  }
  // Where parts lie anyhow: the area is on the picture of the tool that turns them back.
  const leaders = adding.steps.filter((one) => one.kind === "align" && !one.follow && one.view === adding.view);
  if (LEADERS.includes(adding.kind)) adding.follow = "";
  else if (leaders.length) {
    const ways = [["", say("follow.none")], ...leaders.map((one) => [one.name, one.name])];
    rows.push(choice("follow", say("follow"), ways, adding.follow, (name_) => {
      adding.follow = name_;
      changed();
    }));
  }
  const legend = make("legend", {}, say("roi"));
  rows.push(make("fieldset", { className: "field corners" }, legend, ...corners(say("roi"), () => adding.box, false, (box) => {
    adding.box = box;
    changed();
  })));
  // A name that is none is told; the tool is not made by the one before it.
  const done = button(say("add.do"), "ok", "main", () => name.reportValidity() && add());
  rows.push(make("p", { className: "soft" }, say("from_part")), done, close);
  return rows;
}
