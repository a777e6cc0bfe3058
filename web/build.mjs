// Bundle NiiVue into one module beside the page, with the licences of everything that is in it.
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const here = new URL(".", import.meta.url);
const target = new URL("../src/adn/server/static/vendor/", here);
await mkdir(target, { recursive: true });

const { outputFiles, metafile } = await build({
  absWorkingDir: here.pathname,
  entryPoints: ["viewer-parts.js"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none", // the licences stand whole in their own file
  external: ["numcodecs/*"], // 1.4 MB that unpack Zarr, which this page never opens; imported on first use only
  metafile: true,
  write: false,
  outfile: "niivue.min.js",
});

const [output] = Object.values(metafile.outputs);
const used = Object.entries(output.inputs).filter(([, part]) => part.bytesInOutput > 0);
const names = used.map(([path]) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean);
const texts = [];
for (const name of [...new Set([...names, ...(await inside("@niivue/niivue"))])].sort()) {
  const { version, license } = JSON.parse(await readFile(new URL(`node_modules/${name}/package.json`, here), "utf8"));
  texts.push(`${name} ${version} (${license})\n\n${(await licence(name)).trim()}\n`);
}

await whole("niivue.min.js", outputFiles[0].contents);
await whole("LICENSES.txt", texts.join(`\n${"-".repeat(80)}\n\n`));
console.log(`vendor/niivue.min.js: ${(outputFiles[0].contents.length / 1e6).toFixed(2)} MB, ${texts.length} licences`);

/** What a package brought along already bundled: its dependencies. */
async function inside(name) {
  const { dependencies } = JSON.parse(await readFile(new URL(`node_modules/${name}/package.json`, here), "utf8"));
  return Object.keys(dependencies ?? {});
}

async function licence(name) {
  if (name === "@niivue/niivue") return readFile(new URL("niivue-license.txt", here), "utf8"); // its package holds none
  const folder = new URL(`node_modules/${name}/`, here);
  const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
  if (!file) throw new Error(`${name} has no licence file; put its text into this folder and name it in build.mjs.`);
  return readFile(new URL(file, folder), "utf8");
}

/** Written whole or not at all, so that a stopped build leaves no half bundle. */
async function whole(name, content) {
  const partial = new URL(`.${name}.partial`, target);
  await writeFile(partial, content);
  await rename(partial, new URL(name, target));
}
