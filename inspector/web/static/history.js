// A batch's history: numbers and times as the reader's language writes them; a running one stays fresh.

import { moment, number, on, put, since } from "./frame.js";
import { labelled } from "./said.js";

function write() {
  for (const node of document.querySelectorAll("[data-number]")) {
    put(node, number(Number(node.dataset.number), Number(node.dataset.digits ?? 0)));
  }
  for (const node of document.querySelectorAll("[data-ms]")) put(node, moment(Number(node.dataset.ms)));
  for (const node of document.querySelectorAll("[data-said]")) put(node, labelled(node.dataset.said));
  for (const node of document.querySelectorAll("[data-clock]")) put(node, since(Number(node.dataset.clock), true));
}

on("language", write);
write();

// In place, and only by what the station answers well: the browser's page for a station that is away,
// or that has no time just now, would never load itself again.
async function renew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (answer?.redirected) location.reload(); // to sign in
  if (!answer?.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceWith(page.querySelector("main"));
  document.body.dataset.fresh = page.body.dataset.fresh ?? 0;
  write();
}

const fresh = Number(document.body.dataset.fresh ?? 0);
if (fresh) {
  setInterval(() => {
    if (Number(document.body.dataset.fresh) && !document.hidden && scrollY < 200) renew();
  }, fresh * 1000);
}
