// The page: what is drawn becomes the model's input, and a label that is given becomes steps.
"use strict";

const PICTURE = @PICTURE@; // the input, its shape and side, the target, the labels, the output
const PEN = 22, STEPS = 10, MORE = 50; // pixels, and the steps that a label makes, and practice

const part = (id) => document.getElementById(id);
const lessons = [], losses = [];
let [training, load, rows, brightest, busy] = [null, null, null, 1, true];
let strongest = null; // the learning rates of the epoch that learns most: a schedule may end with 0

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// What is drawn is cut out, brought to the middle and to the size of a picture, and averaged.
function seen() {
  const { side } = PICTURE, fine = side * 8;
  const source = part("paper").getContext("2d").getImageData(0, 0, 300, 300).data;
  let [left, top, right, bottom] = [300, 300, -1, -1];
  for (let at = 0; at < 90000; at += 1) {
    if (source[4 * at + 3] < 32) continue;
    const [x, y] = [at % 300, Math.floor(at / 300)];
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  }
  const picture = new Float64Array(side * side);
  if (right < 0) return null;
  const [width, height] = [right - left + 1, bottom - top + 1];
  const scale = (side > 16 ? 5 / 7 : 1) * fine / Math.max(width, height);
  const small = new OffscreenCanvas(fine, fine).getContext("2d", { willReadFrequently: true });
  const [w, h] = [width * scale, height * scale];
  small.drawImage(part("paper"), left, top, width, height, (fine - w) / 2, (fine - h) / 2, w, h);
  const data = small.getImageData(0, 0, fine, fine).data;
  for (let at = 0; at < fine * fine; at += 1) {
    const cell = Math.floor(Math.floor(at / fine) / 8) * side + Math.floor((at % fine) / 8);
    picture[cell] += data[4 * at + 3] / 255 / 64;
  }
  return picture;
}

// Returns pictures as the model's input.
function inputOf(pictures) {
  const values = pictures.flatMap((picture) => [...picture].map((ink) => ink * brightest));
  return { [PICTURE.input]: filled(PICTURE.dtype, [pictures.length, ...PICTURE.shape], values) };
}

function filled(type, dims, numbers) {
  const array = holding(type, dims, new Uint8Array(0));
  const { constructor } = array.data;
  const whole = !type.startsWith("float");
  const values = numbers.map((each) => (type.endsWith("64") && whole ? BigInt(Math.round(each)) : whole ? Math.round(each) : each));
  return { type, dims, data: constructor.from(values) };
}

async function answers(pictures) {
  const { data } = (await training.predict(inputOf(pictures)))[PICTURE.output];
  const count = PICTURE.labels.length;
  return pictures.map((_, row) => softmax([...data.slice(row * count, (row + 1) * count)]));
}

// Returns probabilities of what may be such already.
function softmax(values) {
  const whole = values.reduce((one, other) => one + other, 0);
  if (Math.abs(whole - 1) < 1e-3 && values.every((value) => value >= 0)) return values;
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / sum);
}

const best = (values) => values.indexOf(Math.max(...values));

function draw(canvas, picture) {
  [canvas.width, canvas.height] = [PICTURE.side, PICTURE.side];
  const context = canvas.getContext("2d");
  const image = context.createImageData(PICTURE.side, PICTURE.side);
  (picture ?? []).forEach((ink, at) => image.data.set([29, 39, 51, Math.round(255 * Math.min(ink, 1))], 4 * at));
  context.putImageData(image, 0, 0);
}

async function show() {
  const picture = seen();
  draw(part("seen"), picture);
  const [guesses] = picture ? await answers([picture]) : [null];
  [...part("answers").children].forEach((bar, at) => {
    bar.className = guesses && at === best(guesses) ? "bar best" : "bar";
    bar.children[1].firstChild.style.width = guesses ? `${100 * guesses[at]}%` : "0";
    bar.children[2].textContent = guesses ? `${Math.round(100 * guesses[at])} %` : "";
  });
}

function showLoss() {
  const chart = part("chart"), context = chart.getContext("2d");
  [chart.width, chart.height] = [chart.clientWidth * 2, 260];
  part("loss").textContent = losses.length ? losses.at(-1).toFixed(3) : "";
  if (!losses.length) return;
  const most = Math.max(...losses) * 1.05, [w, h] = [chart.width - 100, chart.height - 24];
  context.font = "22px system-ui, 'Liberation Sans', sans-serif";
  context.fillStyle = "#66717d";
  context.fillText(most.toPrecision(2), 10, 30);
  context.fillText("0", 10, h + 8);
  context.strokeStyle = "#1f6feb";
  context.lineWidth = 4;
  context.beginPath();
  losses.forEach((loss, at) => context.lineTo(80 + (w * at) / Math.max(losses.length - 1, 1), 12 + h * (1 - loss / most)));
  context.stroke();
}

async function showLessons() {
  if (!lessons.length) {
    part("lessons").innerHTML = "<small>None yet: draw, then say what it is.</small>";
    return;
  }
  const guesses = await answers(lessons.map(({ picture }) => picture));
  part("lessons").replaceChildren(...lessons.map(({ picture, label }, at) => {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const taken = best(guesses[at]);
    figure.className = taken === label ? "right" : "wrong";
    draw(canvas, picture);
    figure.append(canvas, taken === label ? PICTURE.labels[label] : `${PICTURE.labels[label]}, not ${PICTURE.labels[taken]}`);
    return figure;
  }));
}

// A step's rows: some that the model came with, so that it does not forget them, and as many drawings.
function batch(number) {
  const step = number % rows.loss.dims[0];
  const [given, truths] = [ofStep(rows, "input.", step), ofStep(rows, "target.", step)];
  const [input, target] = [given[PICTURE.input], truths[PICTURE.target]];
  const count = Math.max(input.dims[0], lessons.length);
  const drawn = Array.from({ length: count }, (_, at) => lessons[at % lessons.length]);
  const mine = inputOf(drawn.map(({ picture }) => picture))[PICTURE.input];
  const labels = filled(target.type, [count], drawn.map(({ label }) => label));
  return [{ [PICTURE.input]: joined(input, mine) }, { [PICTURE.target]: joined(target, labels) }];
}

function joined(one, other) {
  const data = new one.data.constructor(one.data.length + other.data.length);
  data.set(one.data);
  data.set(other.data, one.data.length);
  return { type: one.type, dims: [one.dims[0] + other.dims[0], ...one.dims.slice(1)], data };
}

async function practise(steps) {
  enable(false);
  const rate = Number(part("rate").value);
  training.rates = [strongest.map((each) => (strongest[0] ? (each * rate) / strongest[0] : rate))];
  for (let step = 0; step < steps; step += 1) {
    const loss = await training.step(...batch(losses.length));
    losses.push(loss.data[0]);
    showLoss();
    await new Promise(requestAnimationFrame);
  }
  await showLessons();
  part("said").textContent = `${losses.length} steps taken.`;
  enable(true);
}

function enable(free) {
  busy = !free;
  for (const button of part("labels").children) button.disabled = busy || seen() === null;
  part("more").disabled = part("forget").disabled = busy || !lessons.length;
}

async function teach(label) {
  lessons.push({ picture: seen(), label });
  wipe();
  await practise(STEPS);
  await show();
}

async function forget() {
  training = await load();
  lessons.length = losses.length = 0;
  part("said").textContent = "It is as it came.";
  showLoss();
  await showLessons();
  await show();
  enable(true);
}

function wipe() {
  part("paper").getContext("2d").clearRect(0, 0, 300, 300);
}

function paper() {
  const canvas = part("paper"), context = canvas.getContext("2d", { willReadFrequently: true });
  Object.assign(context, { lineWidth: PEN, lineCap: "round", lineJoin: "round", strokeStyle: "#1d2733" });
  let down = false;
  const at = ({ offsetX, offsetY }) => [offsetX, offsetY];
  canvas.addEventListener("pointerdown", (event) => {
    down = true;
    canvas.setPointerCapture(event.pointerId);
    context.beginPath();
    context.moveTo(...at(event));
    context.lineTo(...at(event));
    context.stroke();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!down) return;
    context.lineTo(...at(event));
    context.stroke();
  });
  canvas.addEventListener("pointerup", async () => {
    down = false;
    if (busy) return;
    await show();
    enable(true);
  });
}

async function main() {
  part("answers").replaceChildren(...PICTURE.labels.map((label) => {
    const bar = Object.assign(document.createElement("div"), { className: "bar" });
    bar.innerHTML = "<span></span><div><i></i></div><span></span>";
    bar.firstChild.textContent = label;
    return bar;
  }));
  part("labels").replaceChildren(...PICTURE.labels.map((label, at) => {
    const button = Object.assign(document.createElement("button"), { textContent: label, disabled: true });
    button.addEventListener("click", () => teach(at));
    return button;
  }));
  paper();
  draw(part("seen"), null);
  const packed = JSON.parse(part("files").textContent), files = {};
  for (const name of Object.keys(packed)) files[name] = await unpacked(packed[name]);
  const ort = await import(URL.createObjectURL(new Blob([files.runtime], { type: "text/javascript" })));
  Object.assign(ort.env.wasm, { wasmBinary: files.wasm.buffer, numThreads: 1 });
  const described = JSON.parse(new TextDecoder().decode(files["state.json"]));
  const open = (file) => ort.InferenceSession.create(files[file]);
  const bytes = (file, offset, length) => files[file].subarray(offset, offset + length);
  load = () => Training.load(described, { open, bytes, Tensor: ort.Tensor });
  training = await load();
  strongest = described.learning_rates.reduce((one, other) => (other[0] > one[0] ? other : one));
  part("rate").value = Number((strongest[0] || 0.001).toPrecision(3));
  rows = read(files["training.npz"]);
  brightest = rows[`input.${PICTURE.input}`].data.reduce((one, other) => Math.max(one, Number(other)), 0) || 1;
  for (const [id, act] of [["clear", () => { wipe(); return show(); }], ["more", () => practise(MORE)], ["forget", forget]]) {
    part(id).addEventListener("click", async () => { await act(); enable(true); });
  }
  part("said").textContent = "Ready: draw, then say what it is.";
  enable(true);
  await show();
}

main().catch((fault) => { part("said").textContent = String(fault.message ?? fault).split("\n")[0]; });
