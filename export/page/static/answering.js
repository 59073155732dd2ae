// What a worker does with what its page asks: one task after the other, but for those at once. A task may `tell` the page
// of something on the way.

export function answering(tasks, atOnce = {}) {
  let queue = Promise.resolve();
  self.onmessage = ({ data: { number, task, ...given } }) => {
    if (task in atOnce) {
      atOnce[task]();
      return;
    }
    queue = queue.then(async () => {
      try {
        const answer = await tasks[task](given, (nodes) => self.postMessage({ number, nodes }));
        self.postMessage({ number, answer });
      } catch (error) {
        self.postMessage({ number, error: String(error?.message ?? error) });
      }
    });
  };
}
