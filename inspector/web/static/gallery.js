// A gallery of any length: only what is seen is in the page, so ten thousand parts scroll like ten.

import { make } from "./frame.js";
import { labelled } from "./said.js";

const CELL = 9.375; // rem: the least width of a cell, its gap included; what is left over widens all
const FRAME = 10; // pixels of a cell's width that are no picture
const TEXT = 1.75; // rem below the picture
const AHEAD = 2; // rows kept above and below the window
const NEAR_END = 40; // rows before the end at which more is asked for

export class Gallery {
  constructor(root, { chosen, more, title }) {
    this.parts = [];
    this.at = -1;
    this.root = root;
    this.chosen = chosen;
    this.more = more;
    this.title = title;
    this.sheet = make("div", { className: "sheet" });
    this.cells = new Map();
    root.replaceChildren(this.sheet);
    root.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(root);
  }

  clear() {
    this.parts = [];
    this.at = -1;
    for (const cell of this.cells.values()) cell.remove();
    this.cells.clear();
    this.root.scrollTop = 0;
  }

  add(parts) {
    this.parts.push(...parts);
    this.draw();
  }

  // How many stand side by side, and each one's width and height in pixels.
  measure() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const columns = Math.max(1, Math.floor(this.root.clientWidth / (CELL * rem)));
    const width = Math.floor(this.root.clientWidth / columns) || CELL * rem;
    const height = Math.round(0.75 * (width - FRAME) + TEXT * rem);
    return { columns, width, height };
  }

  draw() {
    const { columns, width, height } = this.measure();
    const rows = Math.ceil(this.parts.length / columns);
    this.sheet.style.height = `${rows * height}px`;
    this.sheet.style.setProperty("--cell-width", `${width}px`);
    this.sheet.style.setProperty("--cell-height", `${height}px`);
    const first = Math.max(0, Math.floor(this.root.scrollTop / height) - AHEAD) * columns;
    const seen = Math.ceil(this.root.clientHeight / height) + 2 * AHEAD;
    const last = Math.min(this.parts.length, first + seen * columns);
    for (const [index, cell] of this.cells) {
      if (index < first || index >= last) {
        cell.remove();
        this.cells.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      const cell = this.cells.get(index) ?? this.cell(index);
      cell.style.transform = `translate(${(index % columns) * width}px, ${Math.floor(index / columns) * height}px)`;
    }
    const row = Math.floor((this.root.scrollTop + this.root.clientHeight) / height);
    if (rows - row < NEAR_END) this.more();
  }

  cell(index) {
    const part = this.parts[index];
    const picture = part.thumb
      ? make("img", { src: part.thumb, alt: "", decoding: "async" })
      : make("span", { className: "blank" }, "–");
    const cell = make("button", { className: "cell", type: "button", ariaLabel: this.title(part) },
      picture, make("b", {}, `#${part.number}`), make("span", {}, labelled(part.label || part.outcome)));
    cell.dataset.outcome = part.outcome;
    cell.dataset.said = part.said ?? "";
    cell.setAttribute("aria-pressed", String(index === this.at));
    cell.addEventListener("click", () => this.choose(index));
    this.cells.set(index, cell);
    this.sheet.append(cell);
    return cell;
  }

  choose(index) {
    if (index < 0 || index >= this.parts.length) return;
    this.cells.get(this.at)?.setAttribute("aria-pressed", "false");
    this.at = index;
    const { columns, height } = this.measure();
    const top = Math.floor(index / columns) * height;
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    const bottom = top + height - this.root.clientHeight;
    if (bottom > this.root.scrollTop) this.root.scrollTop = bottom;
    this.draw();
    this.cells.get(index)?.setAttribute("aria-pressed", "true");
    this.chosen(this.parts[index]);
  }

  // The picture of a part that was here without one.
  picture(id, thumb) {
    const index = this.parts.findIndex((part) => part.id === id);
    if (index < 0 || this.parts[index].thumb === thumb) return;
    this.parts[index].thumb = thumb;
    this.cells.get(index)?.firstChild.replaceWith(make("img", { src: thumb, alt: "", decoding: "async" }));
  }

  mark(id, said) {
    const index = this.parts.findIndex((part) => part.id === id);
    if (index < 0) return;
    this.parts[index].said = said;
    const cell = this.cells.get(index);
    if (cell) cell.dataset.said = said;
  }
}
