/** Bundle the viewer into ../frontend and write the licences of everything inside the bundle. */

import { build } from "esbuild";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "frontend");

/** NiiVue can read remote Zarr stores; nothing here does, and their codecs are 1.4 MB. */
const noZarrCodecs = {
  name: "no-zarr-codecs",
  setup(builder) {
    builder.onResolve({ filter: /^numcodecs\// }, () => ({ path: "zarr-codec", namespace: "absent" }));
    builder.onLoad({ filter: /.*/, namespace: "absent" }, () => ({ contents: "export default null;" }));
  },
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: ["src/index.js"],
  outdir: out,
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  entryNames: "[name]",
  chunkNames: "[name]-[hash]",
  loader: { ".css": "text" },
  plugins: [noZarrCodecs],
});

/** Packages in the lock file, less the tools that only build. */
const lock = JSON.parse(readFileSync(join(here, "package-lock.json"), "utf8"));
const packages = Object.entries(lock.packages).filter(([path, entry]) => path && !entry.dev && !entry.optional && !path.endsWith("/numcodecs"));

function licenceText(path, name) {
  if (name === "@niivue/niivue") return readFileSync(join(here, "licences", "niivue.txt"), "utf8");
  const folder = join(here, path);
  const file = existsSync(folder) && readdirSync(folder).find((f) => /^licen[cs]e/i.test(f));
  return file ? readFileSync(join(folder, file), "utf8") : "(the package ships no licence text)\n";
}

const parts = packages.map(([path, entry]) => {
  const name = path.split("node_modules/").at(-1);
  return `${name} ${entry.version} (${entry.license ?? "see below"})\n${"-".repeat(60)}\n${licenceText(path, name).trim()}\n`;
});
writeFileSync(join(out, "LICENSES.txt"), `Third-party software in this folder's bundle.\n\n${parts.join("\n\n")}`);
