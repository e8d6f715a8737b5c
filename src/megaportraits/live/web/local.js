// The browser computes: onnxruntime-web runs the student, by WebGPU where there is one, else by WebAssembly.
import { stated } from "./webm.js";

const RUNTIME = "/runtime/ort.webgpu.bundle.min.mjs";
const WASM = "/runtime/ort-wasm-simd-threaded.jsep.wasm";
const GREY = 0.5;

async function floats(address) {
  return new Float32Array(await (await fetch(address)).arrayBuffer());
}

async function session(ort) {
  const graph = await (await fetch("/avatars.onnx")).arrayBuffer();
  ort.env.wasm.wasmPaths = { wasm: WASM };
  ort.env.logLevel = "error";
  if (navigator.gpu && await navigator.gpu.requestAdapter()) {
    try {
      return await ort.InferenceSession.create(graph, { executionProviders: ["webgpu"] });
    } catch (error) {
      console.warn(`WebGPU cannot run the avatars (${error.message}); going on with WebAssembly`);
    }
  }
  return ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
}

// The square of the video as the student sees it: planes of red, green and blue in [0, 1].
function crop(canvas, video, { x, y, side }) {
  const size = canvas.width, context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#808080";
  context.fillRect(0, 0, size, size);
  context.imageSmoothingQuality = "high";
  context.drawImage(video, x, y, side, side, 0, 0, size, size);
  const { data } = context.getImageData(0, 0, size, size), area = size * size;
  const planes = new Float32Array(3 * area);
  for (let i = 0; i < area; i++) for (let c = 0; c < 3; c++) planes[c * area + i] = data[4 * i + c] / 255;
  return planes;
}

// Red, green, blue over grey, and the matte -> the person over a colour, with the invisible mark.
function composed(picture, planes, colour, mark) {
  const area = picture.width * picture.height, matte = planes.length > 3 * area;
  for (let i = 0; i < area; i++) {
    const seen = matte ? 1 - planes[3 * area + i] : 0;
    for (let c = 0; c < 3; c++) {
      picture.data[4 * i + c] = 255 * (planes[c * area + i] + seen * (colour[c] - GREY)) + mark[i];
    }
    picture.data[4 * i + 3] = 255;
  }
  return picture;
}

export async function openLocal(facts, page) {
  const [ort, mark] = await Promise.all([import(RUNTIME), floats("/mark.bin")]);
  const model = await session(ort);
  const small = new OffscreenCanvas(facts.input_px, facts.input_px);
  const picture = new ImageData(facts.size_px, facts.size_px);
  const shown = new OffscreenCanvas(facts.size_px, facts.size_px);
  let number = 0n, colour = [GREY, GREY, GREY], recorder;

  function record(on) {
    if (!on) return recorder?.stop();
    const pieces = [], name = `live-${new Date().toISOString().replace(/\D/g, "").slice(0, 14)}.webm`;
    recorder = new MediaRecorder(page.canvas.captureStream(), { mimeType: "video/webm", videoBitsPerSecond: 4e6 });
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    recorder.onstop = async () => {
      const video = await stated(new Blob(pieces), facts.tags);
      page.saved(URL.createObjectURL(video), name);
    };
    recorder.start();
  }

  return {
    avatar: (chosen) => { number = BigInt(chosen); },
    background: (text) => { colour = [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16) / 255); },
    record,
    async paint(video, square) {
      const sent = performance.now();
      const driver = new ort.Tensor("float32", crop(small, video, square), [1, 3, small.height, small.width]);
      const avatar = new ort.Tensor("int64", [number], [1]);
      const { picture: painted } = await model.run({ driver, avatar });
      shown.getContext("2d").putImageData(composed(picture, await painted.getData(), colour, mark), 0, 0);
      painted.dispose();
      page.show(shown, sent);
    },
    close: () => { recorder?.state === "recording" && recorder.stop(); model.release(); },
  };
}
