// Numbers of which the smallest comes first.

export class Heap {
  constructor() {
    this.numbers = [];
  }

  push(number) {
    const { numbers } = this;
    let place = numbers.push(number) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (numbers[above] <= number) break;
      numbers[place] = numbers[above];
      place = above;
    }
    numbers[place] = number;
  }

  // The smallest number, which is then no longer there; undefined where there is none.
  pop() {
    const { numbers } = this;
    const smallest = numbers[0];
    const last = numbers.pop();
    if (!numbers.length) return smallest;
    let place = 0;
    for (let below = 1; below < numbers.length; below = 2 * place + 1) {
      if (numbers[below + 1] < numbers[below]) below++;
      if (numbers[below] >= last) break;
      numbers[place] = numbers[below];
      place = below;
    }
    numbers[place] = last;
    return smallest;
  }
}
