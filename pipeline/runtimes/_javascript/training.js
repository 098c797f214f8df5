// Trains on from onnx_train/: the state goes into step.onnx and comes out of it, in any runtime of ONNX.
"use strict";

const FOLDER = "onnx_train";
const WITHIN = { atol: @TRAINING_ATOL@, rtol: @TRAINING_RTOL@ }; // of what training promises

// MT19937, whose words dropout's masks are made of as PyTorch makes them.
class Twister {
  constructor({ words, at }) {
    [this.words, this.at] = [Uint32Array.from(words), at];
  }

  word() {
    if (this.at === this.words.length) this.twist();
    let word = this.words[this.at];
    this.at += 1;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  twist() {
    const { words } = this;
    for (let at = 0; at < 624; at += 1) {
      const both = (words[at] & 0x80000000) | (words[(at + 1) % 624] & 0x7fffffff);
      words[at] = words[(at + 397) % 624] ^ (both >>> 1) ^ (both & 1 ? 0x9908b0df : 0);
    }
    this.at = 0;
  }

  // 53 bits of two words, as a fraction.
  fraction() {
    const high = this.word() & 0x1fffff;
    return (high * 2 ** 32 + this.word()) / 2 ** 53;
  }
}

const product = (numbers) => numbers.reduce((one, other) => one * other, 1);

// Returns all masks of a step on what is given, one after the other.
function drawn(masks, twister, given) {
  const sizeOf = ({ times, sizes }) => times * product(sizes.map(([name, axis]) => given[name].dims[axis]));
  const counts = masks.map(({ count }) => count.reduce((sum, term) => sum + sizeOf(term), 0));
  const data = new Uint8Array(counts.reduce((one, other) => one + other, 0));
  let at = 0;
  masks.forEach(({ keep }, which) => {
    for (const end = at + counts[which]; at < end; at += 1) data[at] = twister.fraction() < keep ? 1 : 0;
  });
  return { type: "bool", dims: [data.length], data };
}

// A training that goes on where state.json says. `open(file)` gives a session of it, `Tensor` is the
// runtime's, and `bytes(file, offset, length)` reads a part of a file of the model.
class Training {
  static async load(described, { open, bytes, Tensor }) {
    const training = new Training();
    training.described = described;
    training.Tensor = Tensor;
    training.rates = described.learning_rates;
    training.twister = described.masks ? new Twister(described.generator) : null;
    training.values = {};
    for (const { input, dtype, shape, file, offset, nbytes } of described.states) {
      training.values[input] ??= holding(dtype, shape, await bytes(file, offset, nbytes));
    }
    training.sessions = [await open(`${FOLDER}/step.onnx`), await open(`${FOLDER}/predict.onnx`)];
    return training;
  }

  // Takes one step; returns its loss.
  async step(inputs, targets) {
    const given = { ...inputs, ...targets };
    const rows = Object.values(inputs)[0].dims[0];
    if (rows < this.described.rows) throw new Error(`a step takes ${this.described.rows} rows or more`);
    this.rates[0].forEach((rate, at) => { given[`lr/${at}`] = { type: "float64", dims: [], data: Float64Array.of(rate) }; });
    if (this.twister) given.masks = drawn(this.described.masks, this.twister, given);
    const answers = await this.run(this.sessions[0], given);
    for (const { input, output } of this.described.states) if (output !== null) this.values[input] = answers[output];
    return answers.loss;
  }

  // The next epoch has the next learning rates, where a schedule says so.
  endEpoch() {
    if (!this.described.scheduled) return;
    if (this.rates.length === 1) throw new Error("the learning rates written down end here");
    this.rates = this.rates.slice(1);
  }

  predict(inputs) {
    return this.run(this.sessions[1], inputs);
  }

  run(session, given) {
    const taken = session.inputNames.map((name) => {
      const { type, data, dims } = given[name] ?? this.values[name];
      return [name, new this.Tensor(type, data, dims)];
    });
    return session.run(Object.fromEntries(taken));
  }

  // Weights and optimizer's state by name.
  state() {
    const entries = this.described.states.filter(({ name }) => !name.startsWith("constant/"));
    return Object.fromEntries(entries.map(({ name, input }) => [name, this.values[input]]));
  }
}

// Returns these rows of an array, whose next axes end where `ends` says.
function rowsOf({ type, dims, data }, rows, ends) {
  const sizes = dims.slice(1).map((size, at) => ends[at] ?? size);
  let places = [0];
  sizes.forEach((size, axis) => {
    const width = product(dims.slice(axis + 2));
    places = places.flatMap((place) => Array.from({ length: size }, (_, at) => place + at * width));
  });
  const whole = product(dims.slice(1));
  const taken = type === "string" ? [] : new data.constructor(rows.length * places.length);
  rows.forEach((row, at) => places.forEach((place, n) => { taken[at * places.length + n] = data[row * whole + place]; }));
  return { type, dims: [rows.length, ...sizes], data: taken };
}

// Returns a step's arrays of a side, `input.` or `target.`, of training.npz.
function ofStep(arrays, side, step) {
  const rows = [...arrays.step.data.keys()].filter((row) => Number(arrays.step.data[row]) === step);
  const chosen = Object.keys(arrays).filter((name) => name.startsWith(side));
  return Object.fromEntries(chosen.map((name) => {
    const sizes = arrays[`size.${name}`];
    const axes = sizes ? sizes.dims[1] ?? 1 : 0;
    const ends = [...Array(axes).keys()].map((axis) => Number(sizes.data[step * axes + axis]));
    return [name.slice(side.length), rowsOf(arrays[name], rows, ends)];
  }));
}

// Takes the steps that the source took; says how far each loss and the answers after them are off.
// `keep` gets all that came of it, by kind and name. Returns whether it is as training promises.
async function follow(training, steps, batch, say, keep) {
  let right = true;
  for (let step = 0; step < steps.loss.dims[0]; step += 1) {
    const loss = await training.step(ofStep(steps, "input.", step), ofStep(steps, "target.", step));
    const recorded = { type: loss.type, dims: [], data: steps.loss.data.slice(step, step + 1) };
    const result = compared(loss, recorded, WITHIN);
    await say(`step ${step}: loss ${loss.data[0].toFixed(6)}, with the source ${recorded.data[0].toFixed(6)}${result.right ? "" : ", which is too far"}`);
    await keep("losses", String(step), loss);
    if (steps.ends_epoch.data[step]) training.endEpoch();
    right = right && result.right;
  }
  for (const [name, array] of Object.entries(training.state())) await keep("state", name, array);
  const inputs = Object.entries(batch).filter(([name]) => name.startsWith("input."));
  const answers = await training.predict(Object.fromEntries(inputs.map(([name, array]) => [name.slice(6), array])));
  for (const [name, array] of Object.entries(answers)) await keep("answers", name, array);
  return right;
}

// A name as that of a file.
const fileOf = (kind, name) => `${kind}.${encodeURIComponent(name)}.npy`;

if (typeof module !== "undefined") {
  Object.assign(globalThis, { compared: require("./difference.js").compared, holding: require("./npz.js").holding });
  module.exports = { FOLDER, Training, Twister, fileOf, follow, ofStep };
}
