// A canvas as sharp as its screen, and the colours of the tokens for what is drawn on it.

// Its pen, in CSS pixels, over an empty canvas of `width` by `height` of them.
export function clean(canvas) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [across, down] = [width, height].map((pixels) => Math.max(1, Math.round(pixels * ratio)));
  if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
