/** What every store begins with: the built-in roles, and a way in for the first administrator. */
import { builtInRoles } from '#contract/api/permissions.ts';
import type { Aggregates } from '#store/store.ts';
import { createCredential } from './auth/credential.ts';
import type { Entropy } from './ports.ts';

const SETUP_MS = 3_600_000;

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  admin: 'Everything.',
  operator: 'Runs and changes jobs, changes clusters.',
  monitoring: 'Sees jobs, clusters, figures and events.',
  compliance: 'Sees what monitoring sees, makes and reads compliance reports.',
};

/** As this version of the program has them. */
export async function syncBuiltInRoles({ roles }: Pick<Aggregates, 'roles'>): Promise<void> {
  await roles.syncBuiltIn(
    Object.entries(builtInRoles).map(([name, grants]) => ({ name, description: DESCRIPTIONS[name] ?? '', grants })),
  );
}

/**
 * Of a store without users: a token with which the first administrator is created, for an hour; earlier ones are worth nothing
 * any more. Null where there are users.
 */
export async function issueSetupToken(
  { users, oneTimeTokens }: Pick<Aggregates, 'users' | 'oneTimeTokens'>,
  entropy: Entropy,
): Promise<string | null> {
  if ((await users.count()) > 0) return null;
  const { text, hash } = createCredential('once', entropy);
  await oneTimeTokens.issue({ purpose: 'setup', hash, lifeMs: SETUP_MS, payload: null, replace: true });
  return text;
}
