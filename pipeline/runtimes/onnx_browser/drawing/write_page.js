// node write_page.js FILE.html
// Writes one file in which a person draws and the model learns it. It opens from the disk, needs no
// server and no network, and holds onnxruntime-web, the model's programs and its state.
"use strict";
const fs = require("fs");
const path = require("path");
const zlib = require("zlib");

const MODEL = path.join(__dirname, "../..");
const PACKAGE = path.dirname(require.resolve("onnxruntime-web"));
const PROGRAMS = ["npz.js", "difference.js", "training.js", "draw.js"];

const packed = (bytes) => zlib.gzipSync(bytes, { level: 9 }).toString("base64");

// Returns state.json and what it names, one tensor after the other.
function state() {
  const described = JSON.parse(fs.readFileSync(path.join(MODEL, "onnx_train/state.json")));
  const parts = [];
  let offset = 0;
  described.states = described.states.map((entry) => {
    const opened = fs.openSync(path.join(MODEL, entry.file));
    const bytes = Buffer.alloc(entry.nbytes);
    fs.readSync(opened, bytes, 0, entry.nbytes, entry.offset);
    fs.closeSync(opened);
    parts.push(bytes);
    offset += entry.nbytes;
    return { ...entry, file: "state", offset: offset - entry.nbytes };
  });
  return [Buffer.from(JSON.stringify(described)), Buffer.concat(parts)];
}

function main(target) {
  if (!target) throw new Error("write_page.js: found no name, expected node write_page.js FILE.html");
  const [described, tensors] = state();
  const model = (name) => fs.readFileSync(path.join(MODEL, name));
  const files = {
    runtime: fs.readFileSync(path.join(PACKAGE, "ort.wasm.bundle.min.mjs")),
    wasm: fs.readFileSync(path.join(PACKAGE, "ort-wasm-simd-threaded.wasm")),
    "onnx_train/step.onnx": model("onnx_train/step.onnx"),
    "onnx_train/predict.onnx": model("onnx_train/predict.onnx"),
    "state.json": described,
    state: tensors,
    "training.npz": model("examples/training.npz"),
  };
  const content = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, packed(bytes)]));
  const scripts = PROGRAMS.map((name) => `<script>\n${fs.readFileSync(path.join(__dirname, name), "utf8")}</script>`);
  const all = [`<script type="application/json" id="files">${JSON.stringify(content)}</script>`, ...scripts].join("\n");
  const page = fs.readFileSync(path.join(__dirname, "draw.html"), "utf8").replace("<!-- scripts -->", () => all);
  fs.writeFileSync(target, page);
  console.log(`open ${path.resolve(target)} (${(page.length / 1e6).toFixed(1)} MB)`);
}

try {
  main(process.argv[2]);
} catch (fault) {
  console.error(fault.message);
  process.exit(2);
}
