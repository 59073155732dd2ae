// An exported language model writes text in Node.
//
//     npm install --ignore-scripts
//     node generate.mjs EXPORTED "The " 200 0.8 1
//
// EXPORTED is a folder that `keras-rnnlm export` wrote, of a model of words, characters, bytes or pieces of words. Then
// come the prompt, the number of tokens, the temperature (0: always the likeliest) and the seed. The same seed writes what
// Python writes.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-node";

const [folder, prompt = "", length = "200", temperature = "0.8", seed = "0"] = process.argv.slice(2);
if (!folder) {
  console.error('usage: node generate.mjs EXPORTED "prompt" [length] [temperature] [seed]');
  process.exit(2);
}

const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf-8"));
const { vocabulary_size: vocabularySize, states: stateNames } = manifest.model;
const definition = JSON.parse(readFileSync(join(folder, manifest.tokenizer.file), "utf-8"));
const ids = definition.model.vocab;
const tokenizer = new Tokenizer(definition, {});

// Unicode's White_Space, spelled out: `\s` means something else in Python and in JavaScript.
const BLANK = "\\t\\x0b\\x0c\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const LINE_END = new RegExp(`(?:(?<![^\\n${BLANK}])<eos>[${BLANK}]*)?\\n`, "gu");
const WORD = new RegExp(`[^\\n${BLANK}]+`, "gu");

function encode(text) {
  if (manifest.tokenizer.kind !== "word") return tokenizer.encode(text, { add_special_tokens: false }).ids;
  // A line end is a word of its own, which the library has no name for; an <eos> right before it is the same one.
  const words = text.replace(LINE_END, " <eos> ").match(WORD) ?? [];
  return words.map((word) => ids[word] ?? ids["<unk>"]);
}

function decode(tokens) {
  return tokens.length ? tokenizer.decode(tokens, { clean_up_tokenization_spaces: false }) : "";
}

// A uniform number that depends on nothing but where it is used, in 32-bit integers that wrap around.
function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

const SEED = [0n, 32n].map((shift) => Number(BigInt.asIntN(32, BigInt(seed) >> shift)));

function uniform(row, step, number) {
  let bits = 0x9e3779b9 | 0;
  for (const word of [...SEED, row, step, number]) bits = mix(bits ^ word);
  return (bits >>> 8) / 2 ** 24;
}

// A token, one binary digit of its id at a time.
function draw(weights, step) {
  const digits = 32 - Math.clz32(vocabularySize - 1);
  let start = 0;
  for (let number = 0, half = 2 ** (digits - 1); number < digits; number++, half /= 2) {
    let zeros = 0;
    let ones = 0;
    for (let id = start; id < Math.min(start + half, vocabularySize); id++) zeros += weights[id];
    for (let id = start + half; id < Math.min(start + 2 * half, vocabularySize); id++) ones += weights[id];
    if (uniform(0, step, number) * (zeros + ones) >= zeros) start += half;
  }
  return start;
}

function choose(logits, step) {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  if (Number(temperature) === 0) return logits.indexOf(most);
  return draw(Array.from(logits, (x) => Math.exp((x - most) / Number(temperature))), step);
}

const session = await ort.InferenceSession.create(join(folder, "model.onnx"));
let states = Object.fromEntries(
  stateNames.map(([name, , units]) => [name, new ort.Tensor("float32", new Float32Array(units), [1, units])]),
);

// Reads tokens, and returns the logits after the last of them.
async function read(tokens) {
  const input = new ort.Tensor("int32", Int32Array.from(tokens), [1, tokens.length]);
  const outputs = await session.run({ tokens: input, ...states });
  states = Object.fromEntries(stateNames.map(([name, output]) => [name, outputs[output]]));
  return outputs.logits.data.slice(-vocabularySize);
}

const start = ids["<eos>"] ?? encode("\n")[0];
let logits = await read([start, ...encode(prompt)]);
const written = [];
for (let step = 0; step < Number(length); step++) {
  written.push(choose(logits, step));
  if (step + 1 < Number(length)) logits = await read(written.slice(-1));
}
const before = decode(encode(prompt));
console.log(prompt + decode([...encode(prompt), ...written]).slice(before.length));
