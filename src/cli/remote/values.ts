/** Values of flags. Each throws AppError REQUEST_INVALID that names the flag. */
import { AppError } from '#contract/errors.ts';
import { nearest } from '#util/nearest.ts';

export function wholeNumber(flag: string, written: string, min = 0): number {
  const value = /^\d{1,15}$/.test(written) ? Number(written) : NaN;
  if (value >= min) return value;
  throw new AppError('REQUEST_INVALID', `${flag} must be a whole number from ${min}, not "${written}"`, {
    nextStep: `Write, for example, ${flag} ${Math.max(min, 10)}.`,
  });
}

export function choiceFrom<const Choice extends string>(
  flag: string,
  written: string,
  choices: readonly Choice[],
): Choice {
  const found = choices.find((choice) => choice === written);
  if (found !== undefined) return found;
  const near = nearest(written, choices);
  throw new AppError(
    'REQUEST_INVALID',
    `${flag} must be ${choices.join(', ')}, not "${written}"${near === null ? '' : `; did you mean "${near}"?`}`,
    { nextStep: `Write one of them.` },
  );
}

export function listFrom(written: string): string[] {
  return written
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

/** A time with its zone, or how long ago: `7d`, `24h`, `30m`. */
export function momentFrom(flag: string, written: string, now: number): number {
  const ago = /^(\d{1,6})([mhd])$/.exec(written);
  if (ago) return now - Number(ago[1]) * { m: 60_000, h: 3_600_000, d: 86_400_000 }[ago[2] as 'm' | 'h' | 'd'];
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(written);
  const hasZone = /^\d{4}-\d{2}-\d{2}T.+(?:Z|[+-]\d{2}:\d{2})$/.test(written);
  const at = isDay || hasZone ? Date.parse(written) : NaN;
  if (!Number.isNaN(at) && at >= 0) return at;
  throw new AppError('REQUEST_INVALID', `${flag} must be a time, not "${written}"`, {
    nextStep: 'Write 2026-11-22, 2026-11-22T18:30:00Z, or how long ago: 30m, 24h, 7d.',
  });
}

/** Throws where one that is needed is missing. */
export function needed(flags: Readonly<Record<string, string | undefined>>): void {
  const missing = Object.entries(flags).flatMap(([flag, value]) => (value === undefined ? [flag] : []));
  if (missing.length === 0) return;
  throw new AppError('REQUEST_INVALID', `${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} needed`, {
    nextStep: '--help shows examples.',
  });
}
