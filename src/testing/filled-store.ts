/** Something of everything in a store, for tests of what is done with all of it. */
import type { Store } from '#store/store.ts';

export interface Filled {
  readonly userId: string;
  readonly jobId: string;
  readonly tokenId: string;
}

export async function fillStore(store: Store): Promise<Filled> {
  const none = { jobId: null, cluster: null, topic: null, actor: null, data: {} };
  await store.roles.syncBuiltIn([{ name: 'admin', description: 'all', grants: [] }]);
  const { id: userId } = await store.users.create({ name: 'Anna', kind: 'local', roles: ['admin'], passwordHash: 'p' });
  // Its id may come before or after that of its owner.
  for (let i = 0; i < 8; i++)
    await store.users.create({ name: `robot-${i}`, kind: 'service', roles: [], ownerId: userId });
  const { id: jobId } = await fillResources(store);
  const token = { userId, name: 'ci', hash: 'h', scopes: null, allowedRanges: [], createdBy: userId };
  const { id: tokenId } = await store.tokens.create({ ...token, expiresAt: Number.MAX_SAFE_INTEGER });
  await store.sessions.create({
    userId,
    hash: 's',
    methods: [],
    idleMs: 1e12,
    lifeMs: 1e12,
    address: null,
    userAgent: null,
  });
  await store.secrets.put(
    { name: 'store/a', version: 1, keyId: 'k', wrappedKey: 'w', nonce: 'n', ciphertext: 'c' },
    userId,
  );
  await store.configuration.write({ a: [1, null, 'ü\u{1F600}'] }, { ifVersion: null, by: userId, replace: true });
  await store.reports.add({
    kind: 'k',
    subject: null,
    from: 1,
    to: 2,
    createdBy: null,
    summary: {},
    body: { text: 'x' },
  });
  const events = Array.from({ length: 1203 }, (_, i) => ({
    ...none,
    at: i,
    type: 't',
    level: 'info' as const,
    message: `${i}`,
  }));
  await store.events.add(events);
  await store.logAnchors.see({ origin: 'log', size: 10, root: 'root-10' });
  return { userId, jobId, tokenId };
}

async function fillResources(store: Store): Promise<{ readonly id: string }> {
  for (const name of ['east', 'west']) await store.clusters.create({ name, document: { name } });
  const job = { name: 'j', kind: 'Mirror', source: 'east', target: 'west', document: {}, desired: 'paused' } as const;
  const { id } = await store.jobs.create(job);
  const about = { jobId: id, topic: null, metric: 'records', kind: 'counter', value: 0.1 + 0.2 } as const;
  await store.history.record({ id: 'run', startedAt: 0 }, [
    about,
    { ...about, metric: 'lag', kind: 'gauge', value: 1 / 3 },
  ]);
  const snapshot = { cluster: 'east', jobId: id, side: 'source', trigger: 'manual', takenBy: null, facts: {} } as const;
  const snapshotId = await store.inventory.begin(snapshot);
  await store.inventory.add(snapshotId, {
    kind: 'groups',
    items: [{ groupId: 'g', state: 'Stable', protocol: 'classic', members: 1 }],
  });
  await store.inventory.complete(snapshotId);
  return { id };
}
