// How far answers are from the trained model's, and how far they may be.
"use strict";

const OF_ANSWERS = { atol: @ATOL@, rtol: @RTOL@ }, LARGE = 10;

// A value may be off by atol + rtol * |value|; atol grows with its row's largest value beyond LARGE.
function compared(answer, expected, { atol, rtol } = OF_ANSWERS) {
  const shape = (array) => `${array.type}[${array.dims}]`;
  if (shape(answer) !== shape(expected)) {
    return { text: `is ${shape(answer)}, expected ${shape(expected)}`, right: false };
  }
  if (!expected.type.startsWith("float")) {
    const wrong = expected.data.findIndex((value, at) => value !== answer.data[at]);
    return { text: wrong < 0 ? "equal" : `value ${wrong} differs`, right: wrong < 0 };
  }
  const width = expected.dims.length > 1 ? expected.data.length / (expected.dims[0] || 1) : 0;
  let [largest, right] = [0, true];
  expected.data.forEach((value, at) => {
    const found = answer.data[at];
    if (Object.is(found, value) || found === value) return;
    const row = Math.floor(at / width) * width;
    const size = width ? magnitude(expected.data, row, row + width) : 0;
    const off = Math.abs(found - value);
    largest = off <= largest ? largest : off;
    right = right && off <= atol * Math.max(1, size / LARGE) + rtol * Math.abs(value);
  });
  return { text: `largest difference ${largest.toPrecision(3)}`, right };
}

function magnitude(data, from, to) {
  let size = 0;
  for (let at = from; at < to; at += 1) size = Number.isFinite(data[at]) ? Math.max(size, Math.abs(data[at])) : size;
  return size;
}

// Returns the first row of an array, as often as is asked for.
function repeated({ type, dims, data }, rows) {
  const width = data.length / dims[0];
  const Holder = data.constructor;
  const many = type === "string" ? [] : new Holder(width * rows);
  for (let at = 0; at < width * rows; at += 1) many[at] = data[at % width];
  return { type, dims: [rows, ...dims.slice(1)], data: many };
}

if (typeof module !== "undefined") module.exports = { compared, repeated };
