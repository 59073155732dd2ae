// A model in ONNX Runtime Web, on one thread, which any static server allows.

import * as ort from "./onnxruntime-web/ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("./onnxruntime-web/ort-wasm-simd-threaded.wasm", import.meta.url).href };

export async function fetched(name) {
  const answer = await fetch(new URL(`./model/${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`${name} could not be had: ${answer.status} ${answer.statusText}`);
  return answer;
}

export async function json(name) {
  return (await fetched(name)).json();
}

// What the page's folder holds: its manifest, and a session for its model.
export async function opened() {
  const file = fetched("model.onnx").then((answer) => answer.arrayBuffer());
  const manifest = await json("manifest.json");
  const session = await ort.InferenceSession.create(await file, { executionProviders: ["wasm"] });
  return { manifest, session };
}

export function ints(values, shape) {
  return new ort.Tensor("int32", Int32Array.from(values), shape);
}

// What stands for an input that is not read.
export function ones(type, shape) {
  const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, bool: Uint8Array };
  const count = shape.reduce((product, size) => product * size, 1);
  return new ort.Tensor(type, new arrays[type](count).fill(type === "int64" ? 1n : 1), shape);
}

export function floats(values, shape) {
  return new ort.Tensor("float32", values, shape);
}
