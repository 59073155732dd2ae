// Beside the page: says the tags of words.

import { answering } from "./answering.js";
import { ints, json, opened } from "./onnx.js";
import { bestTags, Vocabulary } from "./vocabulary.js";

let session, vocabulary, chain;

answering({
  async load() {
    const [found, definition] = await Promise.all([opened(), json("vocabulary.json")]);
    session = found.session;
    chain = found.manifest.model.chain;
    vocabulary = new Vocabulary(definition);
    return { words: vocabulary.words.size, labels: vocabulary.labels };
  },

  // The words of each line, and their tags.
  async tag({ text }) {
    const sentences = text.split("\n").map((line) => vocabulary.split(line)).filter((words) => words.length);
    const tagged = [];
    for (const words of sentences) tagged.push({ words, tags: await tagsOf(words) });
    return tagged;
  },
});

async function tagsOf(words) {
  const inputs = { words: ints(vocabulary.wordIds(words), [1, words.length]) };
  if (session.inputNames.includes("characters")) {
    inputs.characters = ints(vocabulary.characterIds(words), [1, words.length, vocabulary.longest]);
  }
  const { logits } = await session.run(inputs);
  const width = logits.dims[2];
  const scores = words.map((_, k) => Array.from(logits.data.subarray(k * width, (k + 1) * width)));
  return bestTags(scores, chain).map((tag) => vocabulary.labels[tag]);
}
