// The line's pictures as they come, of one camera: the display feed enters, pictures leave. They
// are reduced to 960 pixels; the size of the whole frame is said beside them.

const HEADER = 24;
const VERSION = 1;
const RECONNECT_MS = 800;

// `wanted()` names the camera; `taken(image, { width, height })` has the picture, to be closed.
// What it returns ends it: a line encodes no picture for which nobody looks.
export function watch(wanted, taken) {
  let socket = null;
  let ended = false;

  function connect() {
    if (ended) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/ws/live`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => take(event.data);
    socket.onclose = () => setTimeout(connect, RECONNECT_MS);
  }

  async function take(data) {
    const view = new DataView(data);
    if (view.getUint8(2) !== VERSION) return;
    if (!["VP", "VR"].includes(String.fromCharCode(view.getUint8(0), view.getUint8(1)))) return;
    let start = HEADER + view.getUint32(4, true);
    const part = JSON.parse(new TextDecoder().decode(new Uint8Array(data, HEADER, start - HEADER)));
    try {
      for (const one of part.views) {
        if (one.name === wanted() || part.views.length === 1) {
          const jpeg = new Blob([new Uint8Array(data, start, one.bytes)], { type: "image/jpeg" });
          const image = await createImageBitmap(jpeg);
          if (ended) image.close();
          else taken(image, one);
        }
        start += one.bytes;
      }
    } finally {
      if (socket.readyState === WebSocket.OPEN) socket.send("drawn");
    }
  }

  connect();
  return () => {
    ended = true;
    socket.close();
  };
}
