// The page of a tagger: each word with its tag below it.

import { asking } from "./asking.js";

const COLOURS = 6;

const by = (id) => document.getElementById(id);
const ask = asking(new Worker(new URL("./tagger-worker.js", import.meta.url), { type: "module" }));
let kinds = [];

by("asker").addEventListener("submit", (event) => {
  event.preventDefault();
  answer();
});
by("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("asker").requestSubmit();
});

async function answer() {
  const began = performance.now();
  try {
    const sentences = await ask("tag", { text: by("prompt").value });
    by("answer").replaceChildren(...sentences.map(sentence));
    const count = sentences.reduce((sum, { words }) => sum + words.length, 0);
    const words = count === 1 ? "1 word" : `${count.toLocaleString()} words`;
    by("status").textContent = `${words} in ${((performance.now() - began) / 1000).toFixed(2)} s`;
  } catch (error) {
    by("status").textContent = error.message;
  }
}

function sentence({ words, tags }) {
  const line = document.createElement("p");
  words.forEach((word, k) => {
    const one = document.createElement("span");
    one.className = "tagged";
    const kind = kinds.indexOf(kindOf(tags[k]));
    if (kind >= 0) one.dataset.colour = kind % COLOURS;
    one.appendChild(document.createElement("span")).textContent = word;
    one.appendChild(document.createElement("small")).textContent = tags[k];
    line.append(one, " ");
  });
  return line;
}

// Of B-PER and I-PER it is PER; O is none.
function kindOf(tag) {
  return tag === "O" ? null : tag.replace(/^[BIESLU]-/, "");
}

async function begin() {
  try {
    const { words, labels } = await ask("load");
    kinds = [...new Set(labels.map(kindOf).filter(Boolean))];
    by("about").textContent = `It knows ${words.toLocaleString()} words, and tells ${labels.length} tags apart.`;
    by("ask").disabled = false;
    document.documentElement.dataset.ready = "true";
    if (by("prompt").value.trim()) answer();
  } catch (error) {
    by("about").textContent = `The model could not be loaded: ${error.message}`;
    by("about").setAttribute("role", "alert");
  }
}

begin();
