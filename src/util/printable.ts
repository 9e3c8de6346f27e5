/** Controls, direction overrides and other invisible signs, separators of lines and paragraphs, and halves of surrogate pairs. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * `text` with every character that would move, hide, colour or reorder what stands around it on a terminal as `\u{1b}`.
 * For text that comes from outside: names, hosts and messages of brokers. What is printable already stays as it is.
 */
export function printable(text: string): string {
  return text.replace(HIDDEN, (sign) => `\\u{${sign.codePointAt(0)!.toString(16)}}`);
}

/**
 * JSON in one line, in which the same characters stand as JSON's own escapes: it means the same, and harms no terminal either.
 */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(HIDDEN, (sign) => {
    const units = Array.from({ length: sign.length }, (_, i) => sign.charCodeAt(i));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  });
}
