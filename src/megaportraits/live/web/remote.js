// The server computes: pictures of the camera go through a WebSocket, and the avatar's pictures come back.
const QUALITY = 0.8;
const IN_FLIGHT = 2;

export async function openRemote(facts, page) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  await new Promise((opened, failed) => {
    socket.onopen = opened;
    socket.onerror = () => failed(new Error("The server does not answer"));
  });
  const seen = new OffscreenCanvas(1, 1);
  let waiting = [], lost = false, closing = false;  // when the pictures that have no answer yet were sent
  socket.onclose = () => { lost = !closing; };
  socket.onmessage = async ({ data }) => {
    if (typeof data === "string") {
      const { recorded, problem } = JSON.parse(data);
      if (recorded) page.saved(`/recordings/${recorded}`, recorded);
      if (problem) page.problem(problem);
      return;
    }
    const sent = new DataView(data).getFloat64(0, true), jpeg = data.slice(8);
    waiting = waiting.filter((time) => time > sent);  // earlier ones were dropped
    page.show(jpeg.byteLength ? await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })) : null, sent);
  };
  const tell = (wish) => { if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(wish)); };

  async function send(video) {
    const sent = performance.now();
    waiting.push(sent);
    Object.assign(seen, { width: video.videoWidth, height: video.videoHeight });
    seen.getContext("2d").drawImage(video, 0, 0);
    const jpeg = await (await seen.convertToBlob({ type: "image/jpeg", quality: QUALITY })).arrayBuffer();
    const message = new Uint8Array(8 + jpeg.byteLength);
    new DataView(message.buffer).setFloat64(0, sent, true);
    message.set(new Uint8Array(jpeg), 8);
    socket.send(message);
  }

  return {
    avatar: (number) => tell({ avatar: number }),
    background: (colour) => tell({ background: colour }),
    record: (on) => tell({ record: on }),
    async paint(video) {
      if (lost) throw new Error("The server has gone");
      if (waiting.length >= IN_FLIGHT) return;
      await send(video);
    },
    close() { closing = true; setTimeout(() => socket.close(), 500); },
  };
}
