/** Gives each object a number of its own, in the order in which they are first seen. No number is given twice. */
export class Numbering<T extends object> {
  private readonly numbers = new WeakMap<T, number>();
  private next = 0;

  of(object: T): number {
    let number = this.numbers.get(object);
    if (number === undefined) {
      number = this.next++;
      this.numbers.set(object, number);
    }
    return number;
  }
}
