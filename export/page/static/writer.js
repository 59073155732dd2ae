// The page of a language model: what it shows, and what it asks of its worker.

import { asking } from "./asking.js";
import { History } from "./history.js";
import { TextView } from "./text-view.js";

const MOST_BITS = 10; // of surprisal, which have the full colour
const A_SECOND = 1000; // milliseconds from one count of tokens to the next: each is read out

const by = (id) => document.getElementById(id);
const [about, status, prompt] = ["about", "status", "prompt"].map(by);
const worker = new Worker(new URL("./writer-worker.js", import.meta.url), { type: "module" });
const ask = asking(worker);
const view = new TextView(by("text"), (place, isPointed) => look(place, isPointed));
let history;
let isBusy = false;
const written = new Map(); // by the number of a text's last token, how all of it was written, see `commandOf`
let wroteBy = null; // the seed of what was written last
let asked = 0; // how often it was asked what comes next: late answers are not shown

// Settings

function settings() {
  const topK = Math.floor(by("top-k").valueAsNumber);
  const topP = Number(by("top-p").value);
  return {
    temperature: Number(by("temperature").value),
    ...(topK >= 1 && { topK }),
    ...(topP < 1 && { topP }),
    seed: isSeed(by("seed").value) ? by("seed").value : "0",
  };
}

function isSeed(text) {
  return /^\d{1,19}$/.test(text) && BigInt(text) < 2n ** 63n;
}

function showSettings() {
  for (const output of document.querySelectorAll("output")) {
    output.value = Number(by(output.htmlFor).value).toFixed(2);
  }
  by("seed").setCustomValidity(isSeed(by("seed").value) ? "" : "A whole number from 0 to 2⁶³ − 1");
  const fields = { text: prompt.value, length: by("length").value, how: settings() };
  const shown = history && view.nodes.length ? written.get(history.now.shown) : fields;
  by("command").closest("details").hidden = !shown;
  if (shown) by("command").textContent = commandOf(shown);
}

// What writes a text in a terminal: none where a token was chosen, or settings were changed, on the way.
function commandOf({ text, length, how: { temperature, topK, topP, seed } }) {
  const words = [`keras-rnnlm run EXPORT --prompt${text.startsWith("-") ? "=" : " "}${quoted(text)}`];
  words.push(`--length ${length} --temperature ${temperature}`);
  if (temperature > 0) {
    if (topK) words.push(`--top-k ${topK}`);
    if (topP) words.push(`--top-p ${topP}`);
    words.push(`--seed ${seed}`);
  }
  return words.join(" ");
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

// Writing

async function busily(work) {
  if (isBusy || !history) return;
  const begun = document.activeElement;
  isBusy = true;
  showButtons();
  try {
    await work();
  } catch (error) {
    status.textContent = error.message;
  }
  const now = document.activeElement; // the button to stop, say, which goes
  isBusy = false;
  showAll();
  if (now !== document.body && now.getClientRects().length && !now.disabled) return;
  (begun.isConnected && !begun.disabled ? begun : view.box).focus({ preventScroll: true });
}

// Asks for tokens, shows them as they come, and the text that ends in the last of them.
async function follow(task, given) {
  const began = performance.now();
  let [count, told] = [0, began];
  const { end, stopped } = await ask(task, given, (nodes) => {
    history.add(nodes);
    view.append(nodes);
    colourLast(nodes.length);
    count += nodes.length;
    if (performance.now() - told < A_SECOND) return;
    told = performance.now();
    status.textContent = `${count.toLocaleString()} tokens …`;
  });
  return { end, stopped, count, seconds: (performance.now() - began) / 1000 };
}

// Goes on from a token. `before` is how the text was written up to there, where that is known.
async function write(from, before) {
  const how = settings();
  wroteBy = how.seed;
  status.textContent = "";
  view.show(history.path(from));
  const { end, count, seconds } = await follow("write", { from, length: by("length").valueAsNumber, settings: how });
  if (before && (!before.how || JSON.stringify(before.how) === JSON.stringify(how))) {
    written.set(end, { text: before.text, length: before.length + count, how });
  }
  history.show(end);
  const speed = Math.round(count / seconds).toLocaleString();
  status.textContent = `${count.toLocaleString()} tokens in ${seconds.toFixed(1)} s, ${speed} a second`;
}

by("writer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!by("length").reportValidity() || !by("seed").reportValidity()) return;
  busily(async () => {
    view.show([]);
    status.textContent = "";
    const text = prompt.value;
    const { end, stopped } = await follow("read", { text });
    if (!stopped) return write(end, { text, length: 0 });
    status.textContent = "";
    history.show(end);
  });
});

by("on").addEventListener("click", () => {
  if (!by("length").reportValidity() || !by("seed").reportValidity()) return;
  const chosen = view.nodes[view.chosen];
  // The same seed would write the same again, unless it was just set.
  const isAgain = by("seed").value === wroteBy && settings().temperature > 0;
  if (isAgain && chosen && view.chosen < view.nodes.length - 1) by("seed").value = String(BigInt(wroteBy) + 1n);
  const from = chosen?.id ?? history.now.shown;
  busily(() => write(from, written.get(from)));
});

function add(token) {
  const place = view.chosen;
  const from = place < 0 ? history.now.shown : view.nodes[place].parent;
  busily(async () => {
    view.show(history.path(from));
    const { end } = await follow("add", { from, token });
    history.show(end);
    view.box.focus({ preventScroll: true }); // the button is gone
  });
}

by("stop").addEventListener("click", () => worker.postMessage({ task: "stop" }));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && isBusy) worker.postMessage({ task: "stop" });
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("writer").requestSubmit();
});

for (const way of ["undo", "redo"]) {
  by(way).addEventListener("click", () => {
    history[way]();
    status.textContent = "";
    showAll();
    view.box.focus({ preventScroll: true });
  });
}

// Showing

function showAll() {
  view.show(history.path());
  colour();
  showButtons();
  showBranches();
  showSettings();
}

function showButtons() {
  const isThere = history && view.nodes.length > 0;
  by("write").disabled = isBusy || !history;
  by("on").disabled = isBusy || !isThere;
  by("on").textContent = view.chosen < 0 ? "Go on" : "Go on from here";
  by("stop").hidden = !isBusy;
  by("undo").disabled = isBusy || !history?.before.length;
  by("redo").disabled = isBusy || !history?.after.length;
}

function showBranches() {
  const list = by("branches").querySelector("ul");
  by("branches").hidden = history.now.ends.length < 2;
  list.replaceChildren(
    ...history.now.ends.map((end) => {
      const nodes = history.path(end);
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `… ${nodes.slice(-12).map((node) => node.text).join("").trim().slice(-40)}`;
      button.setAttribute("aria-current", String(end === history.now.shown));
      button.addEventListener("click", () => {
        if (isBusy) return;
        history.show(end);
        showAll();
        view.box.focus({ preventScroll: true });
      });
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

// Shows the tokens that may stand at a place: -1 is after the text. `isPointed`: the pointer is there, nothing is chosen.
async function look(place, isPointed = false) {
  if (!isPointed && history) showButtons();
  if (!history || isBusy) return;
  const node = view.nodes[place];
  const mine = ++asked;
  const from = node ? node.parent : history.now.shown;
  const found = await ask("next", { from, settings: settings(), token: node?.token });
  if (mine !== asked) return;
  by("next-title").textContent = node ? "What might have come here" : "What may come next";
  by("detail").textContent = node ? await told(node) : view.nodes.length ? summary() : "Choose how to begin, or write.";
  if (node && !isPointed) view.label(place, `${node.label}: ${by("detail").textContent}`);
  by("next").replaceChildren(...found.map((one) => bar(one, node)));
  by("key").hidden = false;
}

async function told(node) {
  const bits = -node.logProbability / Math.LN2;
  const share = percent(Math.exp(node.logProbability));
  const words = [`“${node.label}”: ${share} by the model, ${bits.toFixed(1)} bits`];
  words.push(node.rank === 1 ? "the likeliest" : `rank ${node.rank.toLocaleString()}`);
  const { place } = coloured();
  if (place !== null) {
    const [value] = await ask("values", { ids: [node.id], place, unit: unit() });
    words.push(`unit ${unit()}: ${signed(value, 3)}`);
  }
  return words.join(", ");
}

function summary() {
  const nats = view.nodes.reduce((sum, node) => sum - node.logProbability, 0) / view.nodes.length;
  const count = view.nodes.length === 1 ? "1 token" : `${view.nodes.length.toLocaleString()} tokens`;
  return `${count}, ${(nats / Math.LN2).toFixed(2)} bits each: perplexity ${Math.exp(nats).toFixed(1)}`;
}

function percent(share) {
  if (share < 5e-5) return share ? "< 0.01 %" : "0 %";
  return share >= 0.0995 ? `${(100 * share).toFixed(0)} %` : `${(100 * share).toPrecision(2)} %`;
}

function signed(value, digits) {
  return value.toFixed(digits).replace("-", "−");
}

function bar({ token, shown, probability, drawn }, node) {
  const button = document.createElement("button");
  button.type = "button";
  button.style.setProperty("--own", probability);
  button.style.setProperty("--drawn", drawn);
  const parts = [
    ["code", shown],
    ["i", ""],
    ["b", percent(drawn)],
  ];
  for (const [tag, text] of parts) button.appendChild(document.createElement(tag)).textContent = text;
  const isHere = node?.token === token;
  if (isHere) button.setAttribute("aria-current", "true");
  const what = isHere ? "it is in the text" : "write it";
  button.setAttribute("aria-label", `${shown}, ${percent(drawn)}, by the model ${percent(probability)}: ${what}`);
  button.addEventListener("click", () => add(token));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

// Colours

// What the colours are of: "surprisal", "none", or a "state" or a "gate" by its place among what was seen of each step.
function coloured() {
  const [kind, place = null] = by("colour").value.split(" ");
  return { kind, place: place && Number(place) };
}

function unit() {
  return Math.min(Math.max(Math.floor(by("unit").valueAsNumber) || 0, 0), Number(by("unit").max));
}

function surprisal(node) {
  return Math.min(-node.logProbability / Math.LN2 / MOST_BITS, 1);
}

// While it writes: what needs no other token to compare with.
function colourLast(count) {
  if (by("colour").value !== "surprisal") return;
  const from = view.nodes.length - count;
  view.nodes.slice(from).forEach((node, k) => {
    view.box.children[from + k].style.setProperty("--weight", surprisal(node).toFixed(3));
  });
}

async function colour() {
  const { kind, place } = coloured();
  for (const part of document.querySelectorAll(".of-unit")) part.hidden = place === null;
  view.box.dataset.colour = kind === "state" ? "unit" : kind;
  by("scale").hidden = kind === "none";
  by("scale").dataset.colour = view.box.dataset.colour;
  let ends = ["expected", `${MOST_BITS} bits or more`];
  const nodes = view.nodes;
  if (place === null) {
    view.colour(nodes.map(kind === "surprisal" ? surprisal : () => 0));
  } else if (nodes.length) {
    const values = await ask("values", { ids: nodes.map((node) => node.id), place, unit: unit() });
    if (nodes !== view.nodes || values.length !== nodes.length) return;
    const most = kind === "gate" ? 1 : values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    view.colour(Array.from(values, (value) => value / most));
    ends = kind === "gate" ? ["closed", "open"] : [signed(-most, 2), signed(most, 2)];
  }
  by("scale").firstElementChild.textContent = ends[0];
  by("scale").lastElementChild.textContent = ends[1];
}

by("colour").addEventListener("change", () => {
  if (coloured().place !== null) by("unit").max = by("colour").selectedOptions[0].dataset.width - 1;
  colour();
});
by("unit").addEventListener("input", () => {
  colour();
  if (view.chosen >= 0) look(view.chosen);
});
by("lively").addEventListener("click", async () => {
  if (!view.nodes.length || isBusy) return;
  by("unit").value = await ask("liveliest", { ids: view.nodes.map((node) => node.id), place: coloured().place });
  colour();
});
by("face").addEventListener("change", () => (view.box.dataset.face = by("face").value));
by("dice").addEventListener("click", () => {
  by("seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000);
  showSettings();
});
for (const id of ["temperature", "top-p", "top-k", "seed", "length"]) {
  by(id).addEventListener("input", () => {
    showSettings();
    if (!isBusy) look(view.chosen);
  });
}
prompt.addEventListener("input", showSettings);

// A state or a gate by what it is called: layer_0_c is the first layer's cell, layer_0_gate_f its gate f.
function shownName(name) {
  const [, layer, letter] = /^layer_(\d+)_(\w+)$/.exec(name) ?? [];
  if (layer === undefined) return name;
  return `Layer ${Number(layer) + 1}, ${{ h: "output", c: "cell" }[letter] ?? letter.replace("gate_", "gate ")}`;
}

async function begin() {
  showSettings();
  try {
    const found = await ask("load");
    history = new History(found.start);
    const kinds = { word: "words", char: "characters", byte: "bytes", bpe: "pieces of words" };
    const states = found.seen.filter(({ isGate }) => !isGate);
    const layers = new Set(states.map(({ name }) => name.split("_")[1])).size;
    const widths = [...new Set(states.map((state) => state.width))];
    const width = widths.length > 1 ? `up to ${Math.max(...widths)}` : widths[0];
    const many = layers === 1 ? "One recurrent layer" : `${layers} recurrent layers`;
    about.textContent = `${many} of ${width} units, and ${found.size.toLocaleString()} ${kinds[found.kind]} to choose from.`;
    found.seen.forEach(({ name, width, isGate }, k) => {
      const option = new Option(shownName(name), `${isGate ? "gate" : "state"} ${k}`);
      option.dataset.width = width;
      by("colour").add(option, by("colour").options[by("colour").options.length - 1]);
    });
    by("face").value = found.kind === "word" ? "serif" : "mono";
    view.box.dataset.face = by("face").value;
    performance.mark("ready");
    document.documentElement.dataset.ready = "true";
    showAll();
  } catch (error) {
    about.textContent = `The model could not be loaded: ${error.message}`;
    about.setAttribute("role", "alert");
  }
}

begin();
