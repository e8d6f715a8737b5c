// The statement that `provenance check` reads, in a recorded WebM: an element "Tags" before the first cluster. What
// points to places in the file (SeekHead, Cues) would then point elsewhere and becomes void, as in a live stream.
const ID = { segment: 0x18538067, seekHead: 0x114d9b74, cues: 0x1c53bb6b, cluster: 0x1f43b675 };
const VOID = 0xec;

function head(bytes, at) {
  const idLength = Math.clz32(bytes[at]) - 23, sizeAt = at + idLength, sizeLength = Math.clz32(bytes[sizeAt]) - 23;
  const number = (from, length, first) => bytes.slice(from + 1, from + length).reduce((sum, b) => sum * 256 + b, first);
  const size = number(sizeAt, sizeLength, bytes[sizeAt] & (0xff >> sizeLength));
  return {
    id: number(at, idLength, bytes[at]), content: sizeAt + sizeLength, sizeAt,
    end: size === 2 ** (7 * sizeLength) - 1 ? Infinity : sizeAt + sizeLength + size,
  };
}

function sized(length) {
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(length) | (1n << 56n));
  return size;
}

const element = (id, content) => [...id, ...sized(content.length), ...content];

function tag(name, text) {
  const bytes = (value) => new TextEncoder().encode(value);
  return element([0x67, 0xc8], [...element([0x45, 0xa3], bytes(name)), ...element([0x44, 0x87], bytes(text))]);
}

export async function stated(video, tags) {
  const bytes = new Uint8Array(await video.arrayBuffer());
  let at = 0, first;
  while (at < bytes.length) {
    const { id, content, sizeAt, end } = head(bytes, at);
    if (id === ID.segment) { bytes.fill(0xff, sizeAt, content); bytes[sizeAt] = 0xff >> (content - sizeAt - 1); }
    if (id === ID.seekHead || id === ID.cues) bytes.set([VOID, ...sized(end - at - 9)], at);
    if (id === ID.cluster) first ??= at;
    at = id === ID.segment ? content : end;
  }
  const texts = Object.entries(tags).flatMap(([name, text]) => tag(name.toUpperCase(), text));
  const all = element([0x12, 0x54, 0xc3, 0x67], element([0x73, 0x73], [...element([0x63, 0xc0], []), ...texts]));
  return new Blob([bytes.slice(0, first), new Uint8Array(all), bytes.slice(first)], { type: "video/webm" });
}
