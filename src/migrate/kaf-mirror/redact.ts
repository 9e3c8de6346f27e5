/** Takes secrets out of rows of the past: kaf-mirror wrote passwords and API secrets into its events. */
import type { Cell } from '#util/tables.ts';

const HIDDEN = '[removed]';
const SECRET_NAME = /password|passwd|secret|token|api_?key|connection_?string|hash|credential/i;
/** `"password": "x"`, `password=x`, `api_secret: x`, also within a text that has been quoted once more. */
const NAMED_SECRET =
  /([\w-]*(?:password|passwd|secret|token|api_?key|connection_?string|credential)[\w-]*\\*["']?\s*[:=]\s*)(\\"(?:(?!\\").)*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}\]]+)/gis;

/** Secrets that are shorter would take letters out of words. */
const LENGTH_MIN = 4;

export class Redaction {
  readonly #known: string[] = [];

  /** `secret` is taken out wherever it stands. */
  know(secret: string): void {
    if (secret.length >= LENGTH_MIN && !this.#known.includes(secret)) this.#known.push(secret);
  }

  cell(column: string, value: Cell): string | number | null {
    if (value === null || typeof value === 'number') return value;
    // Bytes have no place among them but in hashes.
    if (typeof value !== 'string' || SECRET_NAME.test(column)) return value.length === 0 ? '' : HIDDEN;
    return this.#text(value);
  }

  #text(text: string): string {
    const known = this.#known.toSorted((a, b) => b.length - a.length);
    const without = known.reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text);
    return without.replaceAll(NAMED_SECRET, (whole, name: string, value: string) => {
      // Counts and flags are no secrets: `"tokens_issued": 5`.
      if (/^(?:\d+(?:\.\d+)?|true|false|null)$/.test(value)) return whole;
      const quote = /^\\*["']/.exec(value)?.[0] ?? '';
      return `${name}${quote}${HIDDEN}${quote}`;
    });
  }
}
