/** Names of the originals in request bodies. */
import { AppError } from '#contract/errors.ts';

/** Throws REQUEST_INVALID where a body carries both names of a field. */
export function withOwnNames(body: unknown, aliases: Readonly<Record<string, string>>): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  const stated: Record<string, unknown> = { ...body };
  for (const [original, own] of Object.entries(aliases)) {
    if (!Object.hasOwn(stated, original)) continue;
    if (Object.hasOwn(stated, own))
      throw new AppError('REQUEST_INVALID', `"${original}" and "${own}" are two names of one field.`, {
        nextStep: `Send "${own}" only.`,
      });
    stated[own] = stated[original];
    delete stated[original];
  }
  return stated;
}
