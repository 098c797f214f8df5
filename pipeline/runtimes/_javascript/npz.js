// Reads and writes numpy's files: .npz as numpy.savez writes it, stored and not compressed, and .npy.
"use strict";

// Letters of numpy's dtype -> ONNX Runtime's type, and the array that holds it.
const KINDS = {
  f4: ["float32", Float32Array], f8: ["float64", Float64Array], b1: ["bool", Uint8Array],
  i1: ["int8", Int8Array], i2: ["int16", Int16Array], i4: ["int32", Int32Array],
  i8: ["int64", BigInt64Array], u1: ["uint8", Uint8Array], u2: ["uint16", Uint16Array],
  u4: ["uint32", Uint32Array], u8: ["uint64", BigUint64Array],
};

function* entries(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.byteLength - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end -= 1;
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left -= 1) {
    const [method, size] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
    const [name, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const local = view.getUint32(at + 42, true);
    if (method !== 0 || size === 0xffffffff) throw new Error("expected what numpy.savez writes");
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const title = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + name));
    yield [title.replace(/\.npy$/, ""), bytes.subarray(start, start + size)];
    at += 46 + name + extra + comment;
  }
}

function array(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = bytes[6] > 1;
  const start = (wide ? 12 : 10) + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder().decode(bytes.subarray(10, start));
  const [, order, kind] = header.match(/'descr': '([<>|])(\w+)'/);
  if (order === ">" || header.includes("True")) throw new Error(`cannot read ${header.trim()}`);
  const dims = header.match(/\(([^)]*)\)/)[1].split(",").filter((text) => text.trim()).map(Number);
  const data = new Uint8Array(bytes.subarray(start)); // a copy, which begins where any number may
  if (kind[0] === "U") return { type: "string", dims, data: texts(data, Number(kind.slice(1))) };
  if (!(kind in KINDS)) throw new Error(`cannot read arrays of ${kind}`);
  const [type, Holder] = KINDS[kind];
  return { type, dims, data: new Holder(data.buffer, data.byteOffset, data.byteLength / Holder.BYTES_PER_ELEMENT) };
}

// Returns an array over bytes, which are copied; `type` is ONNX Runtime's name, and numpy's.
function holding(type, dims, bytes) {
  const found = Object.values(KINDS).find(([name]) => name === type);
  if (!found) throw new Error(`cannot read an array of ${type}`);
  return { type, dims, data: new found[1](new Uint8Array(bytes).buffer) };
}

function texts(data, length) {
  const points = new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  const found = [];
  for (let at = 0; at < points.length; at += length) {
    found.push(String.fromCodePoint(...points.subarray(at, at + length)).replace(/\0+$/, ""));
  }
  return found;
}

// Returns a file's arrays by name.
function read(bytes) {
  return Object.fromEntries([...entries(bytes)].map(([name, content]) => [name, array(content)]));
}

// Returns the bytes of an .npy file.
function written({ type, dims, data }) {
  if (type === "string") return file(...points(data), dims);
  const found = Object.entries(KINDS).find(([, [name]]) => name === type);
  if (!found) throw new Error(`cannot write an array of ${type}`);
  return file(`${found[1][1].BYTES_PER_ELEMENT === 1 ? "|" : "<"}${found[0]}`, data, dims);
}

function points(data) {
  const letters = data.map((text) => [...text]);
  const length = Math.max(1, ...letters.map((each) => each.length));
  const numbers = new Uint32Array(length * data.length);
  letters.forEach((each, row) => each.forEach((one, at) => { numbers[row * length + at] = one.codePointAt(0); }));
  return [`<U${length}`, numbers];
}

function file(kind, data, dims) {
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(", ");
  let header = `{'descr': '${kind}', 'fortran_order': False, 'shape': (${shape}), }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + "\n";
  const bytes = new Uint8Array(10 + header.length + data.byteLength);
  bytes.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length & 255, header.length >> 8]);
  bytes.set(new TextEncoder().encode(header), 10);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + header.length);
  return bytes;
}

if (typeof module !== "undefined") module.exports = { holding, read, written };
