// Texts as a tree: each node is a token that was read, with the states after it. So a text goes on from any of its tokens.

import { best, choose, logSoftmax, weights } from "./sampler.js";

const SHOWN = 10; // of the tokens that may come next

export class LanguageModel {
  // `run(token, states)` gives `{ logits, states, gates }`; `widths` are those of the states.
  constructor(run, widths, tokenizer) {
    Object.assign(this, { run, widths, tokenizer, nodes: [], last: null });
  }

  // The node before a text: its start symbol, read by states of zeros.
  async begin() {
    if (!this.nodes.length) await this.add(null, this.tokenizer.start, -1);
    return this.nodes[0];
  }

  // The node of a token after another one. Step: how many tokens were written before it, -1 for one of a prompt.
  async add(parent, token, step) {
    const before = parent ? await this.logits(parent) : null;
    const there = parent?.children.find((node) => node.token === token && node.step === step);
    if (there) return there;
    const node = { id: this.nodes.length, parent, token, step, children: [] };
    node.piece = this.tokenizer.piece(token, parent?.piece.end);
    if (before) Object.assign(node, measured(before, token));
    await this.read(node);
    parent?.children.push(node);
    this.nodes.push(node);
    return node;
  }

  async read(node) {
    const states = node.parent?.states ?? this.widths.map((width) => new Float32Array(width));
    const found = await this.run(node.token, states);
    node.states = found.states;
    node.seen = [...found.states, ...found.gates];
    this.last = { node, logits: found.logits };
  }

  // The logits after a node: those of many would take more memory than there is, and one step gives them again.
  async logits(node) {
    if (this.last?.node !== node) await this.read(node);
    return this.last.logits;
  }

  // The node that the sampler chooses after this one.
  async write(node, settings) {
    const step = node.step + 1;
    return this.add(node, choose(await this.logits(node), step, settings), step);
  }

  // The likeliest tokens after a node: by the model itself, and by the settings. `token` is among them, if any.
  async next(node, settings, token) {
    const logits = await this.logits(node);
    const logs = logSoftmax(logits);
    const parts = weights(logits, settings);
    const all = parts.reduce((sum, part) => sum + part, 0);
    const ids = best(logs, SHOWN);
    if (token !== undefined && !ids.includes(token)) ids.splice(SHOWN - 1, 1, token);
    return ids.map((id) => ({
      token: id,
      shown: this.tokenizer.shown(id),
      probability: Math.exp(logs[id]),
      drawn: parts[id] / all,
    }));
  }

  // The values of one unit of a state or a gate at these nodes.
  values(ids, place, unit) {
    return Float32Array.from(ids, (id) => this.nodes[id].seen[place][unit]);
  }

  // The unit of a state or a gate that changes most over these nodes.
  liveliest(ids, place) {
    const width = this.nodes[ids[0]].seen[place].length;
    const [sums, squares] = [new Float64Array(width), new Float64Array(width)];
    for (const id of ids) {
      this.nodes[id].seen[place].forEach((value, unit) => {
        sums[unit] += value;
        squares[unit] += value * value;
      });
    }
    const variances = squares.map((square, unit) => square / ids.length - (sums[unit] / ids.length) ** 2);
    return best(variances, 1)[0];
  }
}

// How likely a token was: its log-probability in nats, and its rank from 1 on.
function measured(logits, token) {
  let rank = 1;
  for (const logit of logits) if (logit > logits[token]) rank++;
  return { logProbability: logSoftmax(logits)[token], rank };
}
