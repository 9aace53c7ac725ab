/** Colour-blind safe colour maps as control points, spread evenly, and the tables made of them. */

const hex = (text) => text.split(" ").map((c) => [0, 2, 4].map((i) => parseInt(c.slice(i, i + 2), 16)));

/** Perceptually uniform (matplotlib, CC0). */
const UNSIGNED = {
  viridis: ["Viridis", hex("440154 482475 414487 355f8d 2a788e 21918c 22a884 44bf70 7ad151 bddf26 fde725")],
  cividis: ["Cividis", hex("00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838")],
  inferno: ["Inferno", hex("000004 160b39 420a68 6a176e 932667 bc3754 dd513a f37819 fca50a f6d746 fcffa4")],
};

/** Diverging around zero (ColorBrewer 2, by Cynthia Brewer, Apache-2.0). */
const SIGNED = {
  "blue-red": ["Blue to red", hex("053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f")],
  "purple-orange": ["Purple to orange", hex("2d004b 542788 8073ac b2abd2 d8daeb f7f7f7 fee0b6 fdb863 e08214 b35806 7f3b08")],
  "teal-brown": ["Teal to brown", hex("003c30 01665e 35978f 80cdc1 c7eae5 f5f5f5 f6e8c3 dfc27d bf812d 8c510a 543005")],
};

export const choices = (signed) => Object.entries(signed ? SIGNED : UNSIGNED).map(([id, [name]]) => ({ id, name }));

export const stops = (id) => (SIGNED[id] ?? UNSIGNED[id])[1];

/** Colour at `t` in 0..1. */
export function colourAt(id, t) {
  const points = stops(id);
  const x = Math.min(1, Math.max(0, t)) * (points.length - 1);
  const i = Math.min(points.length - 2, Math.floor(x));
  return points[i].map((a, k) => Math.round(a + (points[i + 1][k] - a) * (x - i)));
}

export function gradient(id) {
  return `linear-gradient(90deg, ${stops(id).map((c) => `rgb(${c.join(",")})`).join(", ")})`;
}

/** Strength of a stored byte in -1..1 (signed, 127 is zero) or 0..1. */
export const strength = (byte, signed) => (signed ? (byte - 127) / 127 : byte / 255);

/** How opaque a strength is drawn, before the opacity slider: weak places let the image through. */
export function fade(v, threshold) {
  const a = Math.abs(v);
  return a < threshold || a === 0 ? 0 : Math.min(1, 1.5 * a);
}

/**
 * RGBA table for the 256 stored bytes.
 * @returns {Uint32Array} little-endian pixels, ready for a Uint32 view on ImageData.
 */
export function table(id, signed, threshold) {
  const out = new Uint8ClampedArray(1024);
  for (let byte = 0; byte < 256; byte += 1) {
    const v = Math.min(1, strength(byte, signed));
    out.set(colourAt(id, signed ? (v + 1) / 2 : v), byte * 4);
    out[byte * 4 + 3] = Math.round(255 * fade(v, threshold));
  }
  return new Uint32Array(out.buffer);
}
