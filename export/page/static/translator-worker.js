// Beside the page: encodes a source, and writes what the model says of it, the likeliest symbol each time.

import { answering } from "./answering.js";
import { ints, json, ones, opened } from "./onnx.js";
import { PairVocabulary } from "./pair-vocabulary.js";
import { choose } from "./sampler.js";

const LENGTHS = 8; // sources are filled up to a multiple of it, as in Python
const MOST = 100; // symbols

let session, about, vocabulary, empty;

answering({
  async load() {
    const [found, source, target] = await Promise.all([opened(), json("source.json"), json("target.json")]);
    session = found.session;
    about = found.manifest.model;
    vocabulary = new PairVocabulary(source, target);
    empty = small();
    return { source: about.source_vocabulary, target: about.target_vocabulary };
  },

  async translate({ text }) {
    const source = vocabulary.sourceIds(text);
    const { constants, states } = await encoded(source);
    const [ids, attention] = [[], []];
    let [token, now] = [about.start, states];
    for (let k = 0; k < MOST; k++) {
      const found = await step(token, constants, now);
      token = choose(found.logits, k, { temperature: 0 });
      if (token === about.end) break;
      ids.push(token);
      attention.push(found.attention.slice(0, source.length));
      now = found.states;
    }
    return {
      text: vocabulary.write(ids),
      source: source.map((id) => vocabulary.shown("source", id)),
      target: ids.map((id) => vocabulary.shown("target", id)),
      attention,
    };
  },
});

// One graph holds both functions, and wants all inputs, whatever is asked for: small ones for the other one.
function small() {
  const found = {};
  for (const { name, type, shape } of session.inputMetadata) {
    found[name] = ones(type, shape.map((size) => (typeof size === "number" && size > 0 ? size : 1)));
  }
  return found;
}

async function encoded(source) {
  const length = Math.max(Math.ceil(source.length / LENGTHS), 1) * LENGTHS;
  const filled = [...source, ...new Array(length - source.length).fill(0)];
  const outputs = await session.run({ ...empty, source: ints(filled, [1, length]) }, about.begin.outputs);
  const states = new Set(about.states.map(([name]) => name));
  const read = (name) => name !== "tokens" && session.inputNames.includes(name); // some states are read by nothing
  const taken = about.inputs.map(({ name }) => name).filter(read);
  const of = (names) => Object.fromEntries(names.map((name) => [name, outputs[`${name}_begin`]]));
  return {
    constants: of(taken.filter((name) => !states.has(name))),
    states: of(taken.filter((name) => states.has(name))),
  };
}

async function step(token, constants, states) {
  const inputs = { ...empty, tokens: ints([token], [1]), ...constants, ...states };
  const outputs = await session.run(inputs, about.outputs);
  const read = about.states.filter(([name]) => session.inputNames.includes(name));
  const after = Object.fromEntries(read.map(([name, output]) => [name, outputs[output]]));
  return { logits: outputs.logits.data, attention: Array.from(outputs.attention.data), states: after };
}
