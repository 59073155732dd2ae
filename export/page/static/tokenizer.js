// Text to ids and back, as `keras_rnnlm.text.Tokenizer` has them. A tokenizer.json of the kinds "word", "char", "byte"
// and "bpe" says all that is needed.

import { Heap } from "./heap.js";

const UNKNOWN = "<unk>";
const EOS = "<eos>";

// Unicode's White_Space, spelled out: `\s` means something else in Python, Rust and JavaScript.
const BLANK = "\\t\\x0b\\x0c\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WHITESPACE = `\\n${BLANK}`;
const LINE_END = new RegExp(`(?:(?<![^${WHITESPACE}])<eos>[${BLANK}]*)?\\n`, "gu");
const WORD = new RegExp(`[^${WHITESPACE}]+`, "gu");
const PIECE = new RegExp(
  `'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^${WHITESPACE}\\p{L}\\p{N}]+|\\n|` +
    `[${BLANK}]+(?![^${WHITESPACE}])|[${BLANK}]+`,
  "gu",
);

const NOTHING = new Uint8Array(0);
const toBytes = new TextEncoder();
const toText = new TextDecoder("utf-8", { ignoreBOM: true });

// The letter that stands for each byte in byte-level vocabularies, as GPT-2 chose them.
function lettersOfBytes() {
  const letters = [];
  let hidden = 0;
  for (let byte = 0; byte < 256; byte++) {
    const isShown = (byte > 32 && byte < 127) || (byte > 160 && byte < 173) || byte > 173;
    letters.push(String.fromCharCode(isShown ? byte : 256 + hidden++));
  }
  return letters;
}

const LETTERS = lettersOfBytes();
const BYTES = new Map(LETTERS.map((letter, byte) => [letter, byte]));

export class Tokenizer {
  // `definition` is the object in a tokenizer.json.
  constructor(definition) {
    const { vocab, merges = [] } = definition.model;
    const kind = (this.kind = kindOf(definition.model));
    this.ids = new Map(Object.entries(vocab));
    this.symbols = [];
    for (const [symbol, id] of this.ids) this.symbols[id] = symbol;
    this.size = this.symbols.length;
    this.unknown = kind === "word" || kind === "char" ? this.ids.get(UNKNOWN) : undefined;
    this.eos = kind === "word" || kind === "bpe" ? this.ids.get(EOS) : undefined;
    this.ranks = new Map(merges.map((pair, rank) => [Array.isArray(pair) ? pair.join(" ") : pair, rank]));
    this.known = new Map();
    this.start = this.eos ?? this.lineEnd() ?? 0;
  }

  // The id of a line end, if it is one and known.
  lineEnd() {
    const [id, ...more] = this.encode("\n");
    return more.length || id === this.unknown ? undefined : id;
  }

  encode(text) {
    text = text.toWellFormed?.() ?? text;
    if (this.kind === "word") return (text.replace(LINE_END, " <eos> ").match(WORD) ?? []).map((word) => this.id(word));
    if (this.kind === "char") return Array.from(text, (character) => this.id(character));
    if (this.kind === "byte") return Array.from(toBytes.encode(text), (byte) => this.ids.get(LETTERS[byte]));
    return (text.match(PIECE) ?? []).flatMap((piece) => this.merged(piece));
  }

  id(symbol) {
    return this.ids.get(symbol) ?? this.unknown;
  }

  // The ids of one piece of a text: its bytes, of which the pair that was learned first is joined, again and again.
  merged(piece) {
    if (this.known.has(piece)) return this.known.get(piece);
    const parts = Array.from(toBytes.encode(piece), (byte) => LETTERS[byte]);
    const count = parts.length;
    const next = parts.map((_, k) => k + 1);
    const before = parts.map((_, k) => k - 1);
    const pairs = new Heap(); // by their ranks, and of equal ones by their places: what may be joined
    const rank = (k) => (next[k] < count ? this.ranks.get(`${parts[k]} ${parts[next[k]]}`) : undefined);
    const offer = (k) => {
      if (k >= 0 && rank(k) !== undefined) pairs.push(rank(k) * count + k);
    };
    parts.forEach((_, k) => offer(k));
    for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
      const place = pair % count;
      if (parts[place] === null || rank(place) !== (pair - place) / count) continue; // another stands there by now
      const end = next[place];
      parts[place] += parts[end];
      parts[end] = null;
      next[place] = next[end];
      if (next[end] < count) before[next[end]] = place;
      offer(before[place]);
      offer(place);
    }
    const ids = parts.filter((part) => part !== null).map((part) => this.ids.get(part));
    this.known.set(piece, ids);
    return ids;
  }

  // What an id adds to a text, after what came before: `{ text, end }`. `end` goes into the next call: what decides how
  // the text goes on.
  piece(id, end = this.begin()) {
    const symbol = this.symbols[id] ?? "";
    if (this.kind === "word") {
      const isLineEnd = id === this.eos;
      return { text: isLineEnd ? "\n" : (end.joins ? " " : "") + symbol, end: { joins: !isLineEnd, bytes: NOTHING } };
    }
    if (this.kind === "char") return { text: symbol, end };
    const bytes = Uint8Array.of(...end.bytes, ...this.bytes(id));
    const complete = bytes.length - waiting(bytes);
    return { text: toText.decode(bytes.subarray(0, complete)), end: { joins: true, bytes: bytes.slice(complete) } };
  }

  // Before a text there is nothing.
  begin() {
    return { joins: false, bytes: NOTHING };
  }

  // What was held back and will not be completed.
  rest(end) {
    return toText.decode(end.bytes);
  }

  bytes(id) {
    if (id === this.eos) return NOTHING;
    return Uint8Array.from(this.symbols[id] ?? "", (letter) => BYTES.get(letter));
  }

  decode(ids) {
    let [text, end] = ["", this.begin()];
    for (const id of ids) {
      const piece = this.piece(id, end);
      [text, end] = [text + piece.text, piece.end];
    }
    return text + this.rest(end);
  }

  // A readable piece of text for an id, for lists: what cannot be seen has a sign.
  shown(id) {
    if (id === this.eos) return this.kind === "word" ? "↵" : "end of text";
    let text = this.symbols[id] ?? `<${id}>`;
    if (this.kind === "byte" || this.kind === "bpe") {
      const bytes = this.bytes(id);
      text = toText.decode(bytes);
      if (text.includes("\ufffd")) return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    }
    const signs = text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(/\p{Z}/gu, "␣").replaceAll(/\p{C}/gu, "·");
    return signs.replaceAll(/([␣⇥])\1{2,}/gu, (run, sign) => `${sign}×${run.length}`);
  }
}

// Of the four kinds that there are.
function kindOf({ type, unk_token: unknown, vocab }) {
  if (type === "WordLevel") return "word";
  return unknown ? "char" : EOS in vocab ? "bpe" : "byte";
}

// How many bytes at the end are the beginning of a character whose other bytes may still come.
function waiting(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte >> 6 === 0b10) continue; // one that goes on with a character
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}
