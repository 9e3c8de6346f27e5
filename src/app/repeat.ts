import { AppError } from '#contract/errors.ts';
import { sleep, type Clock } from '#util/clock.ts';

/**
 * Does something again and again until the signal aborts, the first time after `everyMs`. What goes wrong is told once, not in
 * each round, and tried again; a bug is thrown.
 */
export async function repeat(
  clock: Clock,
  everyMs: number,
  {
    work,
    onTrouble,
    signal,
  }: {
    readonly work: () => Promise<void>;
    readonly onTrouble: (error: AppError) => void;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  let told = '';
  while (!signal.aborted) {
    await sleep(clock, everyMs, signal);
    if (signal.aborted) return;
    try {
      await work();
      told = '';
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (error.message !== told) onTrouble(error);
      told = error.message;
    }
  }
}
