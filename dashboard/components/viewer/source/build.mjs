/** Bundle the viewer into ../frontend. Nothing of others is inside but the colour maps, whose notice goes along. */

import { build } from "esbuild";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "frontend");

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: ["src/index.js"],
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  entryNames: "[name]",
  loader: { ".css": "text" },
});
copyFileSync(join(here, "LICENSES.txt"), join(out, "LICENSES.txt"));
