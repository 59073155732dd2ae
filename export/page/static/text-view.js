// The text on the page: a span for each token, one of which may be chosen.

export class TextView {
  constructor(box, onChosen) {
    Object.assign(this, { box, onChosen, nodes: [], chosen: -1, last: null });
    box.addEventListener("click", (event) => this.choose(this.place(event.target)));
    box.addEventListener("pointerover", (event) => this.point(event));
    box.addEventListener("pointerleave", () => this.onChosen(this.chosen));
    box.addEventListener("keydown", (event) => this.key(event));
  }

  // Shows these nodes. What is there already stays.
  show(nodes) {
    let same = 0;
    while (same < nodes.length && this.nodes[same]?.id === nodes[same].id) same++;
    while (this.box.children.length > same) this.box.lastChild.remove();
    this.nodes = nodes.slice(0, same);
    this.append(nodes.slice(same));
    this.choose(-1);
  }

  append(nodes) {
    const all = document.createDocumentFragment();
    const isAtEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 40;
    for (const node of nodes) {
      const span = document.createElement("span");
      span.id = `token-${this.nodes.length}`;
      span.setAttribute("role", "option");
      span.setAttribute("aria-selected", "false");
      if (node.step < 0) span.className = "given";
      span.textContent = node.text;
      if (!node.text.trim()) span.setAttribute("aria-label", node.label); // a blank has no name of its own
      all.append(span);
      this.nodes.push(node);
    }
    this.box.append(all);
    this.finish();
    if (isAtEnd) this.box.scrollTop = this.box.scrollHeight;
  }

  // The last token's unfinished character is shown until the next one brings its rest.
  finish() {
    if (this.last !== null) this.box.children[this.last]?.replaceChildren(this.nodes[this.last].text);
    const end = this.nodes.length - 1;
    this.last = end >= 0 && this.nodes[end].rest ? end : null;
    if (this.last !== null) this.box.lastChild.append(this.nodes[end].rest);
  }

  // Weights of the colours, from -1 to 1, a token each.
  colour(weights) {
    weights.forEach((weight, k) => {
      const span = this.box.children[k];
      span.style.setProperty("--weight", Math.abs(weight).toFixed(3));
      span.classList.toggle("below", weight < 0);
    });
  }

  choose(place) {
    this.box.children[this.chosen]?.setAttribute("aria-selected", "false");
    this.chosen = place;
    const span = this.box.children[place];
    this.box.classList.toggle("choosing", Boolean(span));
    if (span) {
      span.setAttribute("aria-selected", "true");
      this.box.setAttribute("aria-activedescendant", span.id);
      span.scrollIntoView({ block: "nearest" });
    } else {
      this.box.removeAttribute("aria-activedescendant");
    }
    this.onChosen(place);
  }

  label(place, text) {
    this.box.children[place]?.setAttribute("aria-label", text);
  }

  point(event) {
    const place = this.place(event.target);
    if (place >= 0 && event.pointerType === "mouse") this.onChosen(place, true);
  }

  place(span) {
    return span.parentElement === this.box ? Number(span.id.slice("token-".length)) : -1;
  }

  key(event) {
    const last = this.nodes.length - 1;
    const from = this.chosen < 0 ? last + 1 : this.chosen;
    const places = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last, Escape: -1 };
    if (event.key === "ArrowUp" || event.key === "ArrowDown") places[event.key] = this.nextLine(from, event.key);
    if (!(event.key in places) || event.ctrlKey || event.metaKey || event.altKey || last < 0) return;
    event.preventDefault();
    this.choose(event.key === "Escape" ? -1 : Math.min(Math.max(places[event.key], 0), last));
  }

  // The token above or below: the nearest one of the next line.
  nextLine(from, key) {
    const spans = Array.from(this.box.children);
    const here = spans[Math.min(from, spans.length - 1)].getBoundingClientRect();
    const way = key === "ArrowUp" ? -1 : 1;
    let line = null;
    let found = from;
    let distance = Infinity;
    for (let k = from + way; k >= 0 && k < spans.length; k += way) {
      const rectangle = spans[k].getBoundingClientRect();
      if (way * (rectangle.top - here.top) < here.height / 2) continue;
      line ??= rectangle.top;
      if (Math.abs(rectangle.top - line) > here.height / 2) break;
      if (Math.abs(rectangle.left - here.left) < distance) [found, distance] = [k, Math.abs(rectangle.left - here.left)];
    }
    return found;
  }
}
