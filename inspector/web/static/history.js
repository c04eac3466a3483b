// A batch's history: numbers and times as the reader's language writes them; a running one stays fresh.

import { clock, moment, number, on, put } from "./frame.js";
import { labelled } from "./said.js";

function write() {
  for (const node of document.querySelectorAll("[data-number]")) {
    put(node, number(Number(node.dataset.number), Number(node.dataset.digits ?? 0)));
  }
  for (const node of document.querySelectorAll("[data-ms]")) put(node, moment(Number(node.dataset.ms)));
  for (const node of document.querySelectorAll("[data-said]")) put(node, labelled(node.dataset.said));
  for (const node of document.querySelectorAll("[data-clock]")) put(node, clock(Number(node.dataset.clock), true));
}

on("language", write);
write();

const fresh = Number(document.body.dataset.fresh ?? 0);
if (fresh) {
  setInterval(() => {
    if (!document.hidden && scrollY < 200) location.reload();
  }, fresh * 1000);
}
