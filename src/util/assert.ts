/** A broken invariant: a bug of ours, never a state of the world. It is not caught on the way up. */
export class InvariantError extends Error {
  override name = 'InvariantError';
}

/** Throws InvariantError when `condition` does not hold. `message` states the invariant that is broken. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** Returns `value`, which is known to be there. `what` names it in the error if it is not. */
export function must<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new InvariantError(`${what} is missing`);
  return value;
}

/** For the default branch of a switch over a union: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new InvariantError(`unexpected value ${String(value)}`);
}
