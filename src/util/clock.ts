/** Time as the rooms of the data path see it. The system's is in host.ts, a simulated one in testing/. */
export interface Clock {
  /** Wall time in milliseconds since the epoch. May jump; never used to measure a duration. */
  now(): number;
  /** Milliseconds since some fixed moment, never going back; only differences mean anything. */
  monotonic(): number;
  /** Calls `callback` once, `delayMs` from now. The returned function cancels it and may be called again. */
  schedule(delayMs: number, callback: () => void): () => void;
}

/** Resolves after `delayMs`, or as soon as `signal` aborts: the caller looks at the signal, nothing is thrown. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.schedule(delayMs, end);
    signal?.addEventListener('abort', end, { once: true });
  });
}
