// The display feed: its socket, its messages, and the pictures of one camera as they come.
//
// A message, little-endian: 2 bytes topic, u8 version, u8 pictures, u32 bytes of JSON, u64 part, i64
// monotonic ns; JSON; JPEGs.

const HEADER = 24;
const VERSION = 1;
const RECONNECT_MS = 800;

export function listen() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws/live`);
  socket.binaryType = "arraybuffer";
  return socket;
}

// What a message says; its pictures begin at `start`. Null for one of another version.
export function unpack(data) {
  const view = new DataView(data);
  if (view.getUint8(2) !== VERSION) return null;
  const start = HEADER + view.getUint32(4, true);
  return {
    topic: String.fromCharCode(view.getUint8(0), view.getUint8(1)),
    part: Number(view.getBigUint64(8, true)),
    sentMs: Number(view.getBigInt64(16, true)) / 1e6,
    body: JSON.parse(new TextDecoder().decode(new Uint8Array(data, HEADER, start - HEADER))),
    start,
  };
}

export function picture(data, start, bytes) {
  return createImageBitmap(new Blob([new Uint8Array(data, start, bytes)], { type: "image/jpeg" }));
}

// `wanted()` names the camera; `taken(image, { width, height })` has the picture, to be closed, and
// the size of the whole frame: it comes reduced to 960 pixels. What it returns ends it: a line
// encodes no picture for which nobody looks.
export function watch(wanted, taken) {
  let socket = null;
  let ended = false;

  function connect() {
    if (ended) return;
    socket = listen();
    socket.onmessage = (event) => take(event.data);
    socket.onclose = () => setTimeout(connect, RECONNECT_MS);
  }

  async function take(data) {
    const message = unpack(data);
    if (!["VP", "VR"].includes(message?.topic)) return;
    const { views } = message.body;
    let { start } = message;
    try {
      for (const one of views) {
        if (one.name === wanted() || views.length === 1) {
          const image = await picture(data, start, one.bytes);
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
