// node check.js [--serve] [--train] [--answers FOLDER] [--time FILE] [EXAMPLES.npz ...]
// Serves the model on this machine alone, to a headless Chromium, or with --serve to a browser of
// yours, which answers the examples, or with --train takes the steps that the source took on; ends with 1 where that is further from what the trained model
// answered than the model promises. CHROMIUM names another one, PORT a port.
"use strict";
const { spawn } = require("child_process");
const fs = require("fs");
const http = require("http");
const os = require("os");
const path = require("path");

const MODEL = path.join(__dirname, "../..");
const OWN = ["index.html", "page.js", "npz.js", "difference.js", "training.js"];
const KINDS = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const SWITCHES = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-breakpad",
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

function main(words) {
  const option = (name) => (words.includes(name) ? words.splice(words.indexOf(name), 2)[1] : null);
  const [folder, timing] = [option("--answers"), option("--time")];
  const [serves, trains] = ["--serve", "--train"].map((word) => words.includes(word));
  const given = words.filter((word) => !["--serve", "--train"].includes(word));
  const files = given.length ? given : [trains ? "training" : "one", "seven"].map((name) => path.join(MODEL, `examples/${name}.npz`));
  const names = files.map((file) => path.basename(file, ".npz"));
  const packages = path.join(path.dirname(require.resolve("onnxruntime-web")), "../..");
  const job = JSON.stringify({ files: names, answers: folder !== null, time: timing !== null, train: trains });
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "browser-"));
  let browser = null;

  // Nothing is served but what stands here.
  function place(url) {
    const parts = url.split("/").slice(1);
    if (parts.includes("..")) return null;
    if (parts[0] === "examples") return files[Number(parts[1])] ?? null;
    if (parts[0] === "packages") return path.join(packages, ...parts.slice(1));
    if (OWN.includes(parts.join("/") || "index.html")) return path.join(__dirname, parts[0] || "index.html");
    return path.join(MODEL, ...parts);
  }

  function end(code) {
    if (serves) return;
    browser.removeAllListeners("exit");
    browser.once("exit", () => leave(code));
    if (!browser.kill("SIGKILL")) leave(code); // it is gone, or never came
  }

  function leave(code) {
    try {
      fs.rmSync(profile, { recursive: true, force: true });
    } catch {
      // A process of the browser's that ends after it may still write there.
    }
    process.exit(code);
  }

  function taken(url, body) {
    if (url === "/said") console.log(body.toString());
    if (url === "/time" && timing) fs.writeFileSync(timing, body);
    if (url.startsWith("/answers/") && folder) fs.writeFileSync(path.join(folder, path.basename(decodeURI(url))), body);
    if (url === "/done") end(Number(body));
  }

  const server = http.createServer((request, response) => {
    if (request.method === "POST") {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => { response.end(); taken(request.url, Buffer.concat(parts)); });
      return;
    }
    const file = place(decodeURI(request.url));
    if (request.url !== "/job" && (!file || !fs.existsSync(file))) return response.writeHead(404).end();
    response.setHeader("Content-Type", KINDS[path.extname(file ?? "")] ?? "application/octet-stream");
    return request.url === "/job" ? response.end(job) : fs.createReadStream(file).pipe(response);
  });
  server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
    const address = `http://127.0.0.1:${server.address().port}/`;
    if (serves) return console.log(`open ${address}`);
    // Its socket lies in TMPDIR, and the whole path of a socket has 107 letters at most.
    const options = { stdio: "pipe", cwd: profile, env: { ...process.env, TMPDIR: "." } };
    browser = spawn(process.env.CHROMIUM ?? "chromium", [...SWITCHES, `--user-data-dir=${profile}`, address], options);
    let said = "";
    browser.stderr.on("data", (part) => { said = (said + part).slice(-9999); });
    browser.on("error", (fault) => { console.log(`Chromium: ${fault.message}`); end(2); });
    browser.on("exit", (code, signal) => {
      const lines = said.split("\n").filter((line) => line.trim());
      const why = lines.find((line) => line.includes("FATAL")) ?? lines.at(-1) ?? "no word";
      console.log(`Chromium ended with ${code ?? signal}: ${why}`);
      end(2);
    });
    return browser;
  });
}

main(process.argv.slice(2));
