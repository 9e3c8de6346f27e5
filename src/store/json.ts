/** What the store keeps as JSON without looking into it. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Our own JSON, from a column. */
export function fromJson<T>(text: string): T {
  return JSON.parse(text) as T;
}
