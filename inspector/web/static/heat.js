// A heat map as a picture: a grid of scores enters, a canvas of one pixel a cell leaves. What is as
// good parts are is clear; towards the threshold it turns amber, from it on red and denser, so that
// the step is told by density too.

import { token } from "./canvas.js";

function rgb(name) {
  const text = token(name);
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

export function drawn({ rows, columns, cells, threshold, matrix }) {
  const image = document.createElement("canvas");
  image.width = columns;
  image.height = rows;
  const pen = image.getContext("2d");
  const pixels = pen.createImageData(columns, rows);
  const [near, over] = [rgb("--error"), rgb("--mark-defect")];
  cells.forEach((score, index) => {
    const bad = score >= threshold;
    const share = bad ? 0.55 + 0.3 * Math.min(1, (score - threshold) / (1 - threshold)) : 0.4 * Math.max(0, score / threshold - 0.4) / 0.6;
    pixels.data.set([...(bad ? over : near), Math.round(255 * share)], 4 * index);
  });
  pen.putImageData(pixels, 0, 0);
  return { image, matrix };
}
