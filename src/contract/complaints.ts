/** How a schema says what is wrong; documents.ts turns it into a place in a file and a code. */
import { z } from 'zod';

/** Marks the issue of a key that is known but whose capability does not exist yet; read by documents.ts. */
export const NOT_BUILT = 'not built';

export interface CheckContext {
  readonly value: unknown;
  readonly issues: {
    push(issue: { code: 'custom'; input: unknown; message: string; params: Record<string, unknown> }): unknown;
  };
}

/** Words a schema's complaint: 'is missing; it must be …' or 'must be …'. */
export function must(what: string): { error: (issue: { input?: unknown }) => string } {
  return { error: (issue) => (issue.input === undefined ? `is missing; it must be ${what}` : `must be ${what}`) };
}

/** A key that is known and refused; `false` asks for nothing, so it may stay. */
export function notBuilt() {
  return z
    .unknown()
    .check((context) => {
      if (context.value !== undefined && context.value !== false)
        refuse(context, 'is not built yet; leave it out', true);
    })
    .optional();
}

export function refuse(context: CheckContext, message: string, notYetBuilt = false): void {
  context.issues.push({ code: 'custom', input: context.value, message, params: { [NOT_BUILT]: notYetBuilt } });
}
