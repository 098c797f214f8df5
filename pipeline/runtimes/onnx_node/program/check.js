// node check.js [--answers FOLDER] [--time FILE] [EXAMPLES.npz ...]
// Answers the examples with model.onnx and says how far that is from what the trained model answered;
// ends with 1 where it is further than the model promises.
// node check.js --train [--answers FOLDER] [STEPS.npz EXAMPLES.npz]
// Takes the steps that the source took on, with onnx_train/, and says how far its losses are off.
"use strict";
const fs = require("fs");
const path = require("path");
const ort = require("onnxruntime-node");
const { read, written } = require("./npz.js");
const { compared, repeated } = require("./difference.js");

const MODEL = path.join(__dirname, "../..");
const OPTIONS = { intraOpNumThreads: Number(process.env.THREADS ?? 0) };

const tensor = ({ type, data, dims }) => new ort.Tensor(type, data, dims);
const seconds = (start) => Number(process.hrtime.bigint() - start) / 1e9;
const named = (arrays, side) =>
  Object.fromEntries(Object.entries(arrays).filter(([name]) => name.startsWith(side)).map(([name, array]) => [name.slice(side.length), array]));

async function answer(session, inputs) {
  const taken = session.inputNames.map((name) => [name, tensor(inputs[name])]);
  return session.run(Object.fromEntries(taken));
}

async function median(session, inputs, rows) {
  const many = Object.fromEntries(Object.entries(inputs).map(([name, array]) => [name, repeated(array, rows)]));
  const times = [];
  for (let turn = 0; turn < 103; turn += 1) {
    const start = process.hrtime.bigint();
    await answer(session, many);
    if (turn >= 3) times.push(seconds(start));
  }
  return times.sort((one, other) => one - other)[50];
}

// Returns a part of a file of the model.
function part(file, offset, length) {
  const [opened, bytes] = [fs.openSync(path.join(MODEL, file)), new Uint8Array(length)];
  fs.readSync(opened, bytes, 0, length, offset);
  fs.closeSync(opened);
  return bytes;
}

async function train(files, folder) {
  const { FOLDER, Training, follow, fileOf } = require("./training.js");
  const described = JSON.parse(fs.readFileSync(path.join(MODEL, FOLDER, "state.json")));
  const open = (file) => ort.InferenceSession.create(path.join(MODEL, file), OPTIONS);
  const training = await Training.load(described, { open, bytes: part, Tensor: ort.Tensor });
  const [steps, batch] = files.map((file) => read(fs.readFileSync(file)));
  const keep = (kind, name, array) => folder && fs.writeFileSync(path.join(folder, fileOf(kind, name)), written(array));
  return (await follow(training, steps, batch, console.log, keep)) ? 0 : 1;
}

async function main(words) {
  const option = (name) => (words.includes(name) ? words.splice(words.indexOf(name), 2)[1] : null);
  const [folder, timing] = [option("--answers"), option("--time")];
  if (words[0] === "--train") {
    const examples = ["training", "seven"].map((name) => path.join(MODEL, `examples/${name}.npz`));
    return train(words.length > 1 ? words.slice(1) : examples, folder);
  }
  const files = words.length ? words : ["one", "seven"].map((name) => path.join(MODEL, `examples/${name}.npz`));
  const begin = process.hrtime.bigint();
  const session = await ort.InferenceSession.create(path.join(MODEL, "model.onnx"), OPTIONS);
  const times = { load_seconds: seconds(begin) };
  let right = true;
  for (const file of files) {
    const arrays = read(fs.readFileSync(file));
    const start = process.hrtime.bigint();
    const answers = await answer(session, named(arrays, "input."));
    times.first_seconds ??= seconds(start);
    for (const [name, expected] of Object.entries(named(arrays, "output."))) {
      const found = compared(answers[name], expected);
      console.log(`${path.basename(file)} ${name}: ${found.text}${found.right ? "" : ", which is too far"}`);
      right = right && found.right;
    }
    if (folder) {
      for (const name of session.outputNames) {
        fs.writeFileSync(path.join(folder, `${path.basename(file, ".npz")}.${name}.npy`), written(answers[name]));
      }
    }
  }
  if (timing) {
    const inputs = named(read(fs.readFileSync(files[0])), "input.");
    for (const rows of [1, 32]) times[`median_${rows}_seconds`] = await median(session, inputs, rows);
    fs.writeFileSync(timing, JSON.stringify(times));
  }
  return right ? 0 : 1;
}

main(process.argv.slice(2)).then((code) => process.exit(code), (fault) => {
  console.error(String(fault.message ?? fault));
  process.exit(2);
});
