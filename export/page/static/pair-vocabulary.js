// Two tokenizers as one vocabulary, as `keras_rnnlm.text.PairVocabulary` has them.

import { Tokenizer } from "./tokenizer.js";

const RESERVED = 3; // 0 is padding, 1 begins a target, 2 ends it
const NAMES = ["", "start", "end"];

export class PairVocabulary {
  constructor(source, target) {
    this.source = new Tokenizer(source);
    this.target = new Tokenizer(target);
  }

  sourceIds(text) {
    return this.source.encode(text).map((id) => id + RESERVED);
  }

  write(ids) {
    return this.target.decode(ids.filter((id) => id >= RESERVED).map((id) => id - RESERVED));
  }

  // A readable piece of text for an id of one side.
  shown(side, id) {
    return NAMES[id] ?? this[side].shown(id - RESERVED);
  }
}
