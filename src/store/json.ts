/** What the store keeps as JSON without looking into it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
