/** What every store does, whichever database is below it: run on SQLite with the unit tests, and on PostgreSQL. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '#util/clock.ts';
import { must } from '#util/assert.ts';
import { AppError } from '#contract/errors.ts';
import { createRandom } from '#util/random.ts';
import { systemClock } from '#util/host.ts';
import type { Database } from '#store/database.ts';
import type { Estate, EstateUser } from '#store/estate.ts';
import type { Sample } from '#store/history.ts';
import type { ImportedItem } from '#store/imports.ts';
import { type InventoryTopic, saveSnapshot } from '#store/inventory.ts';
import { defaultRetention } from '#store/maintenance.ts';
import { createLocalStore } from '#store/open-store.ts';
import type { PersonalValue } from '#store/personal.ts';
import type { Store } from '#store/store.ts';
import { ADMIN_ROLE, type NewUser } from '#store/users.ts';
import { plainEvent } from './plain-event.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Wall time stands until it is told to go on; deadlines and pauses are real. */
class SuiteClock implements Clock {
  #now = Date.UTC(2026, 10, 22, 12);

  now(): number {
    return this.#now;
  }

  advance(ms: number): void {
    this.#now += ms;
  }

  monotonic(): number {
    return systemClock.monotonic();
  }

  schedule(delayMs: number, callback: () => void): () => void {
    return systemClock.schedule(delayMs, callback);
  }
}

const admin = {
  name: ADMIN_ROLE,
  description: 'everything',
  grants: [{ permission: 'users:list', resource: { kind: 'any' } }],
} as const;
const operator = {
  name: 'operator',
  description: 'jobs',
  grants: [{ permission: 'jobs:start', resource: { kind: 'topicPrefix', prefix: 'dr.', cluster: null } }],
} as const;

/** `open` gives an empty, migrated database, for one test each. */
export function testStore(open: () => Promise<Database>): void {
  let clock: SuiteClock;
  let database: Database;
  let store: Store;

  beforeEach(async () => {
    clock = new SuiteClock();
    database = await open();
    store = createLocalStore(database, { clock, random: createRandom(1) });
    await store.roles.syncBuiltIn([admin, operator]);
  });
  afterEach(() => store.close(5000));

  const anna: NewUser = { name: 'Anna', kind: 'local', roles: ['admin'], passwordHash: '$argon2id$1' };
  const any = { ifVersion: null };

  async function aJob(name = 'east-to-west'): Promise<string> {
    for (const cluster of ['east', 'west'])
      if ((await store.clusters.get(cluster)) === null) await store.clusters.create({ name: cluster, document: {} });
    const job = { name, kind: 'Mirror', source: 'east', target: 'west', document: { a: [1, null, 'ü'] } };
    return (await store.jobs.create({ ...job, desired: 'started' })).id;
  }

  describe('users', () => {
    test('have unique names, whatever the case', async () => {
      const user = await store.users.create(anna);
      expect(user).toMatchObject({ name: 'Anna', roles: ['admin'], isInitial: false, hasTotp: false, version: 1 });
      await expectCode('RESOURCE_CONFLICT', store.users.create({ ...anna, name: 'ANNA' }));
      expect(await store.users.getByName('anna')).toEqual(user);
      expect(await store.users.get('nobody')).toBeNull();
      await expectCode('RESOURCE_NOT_FOUND', store.users.create({ ...anna, name: 'Bob', roles: ['no-such-role'] }));
      expect(await store.users.getByName('Bob')).toBeNull();
    });

    test('of an identity provider are who it says that they are', async () => {
      const oidc = { issuer: 'https://id.test', subject: '42' };
      const user = await store.users.create({ name: 'Olga', kind: 'oidc', roles: [], oidc });
      expect(await store.users.getByOidc('https://id.test', '42')).toEqual(user);
      expect(await store.users.getByOidc('https://other.test', '42')).toBeNull();
      await expectCode('RESOURCE_CONFLICT', store.users.create({ name: 'Other', kind: 'oidc', roles: [], oidc }));
    });

    test('begin with one: of several who try at once, one succeeds', async () => {
      const tries = ['a', 'b', 'c'].map((name) => store.users.createInitial({ ...anna, name }));
      const users = (await Promise.all(tries)).filter((user) => user !== null);
      expect(users).toHaveLength(1);
      expect(users[0]?.isInitial).toBe(true);
      await expectCode('RESOURCE_CONFLICT', store.users.delete(must(users[0], 'user').id, any));
    });

    test('keep an admin who can sign in, also when two are taken away at once', async () => {
      const first = await store.users.create(anna);
      const second = await store.users.create({ ...anna, name: 'Bob' });
      await store.users.create({ name: 'robot', kind: 'service', roles: ['admin'] });
      const outcomes = await Promise.allSettled([
        store.users.setRoles(first.id, [], any),
        store.users.setDisabled(second.id, true, any),
      ]);
      expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      const { items } = await store.users.list({
        limit: 10,
        filter: { role: 'admin', kind: 'local', isDisabled: false },
      });
      expect(items).toHaveLength(1);
      await expectCode('RESOURCE_CONFLICT', store.users.delete(must(items[0], 'admin').id, any));
    });

    test('lose their sessions when their roles change, and one that was read before is refused', async () => {
      const user = await store.users.create({ ...anna, roles: ['operator'] });
      await aSession(user.id, 'hash');
      const { version } = await store.users.setRoles(user.id, ['admin'], { ifVersion: user.version });
      expect(await store.sessions.find('hash')).toBeNull();
      expect(version).toBe(2);
      await expectCode('RESOURCE_CHANGED', store.users.setRoles(user.id, ['operator'], { ifVersion: 1 }));
      expect((await store.users.get(user.id))?.roles).toEqual(['admin']);
    });

    test('change their password: other sessions end, and the flag goes', async () => {
      const user = await store.users.create({ ...anna, mustChangePassword: true });
      const kept = await aSession(user.id, 'kept');
      await aSession(user.id, 'ended');
      expect((await store.sessions.find('kept'))?.identity.mustChangePassword).toBe(true);
      await store.users.setPassword(user.id, '$argon2id$2', { mustChange: false, exceptSessionId: kept });
      expect((await store.sessions.find('kept'))?.identity.mustChangePassword).toBe(false);
      expect(await store.sessions.find('ended')).toBeNull();
      expect(await store.users.rehashPassword(user.id, { from: '$argon2id$1', to: 'x' })).toBe(false);
      expect(await store.users.rehashPassword(user.id, { from: '$argon2id$2', to: '$argon2id$3' })).toBe(true);
      expect(await store.users.loginFacts('ANNA')).toMatchObject({ passwordHash: '$argon2id$3', webauthn: 0 });
    });

    test('use a time step, a recovery code and a counter of an authenticator once', async () => {
      const { id } = await store.users.create(anna);
      expect((await store.users.setTotp(id, true)).hasTotp).toBe(true);
      expect(await store.users.useTotpStep(id, 100)).toBe(true);
      expect(await store.users.useTotpStep(id, 100)).toBe(false);
      expect(await store.users.useTotpStep(id, 99)).toBe(false);
      await store.users.setRecoveryCodes(id, ['r1', 'r2']);
      expect(await store.users.useRecoveryCode(id, 'r1')).toBe(true);
      expect(await store.users.useRecoveryCode(id, 'r1')).toBe(false);
      expect((await store.users.loginFacts('Anna'))?.recoveryCodesLeft).toBe(1);
      const key = { credentialId: 'c', userId: id, name: 'key', publicKey: 'p', counter: 5, transports: ['usb'] };
      await store.users.addWebauthn(key);
      await expectCode('RESOURCE_CONFLICT', store.users.addWebauthn(key));
      expect(await store.users.useWebauthn('c', 5)).toBe(false);
      expect(await store.users.useWebauthn('c', 6)).toBe(true);
      expect(await store.users.webauthn('c')).toMatchObject({
        counter: 6,
        transports: ['usb'],
        lastUsedAt: clock.now(),
      });
      expect(await store.users.webauthnOf(id)).toHaveLength(1);
      expect(await store.users.removeWebauthn('other', 'c')).toBe(false);
      expect(await store.users.removeWebauthn(id, 'c')).toBe(true);
    });

    test('reg-M-292: are gone with all that was theirs', async () => {
      await store.users.create(anna);
      const { id } = await store.users.create({ ...anna, name: 'Bob' });
      await aSession(id, 'hash');
      await store.tokens.create(aToken(id));
      await store.secrets.put(sealed(`totp/${id}`, 1), id);
      await store.users.delete(id, any);
      expect(await store.sessions.find('hash')).toBeNull();
      expect(await store.tokens.find('token')).toBeNull();
      expect(await store.tokens.list(id)).toEqual([]);
      expect(await store.secrets.get(`totp/${id}`)).toBeNull();
      expect(await store.users.count()).toBe(1);
    });

    test('are listed in pages that nobody falls out of', async () => {
      for (const name of ['carol', 'Bob', 'anna', 'dave_x', 'daveyx'])
        await store.users.create({ name, kind: 'local', roles: [] });
      const names: string[] = [];
      let cursor: string | null = null;
      do {
        const page: Awaited<ReturnType<typeof store.users.list>> = await store.users.list({
          limit: 2,
          cursor,
          withTotal: true,
        });
        expect(page.total).toBe(5);
        names.push(...page.items.map(({ name }) => name));
        cursor = page.next;
        if (names.length === 2)
          await store.users
            .create({ name: 'aaron', kind: 'local', roles: [] })
            .then(({ id }) => store.users.delete(id, any));
      } while (cursor !== null);
      expect(names).toEqual(['anna', 'Bob', 'carol', 'dave_x', 'daveyx']);
      const down = await store.users.list({ limit: 10, descending: true, filter: { nameContains: 'E_' } });
      expect(down.items.map(({ name }) => name)).toEqual(['dave_x']);
      const { next } = await store.users.list({ limit: 1 });
      await expectCode('REQUEST_INVALID', store.users.list({ limit: 1, cursor: next, descending: true }));
      await expectCode('REQUEST_INVALID', store.users.list({ limit: 1, cursor: 'nonsense' }));
      await expectCode('REQUEST_INVALID', store.users.list({ limit: 0 }));
    });
  });

  test('roles: built-in ones change with the program only, used ones stay', async () => {
    const text = {
      name: 'team',
      description: 'ours',
      grants: [{ permission: 'jobs:view', resource: { kind: 'job', name: 'j' } }],
    } as const;
    const role = await store.roles.create(text);
    expect(role).toMatchObject({ isBuiltIn: false, users: 0, version: 1, grants: text.grants });
    await expectCode('RESOURCE_CONFLICT', store.roles.create(text));
    await expectCode('RESOURCE_CONFLICT', store.roles.replace({ ...admin, description: 'x' }, any));
    await expectCode('RESOURCE_CONFLICT', store.roles.delete('admin', any));
    await expectCode('RESOURCE_CHANGED', store.roles.replace(text, { ifVersion: 7 }));
    expect((await store.roles.replace({ ...text, description: 'new' }, { ifVersion: 1 })).version).toBe(2);
    const { id } = await store.users.create({ ...anna, roles: ['team', 'operator'] });
    await expectCode('RESOURCE_CONFLICT', store.roles.delete('team', any));
    await store.users.setRoles(id, ['operator'], any);
    await store.roles.delete('team', any);
    await expectCode('RESOURCE_NOT_FOUND', store.roles.delete('team', any));
    await store.roles.syncBuiltIn([{ ...operator, description: 'more' }]);
    expect((await store.roles.list()).map(({ name, users, version }) => [name, users, version])).toEqual([
      ['operator', 1, 2],
    ]);
  });

  describe('what somebody shows', () => {
    test('a session ends when it idles, when its time is over, and when its user is disabled', async () => {
      await store.users.create(anna);
      const { id } = await store.users.create({ ...anna, name: 'Bob', roles: ['operator'] });
      const session = await aSession(id, 'hash');
      expect(await store.sessions.find('hash')).toMatchObject({
        session: { id: session, methods: ['password'], steppedUpAt: null },
        identity: { userId: id, name: 'Bob', roles: ['operator'], grants: operator.grants, hasSecondFactor: false },
      });
      clock.advance(14 * MINUTE);
      await store.sessions.touch(session);
      clock.advance(14 * MINUTE);
      expect(await store.sessions.find('hash')).not.toBeNull();
      const rotated = await store.sessions.rotate(session, { hash: 'other', methods: ['totp'] });
      expect(rotated).toMatchObject({ methods: ['password', 'totp'], steppedUpAt: clock.now() });
      expect(await store.sessions.find('hash')).toBeNull();
      await store.users.setDisabled(id, true, any);
      expect(await store.sessions.list(id)).toEqual([]);
      await store.users.setDisabled(id, false, any);
      await aSession(id, 'second');
      clock.advance(15 * MINUTE);
      expect(await store.sessions.find('second')).toBeNull();
      await store.sessions.touch(session); // too late: it does not come back
      expect(await store.sessions.list(id)).toEqual([]);
    });

    test('a session is ended by whom it belongs to', async () => {
      const { id } = await store.users.create(anna);
      const [first, second] = [await aSession(id, '1'), await aSession(id, '2')];
      expect(await store.sessions.end(first, 'somebody else')).toBe(false);
      expect(await store.sessions.end(first, id)).toBe(true);
      await aSession(id, '3');
      expect(await store.sessions.endAll(id, second)).toBe(1);
      expect((await store.sessions.list(id)).map((session) => session.id)).toEqual([second]);
    });

    test('a token is good until it expires, is revoked, or its owner is disabled', async () => {
      await store.users.create(anna);
      const { id } = await store.users.create({ ...anna, name: 'Bob', roles: ['operator'] });
      const token = await store.tokens.create(aToken(id));
      await expectCode('RESOURCE_CONFLICT', store.tokens.create({ ...aToken(id), hash: 'other' }));
      await store.tokens.touch(token.id, '10.0.0.7');
      expect(await store.tokens.find('token')).toMatchObject({
        token: {
          scopes: ['jobs:view'],
          allowedRanges: ['10.0.0.0/8'],
          lastUsedAt: clock.now(),
          lastUsedFrom: '10.0.0.7',
        },
        identity: { name: 'Bob' },
      });
      await store.users.setDisabled(id, true, any);
      expect(await store.tokens.find('token')).toBeNull();
      await store.users.setDisabled(id, false, any);
      expect(await store.tokens.find('token')).not.toBeNull();
      expect(await store.tokens.revoke(token.id, 'somebody else')).toBe(false);
      expect(await store.tokens.revoke(token.id, id)).toBe(true);
      expect(await store.tokens.find('token')).toBeNull();
      await store.tokens.create({ ...aToken(id), hash: 'third' });
      clock.advance(2 * HOUR);
      expect(await store.tokens.find('third')).toBeNull();
    });

    test('a one-time token is good once, for what it is for, and for its time', async () => {
      const issue = (hash: string, replace = false) =>
        store.oneTimeTokens.issue({ purpose: 'stream', hash, lifeMs: MINUTE, payload: { session: 's' }, replace });
      await issue('a');
      expect(await store.oneTimeTokens.consume('setup', 'a')).toBeNull();
      const both = await Promise.all([1, 2].map(() => store.oneTimeTokens.consume('stream', 'a')));
      expect(both.filter((answer) => answer !== null)).toEqual([{ payload: { session: 's' } }]);
      await issue('b');
      await issue('c', true);
      expect(await store.oneTimeTokens.consume('stream', 'b')).toBeNull();
      expect(await store.oneTimeTokens.isPending('stream')).toBe(true);
      clock.advance(MINUTE);
      expect(await store.oneTimeTokens.isPending('stream')).toBe(false);
      expect(await store.oneTimeTokens.consume('stream', 'c')).toBeNull();
    });

    test('a certificate stands for whom one of its names is mapped to', async () => {
      const { id } = await store.users.create({ name: 'worker', kind: 'service', roles: ['operator'] });
      const mapped = { userId: id, subject: 'URI:spiffe://a/worker', fingerprint: 'f1', expiresAt: clock.now() + HOUR };
      const { id: certificate } = await store.certificates.add(mapped);
      await expectCode('RESOURCE_CONFLICT', store.certificates.add(mapped));
      const subjects = ['DNS:x', 'URI:spiffe://a/worker'];
      expect(await store.certificates.find({ subjects, fingerprint: 'f1' })).toMatchObject({
        identity: { userId: id },
      });
      expect(await store.certificates.find({ subjects, fingerprint: 'f2' })).toBeNull();
      expect(await store.certificates.find({ subjects: [], fingerprint: 'f1' })).toBeNull();
      expect(await store.certificates.revoke(certificate)).toBe(true);
      expect(await store.certificates.find({ subjects, fingerprint: 'f1' })).toBeNull();
      await store.certificates.add(mapped);
      clock.advance(HOUR);
      expect(await store.certificates.find({ subjects, fingerprint: 'f1' })).toBeNull();
    });

    test('failures double the wait, and are forgotten', async () => {
      const policy = { free: 2, baseMs: SECOND, maxMs: 3 * SECOND, forgetMs: MINUTE };
      const waits: number[] = [];
      for (let i = 0; i < 5; i++) waits.push((await store.throttles.fail('a', policy)).until - clock.now());
      expect(waits).toEqual([0, 0, 1000, 2000, 3000]);
      expect(await store.throttles.get('a')).toEqual({ failures: 5, until: clock.now() + 3000 });
      expect(await store.throttles.get('b')).toEqual({ failures: 0, until: 0 });
      clock.advance(MINUTE);
      expect((await store.throttles.get('a')).failures).toBe(0);
      await store.throttles.fail('a', policy);
      await store.throttles.clear('a');
      expect((await store.throttles.get('a')).failures).toBe(0);
    });
  });

  describe('clusters', () => {
    test('are replaced at the version that was read', async () => {
      const cluster = await store.clusters.create({ name: 'east', document: { spec: { bootstrap: ['a:9092'] } } });
      expect(cluster).toMatchObject({ state: 'active', pinnedId: null, version: 1 });
      await expectCode('RESOURCE_CONFLICT', store.clusters.create({ name: 'east', document: {} }));
      const changed = await store.clusters.replace('east', { other: true }, { ifVersion: 1 });
      expect(changed).toMatchObject({ document: { other: true }, version: 2 });
      await expectCode('RESOURCE_CHANGED', store.clusters.replace('east', {}, { ifVersion: 1 }));
      await expectCode('RESOURCE_NOT_FOUND', store.clusters.replace('west', {}, any));
    });

    test('keep the id that was met first until somebody says otherwise', async () => {
      await store.clusters.create({ name: 'east', document: {} });
      expect(await store.clusters.pin('east', 'id-1')).toBe('id-1');
      expect(await store.clusters.pin('east', 'id-2')).toBe('id-1');
      await store.clusters.unpin('east', any);
      expect(await store.clusters.pin('east', 'id-2')).toBe('id-2');
    });

    test('in use are not deleted; deleted ones come back until they are archived and purged', async () => {
      const job = await aJob();
      await expectCode('RESOURCE_CONFLICT', store.clusters.deactivate('east', any));
      await store.jobs.setDesired(job, 'stopped', { by: null });
      await store.clusters.create({ name: 'spare', document: {} });
      expect((await store.clusters.deactivate('spare', any)).state).toBe('inactive');
      expect((await store.clusters.restore('spare', any)).state).toBe('active');
      await store.clusters.deactivate('spare', any);
      await store.clusters.deactivate('east', any);
      expect(await store.clusters.purge()).toEqual([]);
      expect(await store.clusters.archive(clock.now())).toEqual([]);
      clock.advance(DAY);
      expect(await store.clusters.archive(clock.now() - HOUR)).toEqual(['east', 'spare']);
      expect(await store.clusters.purge()).toEqual(['spare']); // a job still names the other
      const { items } = await store.clusters.list({ limit: 10, filter: { state: 'archived' } });
      expect(items.map(({ name }) => name)).toEqual(['east']);
    });
  });

  describe('jobs', () => {
    test('are wanted paused after everything that is not about them', async () => {
      const id = await aJob();
      expect(await store.jobs.setDesired(id, 'paused', { by: 'u' })).toMatchObject({ desired: 'paused', version: 1 });
      await aJob('second');
      const stopped = await store.jobs.setDesiredOfAll({ from: ['started'], to: 'stopped', by: 'u' });
      expect(stopped.map(({ name }) => name)).toEqual(['second']);
      expect((await store.jobs.get(id))?.desired).toBe('paused');
      expect(await store.jobs.requestRestart(id, { by: 'u' })).toMatchObject({ desired: 'started', restarts: 1 });
    });

    test('have unique names and active clusters', async () => {
      const id = await aJob();
      const job = { name: 'other', kind: 'Mirror', source: 'east', target: 'west', document: {} };
      await expectCode('RESOURCE_CONFLICT', store.jobs.create({ ...job, name: 'east-to-west', desired: 'stopped' }));
      await expectCode('RESOURCE_NOT_FOUND', store.jobs.create({ ...job, source: 'nowhere', desired: 'stopped' }));
      const renamed = await store.jobs.replace(id, job, { ifVersion: 1 });
      expect(renamed).toMatchObject({ name: 'other', version: 2, desired: 'started' });
      await expectCode('RESOURCE_CHANGED', store.jobs.replace(id, job, { ifVersion: 1 }));
      expect((await store.jobs.getByName('other'))?.id).toBe(id);
      const page = await store.jobs.list({ limit: 5, filter: { cluster: 'west', kind: 'Mirror', desired: 'started' } });
      expect(page.items).toEqual([renamed]);
    });

    test('are deleted when they are wanted stopped, and reports still count what they did', async () => {
      const id = await aJob();
      await store.incidents.report(id, [anIncident]);
      const samples = [sample(id, 'records', 1), { ...sample(id, 'records', 1), topic: 'orders' }];
      await store.history.record({ id: 'p', startedAt: clock.now() - 1_000 }, samples);
      const range = { from: clock.now() - 60_000, to: clock.now() + 60_000 };
      const totals = () => store.history.totals({ jobId: null, metrics: ['records'], ...range });
      const before = await totals();
      expect(before).toMatchObject([{ jobId: id, added: 1 }]);
      await expectCode('RESOURCE_CONFLICT', store.jobs.delete(id, any));
      await store.jobs.setDesired(id, 'stopped', { by: null });
      await store.jobs.delete(id, any);
      expect(await store.jobs.get(id)).toBeNull();
      expect((await store.incidents.list({ limit: 5 })).items).toMatchObject([{ jobId: id, closedAt: clock.now() }]);
      expect(await store.history.topics(id)).toEqual([]);
      expect(await totals()).toEqual(before);
      expect(await store.history.record({ id: 'p', startedAt: 0 }, samples)).toEqual({ leftOut: 2 });
      const { series } = await store.maintenance.size();
      clock.advance(500 * 24 * 3_600_000);
      await store.maintenance.rollUp(defaultRetention);
      while (await store.maintenance.prune(defaultRetention));
      expect((await store.maintenance.size()).series).toBe(series - 1);
      expect((await store.incidents.list({ limit: 5 })).items).toEqual([]);
      await expectCode('RESOURCE_NOT_FOUND', store.jobs.delete(id, any));
    });
  });

  test('events come in their order, and are found by what they are about', async () => {
    const event = {
      at: clock.now(),
      type: 'job.started',
      level: 'info',
      jobId: 'j',
      cluster: null,
      topic: null,
      actor: 'u',
      message: 'm',
      data: {},
    } as const;
    await store.events.add([
      event,
      { ...event, type: 'topic.created', level: 'warning', topic: 'orders' },
      { ...event, at: clock.now() + 5 },
    ]);
    await store.events.add([]);
    const all = await store.events.after(0, 10);
    expect(all.map(({ type }) => type)).toEqual(['job.started', 'topic.created', 'job.started']);
    expect(await store.events.get(must(all[1], 'event').id)).toEqual(all[1]);
    expect(await store.events.after(must(all[1], 'event').id, 10)).toEqual([all[2]]);
    const newest = await store.events.list({ limit: 1, descending: true, filter: { jobId: 'j', to: clock.now() + 1 } });
    expect(newest.items).toEqual([all[1]]);
    expect(await store.events.counts({ from: clock.now() })).toEqual([
      { type: 'job.started', level: 'info', count: 2 },
      { type: 'topic.created', level: 'warning', count: 1 },
    ]);
  });

  describe('incidents', () => {
    test('open once, are seen again, and close when they are gone', async () => {
      const job = await aJob();
      const { opened } = await store.incidents.report(job, [anIncident, { ...anIncident, partition: 4 }]);
      expect(opened).toHaveLength(2);
      clock.advance(2 * MINUTE);
      expect(await store.incidents.report(job, [anIncident])).toMatchObject({ opened: [], closed: [{ partition: 4 }] });
      const { items } = await store.incidents.list({ limit: 5, filter: { jobId: job, isOpen: true } });
      expect(items).toMatchObject([{ partition: 3, openedAt: clock.now() - 2 * MINUTE, lastSeenAt: clock.now() }]);
      await store.incidents.report(job, []);
      expect((await store.incidents.list({ limit: 5, filter: { isOpen: true } })).items).toEqual([]);
      const again = await store.incidents.report(job, [anIncident]);
      expect(again.opened[0]?.id).not.toBe(opened[0]?.id);
      await expectCode('RESOURCE_NOT_FOUND', store.incidents.report('no job', []));
    });

    test('are resolved by somebody, and found by when they were there', async () => {
      const job = await aJob();
      const { opened } = await store.incidents.report(job, [anIncident]);
      const { id, openedAt } = must(opened[0], 'incident');
      const resolved = await store.incidents.resolve(id, { resolution: 'ignored', note: 'known', by: 'u' });
      expect(resolved).toMatchObject({ resolution: 'ignored', resolutionNote: 'known', resolvedBy: 'u' });
      clock.advance(HOUR);
      await store.incidents.report(job, []);
      const found = (from: number, to: number) => store.incidents.list({ limit: 5, filter: { from, to } });
      expect((await found(openedAt + MINUTE, openedAt + 2 * MINUTE)).items).toHaveLength(1);
      expect((await found(clock.now() + 1, clock.now() + 2)).items).toEqual([]);
      expect((await found(0, openedAt)).items).toEqual([]);
      await expectCode(
        'RESOURCE_NOT_FOUND',
        store.incidents.resolve(id + 100, { resolution: 'resolved', note: null, by: 'u' }),
      );
    });
  });

  describe('figures over time', () => {
    test('reg-M-339: totals are what was counted, over restarts and repeated samples', async () => {
      const job = await aJob();
      const say = (run: string, startedAt: number, value: number) =>
        store.history.record({ id: run, startedAt }, [sample(job, 'records', value)]);
      const begun = clock.now();
      for (const value of [300, 600, 600, 1000]) {
        clock.advance(10 * SECOND);
        await say('run-1', begun, value);
        await say('run-1', begun, value);
      }
      const restarted = clock.now();
      for (const value of [100, 300]) {
        clock.advance(10 * SECOND);
        await say('run-2', restarted, value);
      }
      const [total] = await store.history.totals({
        jobId: job,
        metrics: ['records'],
        from: begun,
        to: clock.now() + 1,
      });
      expect(total).toEqual({ jobId: job, metric: 'records', added: 1300, coveredMs: 60_000 });
      const [series] = await read(job, ['records'], begun, clock.now() + 1);
      expect(series?.points.map(({ added }) => added)).toEqual([300, 300, 0, 400, 100, 200]);
      expect(series?.points[0]).toMatchObject({ mean: 30, min: 30, max: 30 });
    });

    test('samples of a job that is gone are left out, and the others stay', async () => {
      const job = await aJob();
      const source = { id: 'run', startedAt: clock.now() };
      const { leftOut } = await store.history.record(source, [sample('gone', 'records', 5), sample(job, 'records', 7)]);
      expect(leftOut).toBe(1);
      const time = { from: source.startedAt, to: clock.now() + 1 };
      expect(await store.history.totals({ jobId: null, metrics: ['records'], ...time })).toMatchObject([
        { jobId: job, added: 7 },
      ]);
    });

    test('a rate after a gap is spread over it', async () => {
      const job = await aJob();
      const source = { id: 'run', startedAt: clock.now() };
      clock.advance(10 * SECOND);
      await store.history.record(source, [sample(job, 'records', 1000)]);
      clock.advance(10 * MINUTE);
      await store.history.record(source, [sample(job, 'records', 61_000)]);
      const [series] = await read(job, ['records'], source.startedAt, clock.now() + 1);
      expect(series?.points.map(({ mean }) => mean)).toEqual([100, 100]);
    });

    test('a gauge has its mean, lowest and highest; of what was not measured there is nothing', async () => {
      const job = await aJob();
      const from = clock.now();
      const lag = (value: number): Sample => ({ jobId: job, topic: 'orders', metric: 'lag', kind: 'gauge', value });
      for (const value of [10, 20, 60]) await store.history.record({ id: 'r', startedAt: from }, [lag(value)]);
      clock.advance(30 * SECOND);
      await store.history.record({ id: 'r', startedAt: from }, [lag(5)]);
      const [series] = await store.history.read({
        jobId: job,
        topic: 'orders',
        metrics: ['lag', 'none'],
        from,
        to: clock.now() + 1,
      });
      expect(series).toMatchObject({ metric: 'lag', kind: 'gauge', stepMs: 10_000 });
      expect(series?.points).toEqual([
        { at: from, added: null, mean: 30, min: 10, max: 60 },
        { at: from + 30_000, added: null, mean: 5, min: 5, max: 5 },
      ]);
      expect(await store.history.topics(job)).toEqual(['orders']);
    });

    test('long times are read in long steps, whose sums are those of the short ones', async () => {
      const job = await aJob();
      const from = clock.now();
      const source = { id: 'run', startedAt: from };
      let value = 0;
      for (let minute = 0; minute < 26 * 60; minute += 20) {
        clock.advance(20 * MINUTE);
        value += minute;
        await store.history.record(source, [sample(job, 'records', value)]);
        await store.maintenance.rollUp(defaultRetention);
        while (await store.maintenance.prune(defaultRetention));
      }
      const to = clock.now() + 1;
      const [long] = await read(job, ['records'], from, to, 24);
      expect(long?.stepMs).toBe(2 * HOUR);
      expect(long?.points.reduce((sum, { added }) => sum + (added ?? 0), 0)).toBe(value);
      const [total] = await store.history.totals({ jobId: null, metrics: ['records'], from, to });
      expect(total).toEqual({ jobId: job, metric: 'records', added: value, coveredMs: 26 * HOUR });
      // The 10 s of the first day are gone: what is asked that finely comes in the finest steps that are left.
      const [early] = await read(job, ['records'], from, from + 2 * HOUR);
      expect(early?.stepMs).toBe(MINUTE);
      expect(early?.points).toHaveLength(5);
      const [late] = await read(job, ['records'], to - HOUR, to);
      expect(late?.stepMs).toBe(10_000);
      expect(late?.points.at(-1)).toMatchObject({ added: 26 * 60 - 20 });
    });

    function read(jobId: string, metrics: readonly string[], from: number, to: number, pointsMax?: number) {
      return store.history.read({ jobId, topic: null, metrics, from, to, ...(pointsMax ? { pointsMax } : {}) });
    }
  });

  describe('inventory', () => {
    const topic = (name: string, more: Partial<InventoryTopic> = {}): InventoryTopic => ({
      name,
      topicId: `id-${name}`,
      isInternal: name.startsWith('__'),
      partitions: 3,
      replicationFactor: 2,
      underReplicated: 0,
      records: 10,
      configs: { 'retention.ms': '1' },
      ...more,
    });
    const partition = (name: string, number: number, leader: number) => ({
      topic: name,
      partition: number,
      leader,
      replicas: [1, 2],
      inSyncReplicas: [1, 2],
      logStart: 0,
      highWatermark: clock.now(),
    });

    async function take(topics: readonly InventoryTopic[], leader: number): Promise<number> {
      const id = await store.inventory.begin({
        cluster: 'east',
        jobId: null,
        side: null,
        trigger: 'manual',
        takenBy: 'u',
        facts: { brokers: 3 },
      });
      await store.inventory.add(id, { kind: 'topics', items: topics });
      await store.inventory.add(id, {
        kind: 'partitions',
        items: [partition('orders', 10, leader), partition('orders', 9, 1)],
      });
      await store.inventory.add(id, {
        kind: 'groups',
        items: [{ groupId: 'billing', state: 'Stable', protocol: 'consumer', members: 2 }],
      });
      const offset = {
        groupId: 'billing',
        topic: 'orders',
        partition: 9,
        offset: clock.now(),
        highWatermark: null,
        lagRecords: null,
      };
      await store.inventory.add(id, { kind: 'offsets', items: [offset] });
      await store.inventory.complete(id);
      clock.advance(SECOND);
      return id;
    }

    test('one that is not complete is nowhere, one that is does not change', async () => {
      const open = await store.inventory.begin({
        cluster: 'east',
        jobId: null,
        side: null,
        trigger: 'periodic',
        takenBy: null,
        facts: {},
      });
      expect(await store.inventory.get(open)).toBeNull();
      expect((await store.inventory.list({ limit: 5 })).items).toEqual([]);
      const id = await take([topic('orders')], 1);
      expect(await store.inventory.latest('east')).toMatchObject({
        id,
        topics: 1,
        partitions: 2,
        groups: 1,
        facts: { brokers: 3 },
      });
      await expectCode('RESOURCE_CONFLICT', store.inventory.add(id, { kind: 'topics', items: [] }));
      await expectCode('RESOURCE_NOT_FOUND', store.inventory.complete(999));
      expect((await store.inventory.partitions(id, 'orders')).map((each) => each.partition)).toEqual([9, 10]);
      expect(await store.inventory.offsets(id, 'billing')).toMatchObject([{ topic: 'orders', partition: 9 }]);
      expect((await store.inventory.groups(id, { limit: 5, sort: 'members' })).items).toHaveLength(1);
      expect(await store.inventory.delete(id)).toBe(true);
      expect(await store.inventory.latest('east')).toBeNull();
    });

    test('topics are found and ordered', async () => {
      const id = await take(
        [
          topic('orders', { records: null }),
          topic('__internal'),
          topic('Payments', { underReplicated: 2, partitions: 12 }),
          topic('payments.dlq'),
        ],
        1,
      );
      const names = async (...[request]: [Parameters<typeof store.inventory.topics>[1]]) =>
        (await store.inventory.topics(id, request)).items.map(({ name }) => name);
      expect(await names({ limit: 10 })).toEqual(['Payments', '__internal', 'orders', 'payments.dlq']);
      expect(await names({ limit: 10, filter: { nameContains: 'PAY' } })).toEqual(['Payments', 'payments.dlq']);
      expect(await names({ limit: 10, filter: { namePrefix: 'pay' } })).toEqual(['payments.dlq']);
      expect(await names({ limit: 10, filter: { isInternal: true } })).toEqual(['__internal']);
      expect(await names({ limit: 10, filter: { isUnderReplicated: true } })).toEqual(['Payments']);
      expect(await names({ limit: 1, sort: 'partitions', descending: true })).toEqual(['Payments']);
      expect((await names({ limit: 10, sort: 'records' }))[0]).toBe('orders');
    });

    test('10,000 topics are saved in pieces, and walked through in any order', async () => {
      const all = Array.from({ length: 10_000 }, (_, i) =>
        topic(`topic-${i}`, { partitions: i % 7, records: (i * 7919) % 1000 }),
      );
      const about = { cluster: 'east', jobId: null, side: null, trigger: 'manual', takenBy: null, facts: {} } as const;
      const saved = await saveSnapshot(store.inventory, {
        about,
        topics: all,
        partitions: [],
        groups: [],
        offsets: [],
      });
      expect(saved.topics).toBe(10_000);
      const seen: InventoryTopic[] = [];
      let cursor: string | null = null;
      do {
        const request = { limit: 1000, cursor, sort: 'records', descending: true, withTotal: true } as const;
        const page: Awaited<ReturnType<typeof store.inventory.topics>> = await store.inventory.topics(
          saved.id,
          request,
        );
        expect(page.total).toBe(10_000);
        seen.push(...page.items);
        cursor = page.next;
      } while (cursor !== null);
      expect(new Set(seen.map(({ name }) => name)).size).toBe(10_000);
      expect(seen.map(({ records }) => records)).toEqual(
        all.map(({ records }) => records ?? 0).toSorted((a, b) => b - a),
      );
      await expectCode(
        'RESOURCE_CONFLICT',
        store.inventory
          .begin(about)
          .then((id) => store.inventory.add(id, { kind: 'topics', items: all.slice(0, 2001) })),
      );
    });

    test('two snapshots differ in what was added, removed and changed, not in what moves all the time', async () => {
      const before = await take([topic('orders'), topic('gone'), topic('same')], 1);
      const after = await take(
        [topic('orders', { partitions: 6, records: 99 }), topic('new'), topic('same', { records: 77 })],
        2,
      );
      const page = await store.inventory.differences({ from: before, to: after }, { limit: 100, withTotal: true });
      expect(page.items.map(({ kind, name, change }) => `${change} ${kind} ${name}`)).toEqual([
        'changed offset billing orders/9',
        'changed partition orders/10',
        'removed topic gone',
        'added topic new',
        'changed topic orders',
      ]);
      expect(page.total).toBe(5);
      expect(page.items[4]).toMatchObject({ before: { partitions: 3 }, after: { partitions: 6 } });
      const topics = await store.inventory.differences(
        { from: before, to: after },
        { limit: 2, filter: { kind: 'topic' } },
      );
      expect(topics.items.map(({ name }) => name)).toEqual(['gone', 'new']);
      const rest = await store.inventory.differences(
        { from: before, to: after },
        { limit: 2, cursor: topics.next, filter: { kind: 'topic' } },
      );
      expect(rest.items.map(({ name }) => name)).toEqual(['orders']);
      expect((await store.inventory.differences({ from: before, to: before }, { limit: 1 })).items).toEqual([]);
      await expectCode('RESOURCE_NOT_FOUND', store.inventory.differences({ from: before, to: 999 }, { limit: 1 }));
    });
  });

  test('configuration is one document with one version', async () => {
    expect(await store.configuration.read()).toEqual({ values: {}, version: 0, updatedAt: null, updatedBy: null });
    const first = await store.configuration.write({ a: 1, b: { c: ['x'] } }, { ifVersion: 0, by: 'u', replace: false });
    expect(first).toEqual({ values: { a: 1, b: { c: ['x'] } }, version: 1, updatedAt: clock.now(), updatedBy: 'u' });
    await expectCode(
      'RESOURCE_CHANGED',
      store.configuration.write({ a: 2 }, { ifVersion: 0, by: 'u', replace: false }),
    );
    const { values } = await store.configuration.write(
      { a: null, d: false },
      { ifVersion: 1, by: null, replace: false },
    );
    expect(values).toEqual({ b: { c: ['x'] }, d: false });
    expect((await store.configuration.write({ e: 0 }, { ifVersion: null, by: null, replace: true })).values).toEqual({
      e: 0,
    });
  });

  test('a secret has one version after the other, also after it was deleted', async () => {
    await store.secrets.put(sealed('store/a', 1), 'u');
    await expectCode('RESOURCE_CHANGED', store.secrets.put(sealed('store/a', 1), 'u'));
    await expectCode('RESOURCE_CHANGED', store.secrets.put(sealed('store/a', 3), 'u'));
    await store.secrets.put(sealed('store/a', 2), 'v');
    expect(await store.secrets.get('store/a')).toMatchObject({ version: 2, updatedBy: 'v', createdAt: clock.now() });
    expect(await store.secrets.delete('store/a')).toBe(true);
    expect(await store.secrets.delete('store/a')).toBe(false);
    expect(await store.secrets.get('store/a')).toBeNull();
    expect(await store.secrets.lastVersion('store/a')).toBe(2);
    await store.secrets.put(sealed('store/a', 3), 'u');
    await store.secrets.put(sealed('totp/1', 1), 'u');
    expect((await store.secrets.list('store/')).map(({ name, version }) => [name, version])).toEqual([['store/a', 3]]);
    const toDo = await store.secrets.wrappedByOthers('new', { after: 'store/a', limit: 10 });
    expect(toDo.map(({ name }) => name)).toEqual(['totp/1']);
    expect(await store.secrets.rewrap({ name: 'totp/1', version: 1, keyId: 'new', wrappedKey: 'w2' })).toBe(true);
    expect(await store.secrets.rewrap({ name: 'store/a', version: 2, keyId: 'new', wrappedKey: 'w2' })).toBe(false);
    expect(await store.secrets.get('totp/1')).toMatchObject({ keyId: 'new', wrappedKey: 'w2' });
  });

  test('a request with an idempotency key is done once and answered alike', async () => {
    const { id } = await store.users.create(anna);
    const request = { userId: id, key: 'k', requestHash: 'h' };
    const begin = () => store.idempotency.begin(request, HOUR);
    const states = await Promise.all([begin(), begin(), begin()]);
    expect(states.map(({ state }) => state).toSorted()).toEqual(['new', 'running', 'running']);
    expect(await store.idempotency.begin({ ...request, requestHash: 'other' }, HOUR)).toEqual({ state: 'different' });
    await store.idempotency.complete(request, { status: 201, body: { id: 1 } });
    expect(await begin()).toEqual({ state: 'done', status: 201, body: { id: 1 } });
    await store.idempotency.abandon(request); // done is done
    expect((await begin()).state).toBe('done');
    clock.advance(HOUR);
    expect(await begin()).toEqual({ state: 'new' });
    await store.idempotency.abandon(request);
    expect(await begin()).toEqual({ state: 'new' });
  });

  test('a lease has one holder, and a term that tells holders apart', async () => {
    const hold = (holder: string, lifeMs = HOUR) => store.leases.hold('log', { holder, lifeMs });
    const both = await Promise.all([hold('a'), hold('b')]);
    const [lease] = both.filter((each) => each !== null);
    expect(both.filter((each) => each !== null)).toHaveLength(1);
    const { holder, term } = must(lease, 'lease');
    const other = holder === 'a' ? 'b' : 'a';
    expect((await hold(holder))?.term).toBe(term);
    expect(await hold(other)).toBeNull();
    expect(await store.leases.release('log', other)).toBe(false);
    expect(await store.leases.release('log', holder)).toBe(true);
    expect(await hold(other)).toMatchObject({ holder: other, term: term + 1 });
    expect(await store.leases.list()).toHaveLength(1);
  });

  test('reports are listed without their bodies', async () => {
    const report = {
      kind: 'compliance',
      subject: null,
      from: 1,
      to: 2,
      createdBy: 'u',
      summary: { rows: 2 },
      body: { rows: [1, 2] },
    };
    const { id } = await store.reports.add(report);
    await store.reports.add({ ...report, kind: 'checkpoint', subject: 'j' });
    const page = await store.reports.list({ limit: 5, filter: { kind: 'compliance' } });
    expect(page.items).toEqual([
      {
        id,
        kind: 'compliance',
        subject: null,
        from: 1,
        to: 2,
        createdAt: clock.now(),
        createdBy: 'u',
        summary: { rows: 2 },
      },
    ]);
    expect(await store.reports.get(id)).toMatchObject({ body: { rows: [1, 2] } });
    expect(await store.reports.delete(id)).toBe(true);
    expect(await store.reports.get(id)).toBeNull();
  });

  describe('what the audit log knows of people', () => {
    const value = (commitment: string, of: Partial<PersonalValue> = {}): PersonalValue => ({
      commitment,
      kind: 'address',
      value: '192.0.2.7',
      salt: '00',
      ...of,
    });

    test('is found by its commitment until it is erased, or too old', async () => {
      await store.personal.keep([]);
      await store.personal.keep([value('a'), value('b', { kind: 'account', value: 'ada' })]);
      await store.personal.keep([value('a'), value('c')]);
      expect(await store.personal.find(['a', 'b', 'x'])).toEqual([
        value('a'),
        value('b', { kind: 'account', value: 'ada' }),
      ]);
      expect(await store.personal.find([])).toEqual([]);
      expect(await store.personal.erase('192.0.2.7')).toBe(2);
      expect(await store.personal.erase('192.0.2.7')).toBe(0);
      expect(await store.personal.find(['a', 'b', 'c'])).toHaveLength(1);
      await store.maintenance.prune({ ...defaultRetention, personalMs: 0 });
      expect(await store.personal.find(['b'])).toHaveLength(1); // of this very moment
      clock.advance(10);
      await store.maintenance.prune({ ...defaultRetention, personalMs: 5 });
      expect(await store.personal.find(['b'])).toEqual([]);
    });

    test('a user who was deleted keeps the name, until it is erased or too old', async () => {
      const robot = { name: 'robot', kind: 'service', roles: [] } as const;
      const { id } = await store.users.create(robot);
      expect(await store.personal.names([id, 'nobody'])).toEqual([{ id, name: robot.name }]);
      expect(await store.personal.formerUser(robot.name)).toBeNull();
      await store.users.delete(id, { ifVersion: null });
      expect(await store.personal.names([id])).toEqual([{ id, name: robot.name }]);
      expect(await store.personal.formerUser(robot.name)).toBe(id);
      expect(await store.personal.erase(robot.name)).toBe(1);
      expect(await store.personal.names([id])).toEqual([]);
      expect(await store.personal.names([])).toEqual([]);
    });
  });

  describe('the audit log', () => {
    const checkpoint = (size: number, root: string) => ({ origin: 'log', size, root });

    test('reg-M-445: cannot become shorter, or another, unseen', async () => {
      await store.logAnchors.see(checkpoint(10, 'a'));
      await store.logAnchors.see(checkpoint(10, 'a'));
      await store.logAnchors.see(checkpoint(12, 'b'));
      await expectCode('LOG_ROLLED_BACK', store.logAnchors.see(checkpoint(11, 'x')));
      await expectCode('LOG_ROLLED_BACK', store.logAnchors.see(checkpoint(12, 'x')));
      expect(await store.logAnchors.last('log')).toMatchObject({ size: 12, root: 'b' });
      expect(await store.logAnchors.all()).toHaveLength(1);
    });

    test('one under another name is not seen in its place, until it names the one before it as abandoned', async () => {
      const other = { origin: 'log-2', size: 2, root: 'c' };
      await store.logAnchors.see(checkpoint(10, 'a'));
      await expectCode('LOG_ROLLED_BACK', store.logAnchors.see(other));
      await store.logAnchors.abandon(['log']);
      await store.logAnchors.abandon(['log', 'another']);
      expect(await store.logAnchors.abandoned()).toEqual(['another', 'log']);
      await store.logAnchors.see(other);
      await expectCode('LOG_ROLLED_BACK', store.logAnchors.see(checkpoint(11, 'b')));
      expect(await store.logAnchors.last('log')).toMatchObject({ size: 10 });
    });

    test('an intent that took effect is known, one that was refused is not', async () => {
      await store.under(7).users.create(anna);
      await expectCode('RESOURCE_CONFLICT', store.under(8).users.create(anna));
      await store.under(9).users.list({ limit: 1 }); // reads change nothing
      await store.under(7).clusters.create({ name: 'east', document: {} });
      expect(await store.logAnchors.effectsOf([7, 8, 9])).toEqual([7]);
      expect(await store.logAnchors.effectsOf([])).toEqual([]);
    });
  });

  test('servers that share a database see what changed', async () => {
    const before = await store.maintenance.versions();
    const { id } = await store.users.create(anna);
    await store.clusters.create({ name: 'east', document: {} });
    await store.users.recordLogin(id);
    expect(await store.maintenance.versions()).toEqual({
      identities: before.identities + 1,
      resources: before.resources + 1,
      configuration: before.configuration,
    });
  });

  test('reg-M-291: what is over is pruned, what is needed stays', async () => {
    const { id } = await store.users.create(anna);
    const job = await aJob();
    await aSession(id, 'hash');
    await store.tokens.create(aToken(id));
    await store.oneTimeTokens.issue({ purpose: 'setup', hash: 'o', lifeMs: 1, payload: null });
    await store.throttles.fail('t', { free: 0, baseMs: 1, maxMs: 1, forgetMs: 1 });
    await store.idempotency.begin({ userId: id, key: 'k', requestHash: 'h' }, 1);
    await store.events.add([{ ...plainEvent, at: clock.now() }]);
    await store.incidents.report(job, [anIncident]);
    await store.history.record({ id: 'r', startedAt: clock.now() }, [sample(job, 'records', 1)]);
    const unfinished = await store.inventory.begin({
      cluster: 'c',
      jobId: null,
      side: null,
      trigger: 'periodic',
      takenBy: null,
      facts: {},
    });
    const snapshots: number[] = [];
    for (let i = 0; i < 2; i++) {
      const snapshot = await store.inventory.begin({
        cluster: 'east',
        jobId: null,
        side: null,
        trigger: 'periodic',
        takenBy: null,
        facts: {},
      });
      await store.inventory.complete(snapshot);
      snapshots.push(snapshot);
      clock.advance(MINUTE);
    }
    clock.advance(500 * DAY);
    await store.maintenance.rollUp(defaultRetention);
    while (await store.maintenance.prune(defaultRetention));
    const { rows } = await store.maintenance.size();
    expect(rows).toMatchObject({
      users: 1,
      sessions: 0,
      api_tokens: 0,
      one_time_tokens: 0,
      throttles: 0,
      idempotency_keys: 0,
      events: 0,
    });
    expect(rows).toMatchObject({ incidents: 1, metric_points: 0, metric_series: 1, snapshots: 1 }); // an open incident, the latest snapshot
    expect(await store.inventory.get(must(snapshots[1], 'latest'))).not.toBeNull();
    await expectCode('RESOURCE_NOT_FOUND', store.inventory.complete(unfinished));
    await store.maintenance.tidy();
    expect((await store.maintenance.size()).databaseBytes).toBeGreaterThan(0);
  });

  describe('what another installation has', () => {
    const take = (given: Partial<Estate> = {}) => store.imports.take({ ...foreign, ...given });
    const fates = (items: readonly ImportedItem[]): string[] =>
      items.map(({ kind, name, fate }) => `${kind} ${name} ${fate}`);
    const all = [
      'secret pw',
      'cluster north',
      'cluster south',
      'role desk',
      'user Ben',
      'user eve',
      'user robot',
      'job north-to-south',
      'schedule backups.every',
    ];
    const each = (fate: string): string[] => all.map((item) => `${item} ${fate}`);

    test('reg-M-442: is added beside what is here, once', async () => {
      const versions = await store.maintenance.versions();
      expect(fates(await store.imports.foresee(foreign))).toEqual(each('added'));
      expect(await store.clusters.get('north')).toBeNull();
      expect(fates(await take())).toEqual(each('added'));

      expect(await store.clusters.get('south')).toMatchObject({ document: southOf('pw'), pinnedId: 'id-south' });
      expect(await store.jobs.getByName('north-to-south')).toMatchObject({ ...foreign.jobs[0], desired: 'stopped' });
      expect(await store.roles.get('desk')).toMatchObject({ isBuiltIn: false, grants: foreign.roles[0]?.grants });
      expect(await store.secrets.get('store/pw')).toMatchObject({ version: 1, ciphertext: 'c' });
      expect((await store.configuration.read()).values).toEqual({ 'backups.every': '1d' });
      const now = await store.maintenance.versions();
      expect(now).toEqual({
        identities: versions.identities + 1,
        resources: versions.resources + 1,
        configuration: versions.configuration + 1,
      });

      const secrets = foreign.secrets.map((secret) => ({ ...secret, isSame: true }));
      expect(fates(await take({ secrets }))).toEqual(each('same'));
    });

    test('comes with users who cannot sign in before somebody gives them a password', async () => {
      await take();
      expect(await store.users.loginFacts('Ben')).toMatchObject({ passwordHash: null, mustChangePassword: true });
      const ben = must(await store.users.getByName('ben'), 'Ben');
      expect(ben).toMatchObject({ roles: ['desk', 'operator'], isInitial: false, isDisabled: false });
      expect(await store.users.getByName('robot')).toMatchObject({ ownerId: ben.id, kind: 'service' });
      expect(await store.users.getByName('eve')).toMatchObject({ isDisabled: true, kind: 'oidc' });
      expect(await store.users.getByOidc('https://id.test', 'eve')).not.toBeNull();
    });

    test('reg-M-194: changes nothing that is here, and brings nothing that would mean something else here', async () => {
      await store.clusters.create({ name: 'north', document: { another: 1 } });
      await store.secrets.put(sealed('store/pw', 1), null);
      await store.roles.create({ name: 'desk', description: '', grants: admin.grants });
      await store.users.create({ name: 'EVE', kind: 'local', roles: ['admin'], passwordHash: 'p' });
      await store.configuration.write({ 'backups.every': '2d' }, { ifVersion: null, by: null, replace: true });
      const before = await everything();
      const items = await take();
      expect(fates(items)).toEqual(each('conflict').with(6, 'user robot added'));
      expect(items.map(({ why }) => why)).toEqual([
        'There is another secret of that name.',
        'There is another cluster of that name.',
        'Its secret "pw" is not that of the other installation.',
        'There is a role of that name that allows other things.',
        'The role "desk" is not that of the other installation.',
        'There is a user of that name, with the roles admin.',
        null,
        'Its cluster "north" is not that of the other installation.',
        'It is set to "2d" here.',
      ]);
      expect(await store.users.getByName('robot')).toMatchObject({ ownerId: null });
      expect(await everything()).toEqual(before);
    });

    test('is not taken for the same where the cluster is another one, or out of use here', async () => {
      const clusters = foreign.clusters.map((cluster) => ({ ...cluster, pinnedId: 'one' }));
      await take({ clusters, jobs: [] });
      const others = clusters.map((cluster) => ({ ...cluster, pinnedId: 'two' }));
      const conflicts = ['cluster north conflict', 'cluster south conflict'];
      const ofClusters = async () => {
        const secrets = foreign.secrets.map((secret) => ({ ...secret, isSame: true }));
        const items = await store.imports.foresee({ ...foreign, clusters: others, secrets });
        return fates(items).filter((item) => item.startsWith('cluster'));
      };
      expect(await ofClusters()).toEqual(conflicts);
      for (const { name } of clusters) await store.clusters.unpin(name, any);
      expect(await ofClusters()).toEqual(['cluster north same', 'cluster south same']);
      await store.clusters.deactivate('north', any);
      expect((await ofClusters())[0]).toBe('cluster north conflict');
    });

    test('comes with what its jobs did, once, and in each step of the history', async () => {
      const end = clock.now() - 26 * HOUR;
      const figures = Array.from({ length: 100 }, (_, i) => ({
        job: 'north-to-south',
        at: end - (99 - i) * 30_000,
        coveredMs: i === 0 ? 0 : 30_000,
        records: 60,
        bytes: 6_000,
        lagRecords: i === 0 ? null : i,
      }));
      expect(fates(await take({ figures }))).toContain('figures north-to-south added');
      const { id } = must(await store.jobs.getByName('north-to-south'), 'job');
      const metrics = ['records', 'bytes'];
      for (const from of [end - 2 * HOUR, end - 20 * HOUR, end - 30 * 24 * HOUR])
        expect(await store.history.totals({ jobId: id, metrics, from, to: clock.now() })).toEqual([
          { jobId: id, metric: 'bytes', added: 600_000, coveredMs: 2_970_000 },
          { jobId: id, metric: 'records', added: 6_000, coveredMs: 2_970_000 },
        ]);
      const of = {
        jobId: id,
        topic: null,
        metrics: ['lagRecords'],
        from: end - 24 * HOUR,
        to: clock.now(),
        pointsMax: 1,
      };
      expect((await store.history.read(of))[0]?.points).toMatchObject([{ mean: 50, min: 1, max: 99 }]);
      const secrets = foreign.secrets.map((secret) => ({ ...secret, isSame: true }));
      expect(fates(await take({ secrets, figures }))).toContain('figures north-to-south conflict');
    });

    test('comes whole or not at all', async () => {
      const late = { sealed: sealed('store/late', 2), isSame: false }; // as if somebody had set it meanwhile
      await expectCode('RESOURCE_CHANGED', take({ secrets: [...foreign.secrets, late] }));
      expect(await store.secrets.get('store/pw')).toBeNull();
    });

    async function everything(): Promise<unknown> {
      return {
        clusters: (await store.clusters.list({ limit: 10 })).items,
        roles: (await store.roles.list()).map(({ users: _, ...role }) => role),
        users: (await store.users.list({ limit: 10 })).items.filter(({ name }) => name !== 'robot'),
        jobs: (await store.jobs.list({ limit: 10 })).items,
        configuration: await store.configuration.read(),
        secrets: await store.secrets.list(''),
      };
    }
  });

  async function aSession(userId: string, hash: string): Promise<string> {
    const session = {
      userId,
      hash,
      methods: ['password'],
      idleMs: 15 * MINUTE,
      lifeMs: 12 * HOUR,
      address: '::1',
      userAgent: 'ua',
    };
    return (await store.sessions.create(session)).id;
  }

  function aToken(userId: string) {
    const expiresAt = clock.now() + HOUR;
    return {
      userId,
      name: 'ci',
      hash: 'token',
      scopes: ['jobs:view'],
      allowedRanges: ['10.0.0.0/8'],
      createdBy: userId,
      expiresAt,
    };
  }
}

const southOf = (secret: string) => ({ spec: { sasl: { username: 'u', password: { store: secret } } } });

/** Each thing refers to one before it. */
const foreign: Estate = {
  secrets: [{ sealed: sealed('store/pw', 1), isSame: false }],
  clusters: [
    { name: 'north', document: { spec: {} }, pinnedId: null },
    { name: 'south', document: southOf('pw'), pinnedId: 'id-south' },
  ],
  roles: [
    {
      name: 'desk',
      description: 'd',
      grants: [{ permission: 'jobs:view', resource: { kind: 'cluster', name: 'north' } }],
    },
  ],
  users: [
    aForeigner('Ben', { roles: ['desk', 'operator'] }),
    aForeigner('eve', { kind: 'oidc', oidc: { issuer: 'https://id.test', subject: 'eve' }, isDisabled: true }),
    aForeigner('robot', { kind: 'service', owner: 'Ben' }),
  ],
  jobs: [{ name: 'north-to-south', kind: 'Mirror', source: 'north', target: 'south', document: { b: 2 } }],
  schedules: { 'backups.every': '1d' },
  figures: [],
};

function aForeigner(name: string, given: Partial<EstateUser>): EstateUser {
  return { name, kind: 'local', displayName: null, roles: [], oidc: null, owner: null, isDisabled: false, ...given };
}

const anIncident = {
  code: 'SHARD_DIVERGED',
  severity: 'error',
  topic: 'orders',
  partition: 3,
  offsetFrom: 10,
  offsetTo: 20,
  cause: 'c',
  consequence: 'd',
  nextStep: 'n',
  endsByItself: false,
} as const;

function sample(jobId: string, metric: string, value: number): Sample {
  return { jobId, topic: null, metric, kind: 'counter', value };
}

function sealed(name: string, version: number) {
  return { name, version, keyId: 'k1', wrappedKey: 'w', nonce: 'n', ciphertext: 'c' };
}

async function expectCode(code: string, promise: Promise<unknown>): Promise<void> {
  const outcome = await promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof AppError ? error.code : error),
  );
  expect(outcome).toBe(code);
}
