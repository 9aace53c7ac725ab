/** Fetching and decoding of what the server sends; everything comes from the app's own host. */

/** Root of the app: assets are served under it at `_stcore/`, images at `media/`. */
const ROOT = import.meta.url.split("/_stcore/")[0];

/** @param {string} url absolute path from the server, or a data: URL */
export function resolve(url) {
  return url.startsWith("/") ? new URL(ROOT).origin + new URL(ROOT).pathname.replace(/\/$/, "") + url : url;
}

async function fetchBlob(url) {
  const response = await fetch(resolve(url));
  if (!response.ok) throw new Error(`the image could not be fetched (${response.status})`);
  return response.blob();
}

export async function fetchBuffer(url) {
  return (await fetchBlob(url)).arrayBuffer();
}

/** Decode a PNG to a canvas, byte for byte: no colour management, no premultiplying. */
async function pngCanvas(url) {
  const bitmap = await createImageBitmap(await fetchBlob(url), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

/** Map bytes (H x W) of a grey PNG. */
export async function loadMap(url) {
  const canvas = await pngCanvas(url);
  const { width, height } = canvas;
  const rgba = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const bytes = new Uint8Array(width * height);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = rgba[i * 4];
  return { width, height, bytes };
}

/** A flat image: `{width, height, colour, canvas}` for 8 bits, plus `values` (Uint16) for deeper ones. */
export async function loadFlat(image) {
  const [height, width] = image.shape;
  if (image.encoding === "png") return { width, height, colour: image.colour, canvas: await pngCanvas(image.url), values: null };
  const stream = (await fetchBlob(image.url)).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new Uint16Array(await new Response(stream).arrayBuffer());
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return { width, height, colour: false, canvas, values };
}

/** Stored voxels: values, how far below zero they reach, and what they mean. */
class Volume {
  constructor(values, image) {
    this.values = values;
    this.shape = image.shape;
    this.level = image.encoding === "i16" ? 32768 : 0;
    this.levels = image.encoding === "u8" ? 256 : 65536;
    const [low, high] = image.range;
    this.scale = image.encoding === "u16" ? [low, (high - low) / 65535] : [-this.level, 1];
  }

  offset([z, r, c]) {
    return (z * this.shape[1] + r) * this.shape[2] + c;
  }

  value(offset) {
    return this.scale[0] + (this.values[offset] + this.level) * this.scale[1];
  }

  /** Opaque grey for every stored value under a linear window. */
  greys(low, high, reuse) {
    const out = reuse ?? new Uint32Array(this.levels);
    const slope = (255 * this.scale[1]) / Math.max(1e-9, high - low);
    const start = (255 * (this.scale[0] - low)) / Math.max(1e-9, high - low);
    for (let i = 0; i < this.levels; i += 1) {
      const g = Math.min(255, Math.max(0, Math.round(start + i * slope)));
      out[i] = 0xff000000 | (g << 16) | (g << 8) | g;
    }
    return out;
  }
}

const ARRAYS = { u8: Uint8Array, i16: Int16Array, u16: Uint16Array };

export async function loadVolume(image) {
  return new Volume(new ARRAYS[image.encoding](await fetchBuffer(image.url)), image);
}

/** Bytes of a map or mask on the box of the volume in which it is not zero. */
export async function loadVolumeMap({ url, box }) {
  const stream = (await fetchBlob(url)).stream().pipeThrough(new DecompressionStream("deflate"));
  return { url, start: box.start, shape: box.shape, bytes: new Uint8Array(await new Response(stream).arrayBuffer()) };
}
