/** The control plane's server with everything around it played, on a real database in memory: for tests through `inject`. */
import { createHmac } from 'node:crypto';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import { AppError } from '#contract/errors.ts';
import type { NewTopicText } from '#contract/new-topic.ts';
import type { ClusterResource } from '#contract/resources.ts';
import type { Incident, MirrorStatus, ShardStatus } from '#contract/status.ts';
import type { OptionSources } from '#contract/option-values.ts';
import type { OptionKey, OptionValues } from '#contract/options.ts';
import type { ClusterView, TopicView } from '#contract/views.ts';
import type {
  AuditEntry,
  AuditEvent,
  AuditFilter,
  AuditLog,
  AuditTrail,
  ClusterAsker,
  CreatedTopic,
  ForeseenTopic,
  JobRunner,
  OptionHost,
  PasswordHash,
  RunningJob,
  ServerPorts,
} from '#server/ports.ts';
import { createServer, type Server } from '#server/server.ts';
import { defaultSettings, type ServerSettings } from '#server/settings.ts';
import type { QueueLimits } from '#store/call-queue.ts';
import { openMigrated, type StoreLocation } from '#store/location.ts';
import { createLocalStore } from '#store/open-store.ts';
import { createBackups } from '#store/backups.ts';
import type { InventoryGroup, InventoryGroupOffset } from '#store/inventory.ts';
import { newKeyLine, parseKeyring } from '#store/key-encryption.ts';
import { createVault, type Vault } from '#store/vault.ts';
import type { Store } from '#store/store.ts';
import { must } from '#util/assert.ts';
import { createRandom } from '#util/random.ts';
import type { Clock } from '#util/clock.ts';
import { systemHost, type WebClient } from '#util/host.ts';
import { ManualClock, settle } from './manual-clock.ts';
import { SimulatedDisk } from './simulated-disk.ts';

/** Costs nothing; what argon2 costs is the business of its own test. */
const quickHash: PasswordHash = {
  hash: async (password) => tagOf(password),
  verify: async (phc, password) => ({ isRight: phc === tagOf(password), isWeak: false }),
};

function tagOf(password: string): string {
  return `$played$${createHmac('sha256', 'played').update(password).digest('hex')}`;
}

export class PlayedAudit implements AuditLog, AuditTrail {
  readonly entries: AuditEntry[] = [];
  readonly #clock: ManualClock;
  isBroken = false;
  /** Entries that a checkpoint covers. */
  signedSize = 0;
  bundleMax = 1_000;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  async intend(event: AuditEvent): Promise<AuditEntry> {
    return this.#append(event, { phase: 'intent' });
  }

  async settle(...[intent, outcome, ending = {}]: Parameters<AuditLog['settle']>): Promise<AuditEntry> {
    const { actor, action, resource, origin, pii, seq: parentSeq } = intent;
    return this.#append({ actor, action, resource, origin, pii, ...ending }, { phase: 'outcome', outcome, parentSeq });
  }

  async record(event: AuditEvent, outcome: 'succeeded' | 'failed' | 'denied'): Promise<AuditEntry> {
    return this.#append(event, { phase: 'event', outcome });
  }

  isWritable(): boolean {
    return !this.isBroken;
  }

  async page(...[filter, { before, limit }]: Parameters<AuditTrail['page']>): ReturnType<AuditTrail['page']> {
    const found = this.all(filter).filter(({ seq }) => before === null || seq < before);
    const entries = found.toReversed().slice(0, limit);
    return { entries, next: found.length > entries.length ? must(entries.at(-1), 'last entry').seq : null };
  }

  all({ action, actorId, outcome, fromTs = 0, toTs = Infinity }: AuditFilter): AuditEntry[] {
    return this.entries.filter(
      (entry) =>
        (action === undefined || entry.action === action || entry.action.startsWith(`${action}.`)) &&
        (actorId === undefined || entry.actor.id === actorId) &&
        (outcome === undefined || entry.outcome === outcome) &&
        entry.ts >= fromTs &&
        entry.ts < toTs,
    );
  }

  async entry(seq: number): Promise<AuditEntry | null> {
    return this.entries[seq] ?? null;
  }

  async proof(seq: number): Promise<string | null> {
    return seq < this.signedSize ? `played proof of ${seq}\n` : null;
  }

  async bundle(filter: AuditFilter): Promise<Buffer | null> {
    const found = this.all(filter).length;
    return found > this.bundleMax ? null : Buffer.from(`played bundle of ${found}\n`);
  }

  async checkpoint(): ReturnType<AuditTrail['checkpoint']> {
    const { signedSize: size } = this;
    return size === 0 ? null : { note: `played.log\n${size}\n`, size, verifierKey: 'played.log+00000000+AAAA' };
  }

  #append(event: AuditEvent, rest: Pick<AuditEntry, 'phase' | 'outcome' | 'parentSeq'>): AuditEntry {
    if (this.isBroken) throw new AppError('AUDIT_UNAVAILABLE', 'The audit log is played broken.');
    const entry: AuditEntry = {
      ...event,
      ...rest,
      v: 1,
      seq: this.entries.length,
      ts: this.#clock.now(),
      clock: 'wall',
    };
    this.entries.push(entry);
    return entry;
  }
}

/** In the file of each played server: tests are about what is asked, not about how often, and sign in with a password alone. */
export const PLAYED_OPTIONS: ReadonlyMap<OptionKey, unknown> = new Map<OptionKey, unknown>([
  ['server.requestsPerSecond', 1_000_000],
  ['server.requestBurst', 1_000_000],
  ['auth.secondFactorRoles', []],
]);

/** What the server was started with; a test changes it as somebody changes the file. */
class PlayedOptions implements OptionHost {
  given: OptionSources = {};
  readonly applied: OptionValues[] = [];
  refusal: AppError | null = null;

  sources(): OptionSources {
    return { ...this.given, file: new Map([...PLAYED_OPTIONS, ...(this.given.file ?? [])]) };
  }

  async apply(values: OptionValues): Promise<void> {
    if (this.refusal) throw this.refusal;
    this.applied.push(values);
  }
}

export class PlayedRunner implements JobRunner {
  readonly process = 'played 1';
  readonly running = new Map<string, RunningJob>();
  readonly #listeners = new Set<(jobId: string) => void>();
  nudges = 0;
  isStuck = false;

  isAlive(): boolean {
    return true;
  }

  nudge(): void {
    this.nudges++;
  }

  async stopped(): Promise<void> {
    if (this.isStuck) throw new AppError('SERVER_BUSY', 'The job is played stuck.');
  }

  job(jobId: string): RunningJob {
    return this.running.get(jobId) ?? { state: 'stopped', failedReason: null, status: null, since: null };
  }

  onChange(listener: (jobId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  play(jobId: string, running: RunningJob): void {
    this.running.set(jobId, running);
    for (const listener of this.#listeners) listener(jobId);
  }
}

export class PlayedClusters implements ClusterAsker {
  topicsByCluster: Readonly<Record<string, readonly TopicView[]>> = {};
  offsetsByCluster: Readonly<Record<string, readonly InventoryGroupOffset[]>> = {};
  /** What is wrong with each. */
  readonly troubles = new Map<string, ClusterView['error']>();
  readonly asked: string[] = [];
  /** `cluster topic`. */
  readonly created: string[] = [];
  readonly #refusing = new Set<string>();

  /** It no longer tells of its topics. */
  refuseTopicsOf(name: string): void {
    this.#refusing.add(name);
  }

  async describe({ metadata: { name }, spec }: ClusterResource): ReturnType<ClusterAsker['describe']> {
    this.asked.push(name);
    const topics = this.topicsByCluster[name] ?? [];
    return {
      name,
      bootstrap: spec.bootstrap,
      clusterId: 'played-cluster-id',
      controller: 1,
      brokers: [{ id: 1, address: 'broker:9092', rack: null }],
      topics: topics.length,
      partitions: topics.reduce((sum, { partitions }) => sum + partitions.length, 0),
      error: this.troubles.get(name) ?? null,
    };
  }

  async topicNames({ metadata: { name } }: ClusterResource): Promise<readonly string[]> {
    return (this.topicsByCluster[name] ?? []).map((topic) => topic.name);
  }

  async topics(
    { metadata: { name } }: ClusterResource,
    names: readonly string[] | null,
  ): Promise<readonly TopicView[]> {
    if (this.#refusing.has(name)) throw new AppError('CLUSTER_UNREACHABLE', `"${name}" is played away.`);
    return (this.topicsByCluster[name] ?? []).filter((topic) => names === null || names.includes(topic.name));
  }

  async foreseeTopic(_: ClusterResource, { configs }: NewTopicText): Promise<ForeseenTopic> {
    return { configs: { 'cleanup.policy': 'delete', ...configs } };
  }

  async createTopic({ metadata: { name } }: ClusterResource, topic: NewTopicText): Promise<CreatedTopic> {
    this.created.push(`${name} ${topic.name}`);
    return {
      topicId: 'played-topic-id',
      partitions: topic.partitions,
      replicationFactor: topic.replicationFactor ?? 1,
    };
  }

  async groups(): Promise<readonly InventoryGroup[]> {
    return [{ groupId: 'billing', state: 'Stable', protocol: 'consumer', members: 2 }];
  }

  async groupOffsets({ metadata: { name } }: ClusterResource): Promise<readonly InventoryGroupOffset[]> {
    return this.offsetsByCluster[name] ?? [];
  }
}

export interface ControlPlane {
  readonly server: Server;
  readonly http: FastifyInstance;
  readonly store: Store;
  readonly audit: PlayedAudit;
  readonly runner: PlayedRunner;
  readonly clusters: PlayedClusters;
  readonly clock: ManualClock;
  readonly vault: Vault;
  readonly options: PlayedOptions;
  readonly ports: ServerPorts;
  /** By the JSON of what refers to them. */
  readonly certificates: Map<string, string>;
  readonly logged: { readonly message: string; readonly error: unknown }[];
  /** Calls with a session of that user, which is created where it is not there. Paths begin with "/". */
  as(username: string, role?: string): Promise<Client>;
}

export type Client = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<LightMyRequestResponse>;

const noWeb: WebClient = {
  send: async () => {
    throw new Error('nothing is on the played network');
  },
};

export const PASSWORD = 'gravel-otter-pinwheel-sunday';

/** Where control planes find their databases that are not told; null: in memory. */
let stage: { readonly locate: () => Promise<StoreLocation>; readonly stores: Store[] } | null = null;

/** What this test file plays from now on is played on databases that `locate` makes. Returns what ends that, and closes them. */
export function playOn(locate: () => Promise<StoreLocation>): { closeStores(): Promise<void>; end(): void } {
  const stores: Store[] = [];
  stage = { locate, stores };
  return {
    closeStores: async () => void (await Promise.all(stores.splice(0).map((store) => store.close(5_000)))),
    end: () => (stage = null),
  };
}

/** The hour is the test's; who waits for a lock, or for a try after a race, waits in the database's own time. */
function beside(clock: ManualClock): Clock {
  return { ...systemHost.clock, now: () => clock.now() };
}

/** Until a database that answers in its own time has answered everything, and what follows from it. */
async function answered(store: Store): Promise<void> {
  for (let quiet = 0; quiet < 3; quiet++) {
    await settle();
    if (store.health().queue.calls > 0) quiet = -1;
  }
}

export async function playControlPlane(
  options: {
    readonly settings?: Partial<ServerSettings>;
    readonly web?: WebClient;
    readonly passwords?: PasswordHash;
    readonly hasBackups?: boolean;
    /** What the server is started with. */
    readonly given?: OptionSources;
    readonly traces?: ServerPorts['traces'];
    readonly onAnswered?: ServerPorts['onAnswered'];
    /** An empty database; by default one in memory. */
    readonly location?: StoreLocation;
    /** Of the store. */
    readonly limits?: Partial<QueueLimits>;
  } = {},
): Promise<ControlPlane> {
  const clock: ManualClock = new ManualClock(() => (stage === null ? settle() : answered(store)));
  const random = createRandom(1);
  const disk = {
    look: () => null,
    createAppendFile: () => Promise.reject(new Error('a database in memory has no file')),
  };
  const location = options.location ?? (await stage?.locate());
  const store: Store = createLocalStore(
    location === undefined
      ? await openMigrated({ engine: 'sqlite', path: ':memory:' }, disk)
      : await openMigrated(location, systemHost.disk),
    {
      clock: stage === null ? clock : beside(clock),
      random,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    },
  );
  stage?.stores.push(store);
  const audit = new PlayedAudit(clock);
  const runner = new PlayedRunner();
  const clusters = new PlayedClusters();
  const keys = parseKeyring(newKeyLine('played'), 'played');
  const vault = createVault(store.secrets, keys);
  const host = new PlayedOptions();
  host.given = options.given ?? {};
  const backups = createBackups(store, { disk: new SimulatedDisk(), directory: '/backups', keys, clock });
  const certificates = new Map<string, string>();
  const logged: { message: string; error: unknown }[] = [];
  const passwords = options.passwords ?? quickHash;
  const ports: ServerPorts = {
    store,
    vault,
    audit,
    auditTrail: audit,
    jobs: runner,
    clusters,
    passwords,
    options: host,
    backups: options.hasBackups === false ? null : backups,
    readCertificate: (ref) => {
      const pem = certificates.get(JSON.stringify(ref));
      if (pem !== undefined) return pem;
      throw new AppError('SECRET_UNAVAILABLE', 'The certificate is not there.');
    },
    web: options.web ?? noWeb,
    traces: options.traces ?? null,
    onAnswered: options.onAnswered ?? null,
    clock,
    entropy: { bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(random.next() * 256)) },
    log: (entry) => void logged.push(entry),
  };
  const server = await createServer(ports, {
    ...defaultSettings,
    version: '0.0.0',
    publicUrl: 'https://lockstep.test',
    ...options.settings,
  });
  const { http } = server;
  await http.ready();
  return {
    server,
    http,
    store,
    audit,
    runner,
    clusters,
    clock,
    vault,
    options: host,
    ports,
    certificates,
    logged,
    async as(username, role = username) {
      if ((await store.users.getByName(username)) === null) {
        const user = {
          name: username,
          kind: 'local',
          roles: [role],
          passwordHash: await passwords.hash(PASSWORD),
        } as const;
        if ((await store.users.count()) === 0) await store.users.createInitial(user);
        else await store.users.create(user);
      }
      const signedIn = await http.inject({
        method: 'POST',
        url: '/auth/token',
        payload: { username, password: PASSWORD },
      });
      const { token } = signedIn.json<{ token: string }>();
      return (method, path, body, headers = {}) =>
        http.inject({
          method,
          url: path,
          headers: { authorization: `Bearer ${token}`, ...headers },
          ...(body === undefined ? {} : { payload: body as object }),
        });
    },
  };
}

/** A status of one partition; what a test is about is given. */
export function playedStatus(shard: Partial<ShardStatus> = {}): MirrorStatus {
  const shards: ShardStatus[] = [
    {
      topic: 'orders',
      targetTopic: 'orders',
      partition: 0,
      state: 'copying',
      position: 90,
      sourceLogStart: 0,
      sourceStableOffset: 100,
      sourceHighWatermark: 100,
      lagRecords: 10,
      lagMs: 5,
      measuredAt: 1_000,
      recordsCopied: 90,
      bytesCopied: 900,
      holesFilled: 0,
      refusals: 0,
      incident: null,
      ...shard,
    },
  ];
  const none = { passedThrough: 1, reencoded: { merged: 0, split: 0, trimmed: 0, 'append-time': 0, gaps: 0 } };
  return {
    mirror: 'a',
    source: 'east',
    target: 'west',
    shards,
    bytes: none,
    batchesCopied: 9,
    recordsCopied: 90,
    bytesCopied: 900,
    at: 1_000,
  };
}

export function playedIncident(incident: Partial<Incident> = {}): Incident {
  return {
    code: 'SHARD_RETENTION_LOSS',
    severity: 'error',
    mirror: 'a',
    topic: 'orders',
    partition: 0,
    offsets: { from: 90, to: 95 },
    cause: 'The source deleted records.',
    consequence: 'They are not on the target.',
    nextStep: 'Decide what to do.',
    endsByItself: false,
    at: 1_000,
    ...incident,
  };
}
