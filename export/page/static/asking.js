// A worker as something to ask: `ask(task, given, onNodes)` is a promise of its answer.

export function asking(worker) {
  const waiting = new Map();
  let asked = 0;
  worker.onmessage = ({ data: { number, nodes, answer, error } }) => {
    const { resolve, reject, onNodes } = waiting.get(number);
    if (nodes) return onNodes(nodes);
    waiting.delete(number);
    return error === undefined ? resolve(answer) : reject(new Error(error));
  };
  worker.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message || "the page's worker could not start"));
  };
  return (task, given = {}, onNodes = () => {}) =>
    new Promise((resolve, reject) => {
      const number = asked++;
      waiting.set(number, { resolve, reject, onNodes });
      worker.postMessage({ number, task, ...given });
    });
}
