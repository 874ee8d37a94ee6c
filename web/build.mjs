// SPDX-License-Identifier: Apache-2.0
// Makes dist/ (or the folder that is named) of src/. The same sources and the same lock file give the same bytes.
import { build } from "esbuild";
import { copyFileSync, mkdirSync } from "node:fs";

const out = process.argv[2] ?? "dist";
mkdirSync(out, { recursive: true });
await build({
    entryPoints: { app: "src/main.ts", style: "src/style.css" },
    outdir: out,
    bundle: true,
    minify: true,
    format: "iife",
    target: ["chrome111", "firefox115", "safari16.4"],
    charset: "ascii",
    legalComments: "none",
    banner: {
        js: "// SPDX-License-Identifier: Apache-2.0 - made by tools/web_assets",
        css: "/* SPDX-License-Identifier: Apache-2.0 - made by tools/web_assets */",
    },
    logLevel: "warning",
});
for (const name of ["index.html", "401.html", "401-api.html", "404.html", "421.html", "icon.svg"]) copyFileSync(`src/${name}`, `${out}/${name}`);
