// Words, their characters and labels by number, as `keras_rnnlm.text.Vocabulary` has them, and the best tags of scores.

const [PADDING, UNKNOWN, RESERVED] = [0, 1, 2];
// What Python's `split` splits at.
const WORD = /[^\t\n\x0b\x0c\r\x1c-\x1f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/gu;

export class Vocabulary {
  // `definition` is the object in a vocabulary.json.
  constructor(definition) {
    this.lower = definition.lower;
    this.longest = definition.longest_word;
    this.labels = definition.labels;
    this.words = new Map(definition.words.map((word, k) => [word, k + RESERVED]));
    this.characters = new Map(definition.characters.map((character, k) => [character, k + RESERVED]));
  }

  // What stands between white space.
  split(text) {
    return text.match(WORD) ?? [];
  }

  wordIds(words) {
    return words.map((word) => this.words.get(this.lower ? word.toLowerCase() : word) ?? UNKNOWN);
  }

  // The characters of the words, one word after the other, each filled up to the longest.
  characterIds(words) {
    return words.flatMap((word) => {
      const ids = Array.from(word).slice(0, this.longest).map((letter) => this.characters.get(letter) ?? UNKNOWN);
      return [...ids, ...new Array(this.longest - ids.length).fill(PADDING)];
    });
  }
}

// The most probable tags of one sentence. `scores` are lists, a step each; `chain` has the transitions of a CRF, or none.
export function bestTags(scores, { transitions, start, end }) {
  if (!transitions) return scores.map(place);
  let soFar = scores[0].map((score, tag) => start[tag] + score);
  const back = [];
  for (const step of scores.slice(1)) {
    const before = step.map((_, tag) => place(soFar.map((score, last) => score + transitions[last][tag])));
    soFar = step.map((score, tag) => soFar[before[tag]] + transitions[before[tag]][tag] + score);
    back.push(before);
  }
  const path = [place(soFar.map((score, tag) => score + end[tag]))];
  for (const before of back.reverse()) path.push(before[path.at(-1)]);
  return path.reverse();
}

// Where the largest is, of equals the first.
function place(values) {
  return values.reduce((best, value, k) => (value > values[best] ? k : best), 0);
}
