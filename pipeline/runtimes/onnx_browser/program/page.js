// Loads model.onnx, answers the examples and says how far that is from the trained model's answers.
"use strict";

// Files that model.onnx reads its weights out of.
const WEIGHTS = @WEIGHTS@;

async function bytes(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: found nothing there`);
  return new Uint8Array(await answer.arrayBuffer());
}
const send = (path, body) => fetch(path, { method: "POST", body });
const seconds = (start) => (performance.now() - start) / 1000;
const named = (arrays, side) =>
  Object.fromEntries(Object.entries(arrays).filter(([name]) => name.startsWith(side)).map(([name, array]) => [name.slice(side.length), array]));

function say(text) {
  document.getElementById("said").textContent += `${text}\n`;
  return send("/said", text);
}

async function median(answer, inputs, rows) {
  const many = Object.fromEntries(Object.entries(inputs).map(([name, array]) => [name, repeated(array, rows)]));
  for (let turn = 0; turn < 3; turn += 1) await answer(many);
  // A browser's clock is too coarse for one answer, so ten times ten are taken.
  const times = [];
  for (let turn = 0; turn < 10; turn += 1) {
    const start = performance.now();
    for (let each = 0; each < 10; each += 1) await answer(many);
    times.push(seconds(start) / 10);
  }
  return times.sort((one, other) => one - other)[5];
}

// Takes the steps that the source took on.
async function train(ort, job) {
  const script = Object.assign(document.createElement("script"), { src: "training.js" });
  await new Promise((resolve) => { script.onload = resolve; document.head.append(script); });
  const described = JSON.parse(new TextDecoder().decode(await bytes(`/${FOLDER}/state.json`)));
  const whole = {};
  const part = async (file, offset, length) =>
    (whole[file] ??= await bytes(`/${file}`)).subarray(offset, offset + length);
  const open = async (file) => ort.InferenceSession.create(await bytes(`/${file}`));
  const training = await Training.load(described, { open, bytes: part, Tensor: ort.Tensor });
  const keep = (kind, name, array) => (job.answers ? send(`/answers/${fileOf(kind, name)}`, written(array)) : null);
  return follow(training, read(await bytes("/examples/0")), read(await bytes("/examples/1")), say, keep);
}

async function main() {
  const job = await (await fetch("/job")).json();
  const ort = await import("/packages/onnxruntime-web/dist/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = "/packages/onnxruntime-web/dist/";
  ort.env.wasm.numThreads = 1;
  if (job.train) return send("/done", (await train(ort, job)) ? "0" : "1");
  const begin = performance.now();
  const externalData = await Promise.all(WEIGHTS.map(async (path) => ({ path, data: await bytes(`/${path}`) })));
  const session = await ort.InferenceSession.create(await bytes("/model.onnx"), { externalData });
  const times = { load_seconds: seconds(begin) };
  const answer = (inputs) =>
    session.run(Object.fromEntries(session.inputNames.map((name) => {
      const { type, data, dims } = inputs[name];
      return [name, new ort.Tensor(type, data, dims)];
    })));
  let [right, first] = [true, null];
  for (const [at, file] of job.files.entries()) {
    const arrays = read(await bytes(`/examples/${at}`));
    const inputs = named(arrays, "input.");
    first ??= inputs;
    const start = performance.now();
    const answers = await answer(inputs);
    times.first_seconds ??= seconds(start);
    for (const [name, expected] of Object.entries(named(arrays, "output."))) {
      const found = compared(answers[name], expected);
      await say(`${file}.npz ${name}: ${found.text}${found.right ? "" : ", which is too far"}`);
      right = right && found.right;
    }
    if (job.answers) {
      for (const name of session.outputNames) await send(`/answers/${file}.${name}.npy`, written(answers[name]));
    }
  }
  if (job.time) {
    for (const rows of [1, 32]) times[`median_${rows}_seconds`] = await median(answer, first, rows);
    await send("/time", JSON.stringify(times));
  }
  return send("/done", right ? "0" : "1");
}

main().catch(async (fault) => {
  await say(String(fault.message ?? fault).split("\n")[0]);
  await send("/done", "2");
});
