// How the next token is chosen: what `keras_rnnlm.generation` does, in the same numbers. A seed writes here what it writes
// in Python.

const float = Math.fround;
const LEAST_SCORE = float(Math.log(1e-30));
const TOLERANCE = 2 ** -20; // probabilities that equal a limit on paper do not equal it in float32

// A uniform number that depends on nothing but where it is used, in 32-bit integers that wrap around.
export function uniform(seed, row, step, number) {
  let bits = 0x9e3779b9 | 0;
  const whole = BigInt(seed);
  for (const word of [Number(whole & 0xffffffffn), Number(whole >> 32n), row, step, number]) bits = mix(bits ^ word);
  return (bits >>> 8) / 2 ** 24;
}

function mix(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

// The token that follows, of `step` tokens that were written before it. Settings: `temperature` (0: always the likeliest),
// `topK` and `topP` (absent: all), `seed`.
export function choose(logits, step, settings) {
  if (settings.temperature === 0) return logits.indexOf(largest(logits));
  return draw(weights(logits, settings), (number) => uniform(settings.seed, 0, step, number));
}

// What each token is drawn in proportion to, after temperature, top-k and top-p.
export function weights(logits, { temperature, topK, topP }) {
  const most = largest(logits);
  if (temperature === 0) {
    const likeliest = logits.indexOf(most);
    return logits.map((_, id) => (id === likeliest ? 1 : 0));
  }
  const scale = float(1 / temperature);
  const scores = Float32Array.from(logits, (logit) => {
    const score = float(float(logit - most) * scale);
    return score >= LEAST_SCORE ? score : -Infinity;
  });
  const count = Math.min(topK || scores.length, scores.length);
  const hasTopP = topP !== undefined && topP < 1;
  if (count < scores.length || hasTopP) keep(scores, count, hasTopP ? topP : undefined);
  return scores.map((score) => float(Math.exp(score)));
}

// Leaves the `count` largest scores, or the fewest of these that have a share of the probability; of equals the first.
function keep(scores, count, share) {
  const ordered = scores.slice().sort().reverse().subarray(0, count);
  if (share !== undefined) count = numberThatReach(roundHalfToEven((share - TOLERANCE) * 2 ** 30), ordered);
  const least = ordered[count - 1];
  let equals = count - ordered.subarray(0, count).findIndex((score) => score === least);
  scores.forEach((score, id) => {
    if (score < least || (score === least && equals-- <= 0)) scores[id] = -Infinity;
  });
}

function numberThatReach(needed, ordered) {
  const parts = ordered.map((score) => float(Math.exp(score)));
  const scale = float(2 ** 30 / float(parts.reduce((sum, part) => sum + part, 0)));
  let reached = 0;
  let count = 1;
  for (const part of parts.subarray(0, parts.length - 1)) {
    reached += roundHalfToEven(float(part * scale));
    if (reached >= needed) break;
    count++;
  }
  return count;
}

// A token, one binary digit of its id at a time, the highest first.
function draw(parts, uniforms) {
  const digits = 32 - Math.clz32(parts.length - 1);
  let start = 0;
  for (let number = 0, half = 2 ** (digits - 1); number < digits; number++, half /= 2) {
    const zeros = sum(parts, start, half);
    const all = float(zeros + sum(parts, start + half, half));
    if (float(uniforms(number) * all) >= zeros) start += half;
  }
  return start;
}

function sum(parts, start, count) {
  let total = 0;
  for (let id = start; id < Math.min(start + count, parts.length); id++) total += parts[id];
  return float(total);
}

function largest(values) {
  let most = -Infinity;
  for (const value of values) if (value > most) most = value;
  return most;
}

function roundHalfToEven(x) {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

// The log-probabilities of all tokens, in nats.
export function logSoftmax(logits) {
  const most = largest(logits);
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - most);
  const shift = most + Math.log(total);
  return Float64Array.from(logits, (logit) => logit - shift);
}

// The ids of the `count` largest values, falling; of equals the first.
export function best(values, count) {
  const ids = [];
  for (let id = 0; id < values.length; id++) {
    if (ids.length === count && !(values[id] > values[ids[count - 1]])) continue;
    let place = ids.length;
    while (place > 0 && values[id] > values[ids[place - 1]]) place--;
    ids.splice(place, 0, id);
    if (ids.length > count) ids.pop();
  }
  return ids;
}
