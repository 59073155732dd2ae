// The page of a translator: what it writes, and what of the source each symbol attended to.

import { asking } from "./asking.js";

const by = (id) => document.getElementById(id);
const ask = asking(new Worker(new URL("./translator-worker.js", import.meta.url), { type: "module" }));

by("asker").addEventListener("submit", (event) => {
  event.preventDefault();
  answer();
});
by("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("asker").requestSubmit();
});

async function answer() {
  by("status").textContent = "…";
  try {
    const { text, source, target, attention } = await ask("translate", { text: by("prompt").value.trim() });
    const line = document.createElement("p");
    line.textContent = text;
    by("answer").replaceChildren(line);
    by("status").textContent = "";
    draw(source, target, attention);
  } catch (error) {
    by("status").textContent = error.message;
  }
}

// A table: a row for each symbol that was written, a column for each that was read.
function draw(source, target, attention) {
  by("attention").hidden = !target.length || !source.length;
  const head = document.createElement("tr");
  head.append(cell("td", ""), ...source.map((piece) => cell("th", piece, "col")));
  const rows = target.map((piece, k) => {
    const row = document.createElement("tr");
    row.append(cell("th", piece, "row"), ...attention[k].map(weight));
    return row;
  });
  by("attention").querySelector("table").replaceChildren(head, ...rows);
}

function cell(tag, text, scope) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (scope) made.scope = scope;
  return made;
}

function weight(share) {
  const made = cell("td", share >= 0.005 ? `.${String(Math.round(100 * share)).padStart(2, "0")}`.replace(".100", "1") : "");
  made.style.setProperty("--weight", share.toFixed(3));
  made.title = `${(100 * share).toFixed(1)} %`;
  return made;
}

async function begin() {
  try {
    const { source, target } = await ask("load");
    by("about").textContent = `It reads ${source.toLocaleString()} symbols, and writes ${target.toLocaleString()}.`;
    by("ask").disabled = false;
    document.documentElement.dataset.ready = "true";
    if (by("prompt").value.trim()) answer();
  } catch (error) {
    by("about").textContent = `The model could not be loaded: ${error.message}`;
    by("about").setAttribute("role", "alert");
  }
}

begin();
