// Which texts there are, and which is shown. A text is the path from the root to a node; nothing that was written is lost.

export class History {
  constructor(root) {
    this.parents = new Map([[root, null]]);
    this.root = root;
    this.now = { shown: root, ends: [] };
    this.before = [];
    this.after = [];
  }

  add(nodes) {
    for (const node of nodes) this.parents.set(node.id, node);
  }

  // The nodes of a text, from its first token on.
  path(end = this.now.shown) {
    const found = [];
    for (let node = this.parents.get(end); node; node = this.parents.get(node.parent)) found.push(node);
    return found.reverse();
  }

  // Shows the text that ends in a node. One that begins it is a part of it, and no text beside it.
  show(end) {
    if (end === this.now.shown) return;
    const within = new Set(this.path(end).map((node) => node.id));
    // What was taken back goes on as a text beside it: there is no redo after this.
    const known = [...new Set([this.now, ...this.after].flatMap(({ ends }) => ends))].filter((other) => !within.has(other));
    const ends = known.filter((other) => !this.isWithin(other, known.filter((longer) => longer !== other)));
    this.before.push(this.now);
    this.after = [];
    this.now = { shown: end, ends: this.isWithin(end, ends) || end === this.root ? ends : [...ends, end] };
  }

  isWithin(end, ends) {
    return ends.some((other) => this.path(other).some((node) => node.id === end));
  }

  undo() {
    this.move(this.before, this.after);
  }

  redo() {
    this.move(this.after, this.before);
  }

  move(from, to) {
    if (!from.length) return;
    to.push(this.now);
    this.now = from.pop();
  }
}
