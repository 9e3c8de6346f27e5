/**
 * What `work` comes to, or null as soon as `signal` aborts. The work goes on unheard then: whoever aborts sees to it that it
 * ends (by closing what it waits for), and nobody hears how.
 */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const { promise: aborted, resolve } = Promise.withResolvers<null>();
  const giveUp = (): void => resolve(null);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  work.catch(() => {}); // also where it fails later
  try {
    return await Promise.race([aborted, work]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
