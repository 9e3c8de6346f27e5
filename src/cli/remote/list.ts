/** Options that lists have in common. */
import { wholeNumber } from './values.ts';

export interface ListOptions {
  readonly search?: string;
  readonly limit?: string;
}

/** For `Verb.options`. */
export const LIST_OPTIONS = {
  '--search <text>': 'only what has this in its name',
  '--limit <number>': 'at most so many; without it all',
} as const;

export function listed({ search, limit }: ListOptions): { query: { search?: string }; wanted: number } {
  return {
    query: search === undefined ? {} : { search },
    wanted: limit === undefined ? Infinity : wholeNumber('--limit', limit, 1),
  };
}
