// Beside the page: reads and writes, so that the page never waits.

import { answering } from "./answering.js";
import { LanguageModel } from "./language-model.js";
import { floats, ints, json, opened } from "./onnx.js";
import { Tokenizer } from "./tokenizer.js";

const PAUSE = 16; // milliseconds between two looks at what the page asks for meanwhile

let model;
let stopped = false;

const tasks = {
  async load() {
    const [{ manifest, session }, definition] = await Promise.all([opened(), json("tokenizer.json")]);
    const { vocabulary_size: size, states } = manifest.model;
    const named = states.map(([name, output, width]) => ({ name, output, width }));
    const gates = (manifest.gates ?? []).map(([name, width]) => ({ name, width }));
    async function run(token, values) {
      const inputs = { tokens: ints([token], [1, 1]) };
      named.forEach(({ name, width }, k) => {
        if (session.inputNames.includes(name)) inputs[name] = floats(values[k], [1, width]); // some are read by nothing
      });
      const outputs = await session.run(inputs);
      return {
        logits: outputs.logits.data.subarray(0, size),
        states: named.map(({ output }) => outputs[output].data),
        gates: gates.map(({ name }) => outputs[name].data),
      };
    }
    const tokenizer = new Tokenizer(definition);
    model = new LanguageModel(run, named.map(({ width }) => width), tokenizer);
    const seen = named.map(({ name, width }) => ({ name, width }));
    seen.push(...gates.map((gate) => ({ ...gate, isGate: true })));
    return { kind: tokenizer.kind, size, seen, start: (await model.begin()).id };
  },

  // The tokens of a prompt, from the beginning.
  async read({ text }, tell) {
    const tokens = model.tokenizer.encode(text);
    return following(await model.begin(), tokens.length, (node, k) => model.add(node, tokens[k], -1), tell);
  },

  async write({ from, length, settings }, tell) {
    return following(model.nodes[from], length, (node) => model.write(node, settings), tell);
  },

  // A token that was chosen by hand.
  async add({ from, token }, tell) {
    const node = model.nodes[from];
    return following(node, 1, () => model.add(node, token, node.step + 1), tell);
  },

  next: ({ from, settings, token }) => model.next(model.nodes[from], settings, token),
  values: ({ ids, place, unit }) => model.values(ids, place, unit),
  liveliest: ({ ids, place }) => model.liveliest(ids, place),
};

// Goes on for some tokens, and tells the page of them in parcels. Returns the last node's number, and whether it was
// stopped.
async function following(node, length, advance, tell) {
  stopped = false;
  let parcel = [];
  let told = performance.now();
  for (let k = 0; k < length && !stopped; k++) {
    node = await advance(node, k);
    parcel.push(shown(node));
    if (performance.now() - told < PAUSE) continue;
    tell(parcel);
    parcel = [];
    await othersTurn();
    told = performance.now();
  }
  if (parcel.length) tell(parcel);
  return { end: node.id, stopped };
}

function shown({ id, parent, token, step, piece, logProbability, rank }) {
  const rest = model.tokenizer.rest(piece.end);
  const label = model.tokenizer.shown(token);
  return { id, parent: parent.id, token, step, text: piece.text, rest, label, logProbability, rank };
}

// Lets messages in: a promise alone would not, and timers wait for 4 milliseconds.
function othersTurn() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

answering(tasks, { stop: () => (stopped = true) });
