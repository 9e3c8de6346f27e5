/** Composition root: hands the host's clock, network, disk and randomness to the rooms, and decides nothing. */
import type { Administered, AdministrationOptions, AdminResult } from '#app/administration.ts';
import { findTopics, readTopicConfigs, viewCluster, viewTopics } from '#app/cluster-views.ts';
import { asAppError, FRAME_BYTES_MAX, withClusters, type ClusterOf } from '#app/connected-clusters.ts';
import type { Host } from '#app/host.ts';
import { openMonitoring as openProcessMonitoring } from '#app/process-monitoring.ts';
import type { ProcessOptions, RunOn } from '#app/process.ts';
import type { ServerOptions } from '#app/server-process.ts';
import { capacityOf, type MirrorCapacity } from '#contract/capacity.ts';
import type { Access, MirrorPermissions, MirrorPlan } from '#contract/plan.ts';
import type { Documents, MirrorResource, VerifyResource } from '#contract/resources.ts';
import { AppError } from '#contract/errors.ts';
import { limitFindings } from '#contract/provider-limits.ts';
import type {
  FailbackReport,
  FailoverEvent,
  FailoverEvidence,
  FailoverPlan,
  VerifiedCounts,
} from '#contract/failover.ts';
import type { Migration } from '#contract/migration.ts';
import type { RunEvent } from '#contract/status.ts';
import type { Until } from '#contract/until.ts';
import type { MirrorVerification } from '#contract/verification.ts';
import type { ClusterView, TopicView } from '#contract/views.ts';
import { toAppError } from '#jobs/app-error.ts';
import { createSecurity } from '#jobs/cluster-secrets.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { FramePool } from '#kafka/frame.ts';
import type { KafMirrorFile } from '#migrate/kaf-mirror/migrate-kaf-mirror.ts';
import type { FileBytes } from '#migrate/mm2/migrate-mm2.ts';
import type { FileText } from '#migrate/strimzi/migrate-strimzi.ts';
import { accessOf } from '#mirror/access.ts';
import { sampleLoad } from '#mirror/load.ts';
import { checkBeforeRun } from '#mirror/before-run.ts';
import { drillOnCopies } from '#mirror/failover/copy-drill.ts';
import { drill } from '#mirror/failover/drill.ts';
import { failBack, type FailbackRun } from '#mirror/failover/failback.ts';
import { abandonFailover, failOver, planFailover, type FailoverRun } from '#mirror/failover/failover.ts';
import type { ExportedLedger } from '#contract/exported-ledger.ts';
import { CopyRecord } from '#mirror/copy-record.ts';
import { readLedgers } from '#mirror/mapped-export.ts';
import { pairOf, rebuildTopic } from '#mirror/rebuild.ts';
import type { RebuildPlan } from '#contract/rebuild.ts';
import { Mirror, type Guards, type MirrorOutcome } from '#mirror/mirror.ts';
import { planMirror } from '#mirror/plan.ts';
import { openRoutes } from '#mirror/source-provenance.ts';
import { permissionsOf } from '#mirror/rights.ts';
import type {
  BundleVerification,
  EntryVerification,
  LogProgress,
  LogVerification,
} from '#contract/log-verification.ts';
import { Evidence } from '#prove/evidence.ts';
import { verifyBundle } from '#prove/log/evidence-bundle.ts';
import { parseTrustedKey } from '#prove/log/trusted-key.ts';
import { verifyProof } from '#prove/log/tlog-proof.ts';
import { verifyLog } from '#prove/log/verify-log.ts';
import { VerifyJob } from '#prove/verify-job.ts';
import { verifyMirror, type VerifyOptions } from '#prove/verify-mirror.ts';
import { readSecret } from '#jobs/secret-host.ts';
import type { MonitoringSettings } from '#contract/monitoring-settings.ts';
import { formatAddress } from '#contract/option-types.ts';
import type { Check } from '#contract/check.ts';
import type { CertificateRequest, MadeCertificates } from '#watch/certificates/certificate-files.ts';
import { parseCertificates, problemsOf } from '#watch/certificates/certificate-facts.ts';
import { inspectServer, type InspectedServer } from '#watch/certificates/inspect-server.ts';
import { certificatesOf } from '#watch/certificates/cluster-certificates.ts';
import { examine } from '#watch/checks/doctor.ts';
import { checkNode, checkOpenFiles } from '#watch/checks/machine.ts';
import type { Monitoring } from '#watch/monitoring.ts';
import { must } from '#util/assert.ts';
import { sleep } from '#util/clock.ts';
import type { Disk } from '#util/host.ts';
import { nearest } from '#util/nearest.ts';
import { untilAborted } from '#util/until-aborted.ts';

export type { Host };

/** Files of another mirror, as its migration needs them. */
export type MigrationInput =
  | { readonly system: 'mm2'; readonly files: readonly FileBytes[] }
  | { readonly system: 'strimzi'; readonly files: readonly FileText[] }
  | { readonly system: 'kaf-mirror'; readonly files: readonly KafMirrorFile[] };

/**
 * What the files of another mirror become. Throws AppError CONFIG_INVALID where they are not of that system. The room is loaded
 * here: every other command would load it for nothing.
 */
export async function migrate(input: MigrationInput): Promise<Migration> {
  switch (input.system) {
    case 'mm2':
      return (await import('#migrate/mm2/migrate-mm2.ts')).migrateMm2(input.files);
    case 'strimzi':
      return (await import('#migrate/strimzi/migrate-strimzi.ts')).migrateStrimzi(input.files);
    case 'kaf-mirror':
      return (await import('#migrate/kaf-mirror/migrate-kaf-mirror.ts')).migrateKafMirror(input.files);
  }
}

export type RunOutcome = 'caught-up' | 'until-reached' | 'incidents' | 'interrupted' | 'failed';

export interface RunOptions {
  /** Without it the mirrors run until `signal` aborts. */
  readonly until?: Until;
  /** How often each mirror reports its progress. */
  readonly progressMs: number;
  /** Ends the run in good order. */
  readonly signal: AbortSignal;
  /** Tests switch guards off to see themselves fail; nothing else sets it. */
  readonly guards?: Guards;
  onEvent(event: RunEvent): void;
}

/** What a run of these mirrors would do, in the order of the files. Changes nothing. Throws an AppError where a cluster cannot be asked. */
export function planMirrors(
  documents: Documents,
  host: Host,
  options: { readonly rateBytesPerSecond?: number } = {},
): Promise<MirrorPlan[]> {
  return withClusters(documents.clusters, host, async (clusterOf) => {
    const plans: MirrorPlan[] = [];
    for (const mirror of documents.mirrors) {
      const [source, target] = await Promise.all([clusterOf(mirror.spec.source), clusterOf(mirror.spec.target)]);
      const how = { access: accessesOf(mirror, documents), rateBytesPerSecond: options.rateBytesPerSecond ?? null };
      const plan = await asAppError(`mirror "${mirror.metadata.name}"`, () => planMirror(mirror, source, target, how));
      const used = documents.clusters.filter(({ metadata }) => [plan.source, plan.target].includes(metadata.name));
      plans.push({ ...plan, findings: [...plan.findings, ...used.flatMap(limitFindings)] });
    }
    return plans;
  });
}

export interface CapacityOptions {
  /** How long the source is looked at. */
  readonly sampleMs: number;
  /** Stated instead of measured. */
  readonly recordsPerSecond: number | null;
  readonly recordBytes: number | null;
  /** Null: as many as are needed. */
  readonly processes: number | null;
}

/** What the load of each mirror takes, in the order of the files. Changes nothing. Throws an AppError where a cluster cannot be asked. */
export function capacityOfMirrors(
  documents: Documents,
  host: Host,
  { sampleMs, recordsPerSecond, recordBytes, processes }: CapacityOptions,
): Promise<MirrorCapacity[]> {
  return withClusters(documents.clusters, host, async (clusterOf) => {
    const one = async (mirror: MirrorResource): Promise<MirrorCapacity> => {
      const { spec } = mirror;
      const [source, target] = await Promise.all([clusterOf(spec.source), clusterOf(spec.target)]);
      const isStated = recordsPerSecond !== null && recordBytes !== null;
      const sampled = await asAppError(`mirror "${mirror.metadata.name}"`, () =>
        sampleLoad(mirror, source, { sampleMs: isStated ? 0 : sampleMs }),
      );
      const load = {
        ...sampled,
        recordsPerSecond: recordsPerSecond ?? sampled.recordsPerSecond,
        recordBytes: recordBytes ?? sampled.recordBytes,
        sampledMs: isStated ? null : sampled.sampledMs,
      };
      const bytesPerSecond = load.recordsPerSecond === 0 ? 0 : load.recordsPerSecond * (load.recordBytes ?? NaN);
      const used = documents.clusters.filter(({ metadata }) => [spec.source, spec.target].includes(metadata.name));
      const question = {
        ...load,
        bytesPerSecond,
        brokers: { source: source.brokers().length, target: target.brokers().length },
        tlsSides: used.filter(({ spec: { security } }) => security.protocol.endsWith('SSL')).length,
        groupsEveryMs: spec.sync.groups?.everyMs ?? Infinity, // never
        refreshMs: spec.refreshMs,
      };
      const plan = Number.isNaN(bytesPerSecond) ? null : capacityOf(question, processes ?? undefined);
      return { mirror: mirror.metadata.name, source: source.name, target: target.name, load, plan };
    };
    return Promise.all(documents.mirrors.map(one));
  });
}

/**
 * What a rebuild of the copy of a source topic deletes; with `isConfirmed` it is deleted. Throws AppError REBUILD_REFUSED,
 * TOPIC_NOT_FOUND where no mirror of the files copies the topic, and where a cluster cannot be asked.
 */
export function rebuildCopy(
  documents: Documents,
  host: Host,
  question: { readonly topic: string; readonly partition: number | null; readonly isConfirmed: boolean },
): Promise<RebuildPlan> {
  return withClusters(documents.clusters, host, async (clusterOf) => {
    const { topic, partition, isConfirmed } = question;
    for (const mirror of documents.mirrors) {
      const [source, target] = await Promise.all([clusterOf(mirror.spec.source), clusterOf(mirror.spec.target)]);
      const subject = `mirror "${mirror.metadata.name}"`;
      const pair = await asAppError(subject, () => pairOf(mirror, source, topic));
      if (!pair) continue;
      return asAppError(subject, () => rebuildTopic(mirror, { source, target }, { pair, partition, isConfirmed }));
    }
    throw topicNotCopied(topic);
  });
}

function topicNotCopied(topic: string): AppError {
  return new AppError('TOPIC_NOT_FOUND', `No mirror of the files copies a topic "${topic}".`, {
    nextStep: 'Write the name that the topic has on the source; "lockstep plan" lists them.',
  });
}

function noSuchPartition(topic: string, partition: number, count: number): AppError {
  const partitions = count === 1 ? 'one partition, 0' : `${count} partitions, 0 to ${count - 1}`;
  return new AppError(
    'TOPIC_NOT_FOUND',
    `There is no ${topic}/${partition}: topic "${topic}" of the source has ${partitions}.`,
    {
      nextStep: `Name one of them, or leave it out for all: lockstep ledger ${topic} -f FILE`,
    },
  );
}

/** Maps and ledgers of the mapped partitions of a source topic, as they are saved. Throws as `rebuildCopy`. */
export function exportLedgers(
  documents: Documents,
  host: Host,
  question: { readonly topic: string; readonly partition: number | null; readonly recountMax: number },
): Promise<ExportedLedger[]> {
  const { topic, partition, recountMax } = question;
  return withClusters(documents.clusters, host, async (clusterOf) => {
    for (const mirror of documents.mirrors) {
      const [source, target] = await Promise.all([clusterOf(mirror.spec.source), clusterOf(mirror.spec.target)]);
      const { name } = mirror.metadata;
      const pair = await asAppError(`mirror "${name}"`, () => pairOf(mirror, source, topic));
      if (!pair) continue;
      const count = must(source.topicOf(topic), 'metadata of a source topic').partitions.length;
      const all = Array.from({ length: count }, (_, index) => index);
      if (partition !== null && partition >= count) throw noSuchPartition(topic, partition, count);
      const partitions = partition === null ? all : [partition];
      return asAppError(`mirror "${name}"`, () =>
        readLedgers({ source, target }, { mirror: name, pair, partitions, recountMax }),
      );
    }
    throw topicNotCopied(topic);
  });
}

/** The rights that these mirrors may need, in the order of the files. Asks no cluster. */
export function permissionsOfMirrors(documents: Documents): MirrorPermissions[] {
  return documents.mirrors.map((mirror) => permissionsOf(mirror, accessesOf(mirror, documents)));
}

function accessesOf({ spec }: MirrorResource, { clusters }: Documents): { source: Access; target: Access } {
  const access = (name: string): Access =>
    accessOf(
      must(
        clusters.find(({ metadata }) => metadata.name === name),
        `cluster ${name}`,
      ),
    );
  return { source: access(spec.source), target: access(spec.target) };
}

/** Runs the mirrors and verifications until they have ended. Throws an AppError where one of them could not start. */
export function runMirrors(documents: Documents, host: Host, options: RunOptions): Promise<RunOutcome> {
  const warn = (cluster: string, error: Error): void => {
    const { code, message } = toAppError(error, `cluster "${cluster}"`);
    options.onEvent({ event: 'warning', mirror: null, code, message, at: host.clock.now() });
  };
  const run = async (clusterOf: ClusterOf, pool: FramePool): Promise<RunOutcome> => {
    const failed = new AbortController();
    const signal = AbortSignal.any([options.signal, failed.signal]);
    const runs = documents.mirrors.map(async (resource): Promise<MirrorOutcome> => {
      const { source: from, target: to } = resource.spec;
      const clusters = await untilAborted(Promise.all([clusterOf(from), clusterOf(to)]), signal);
      if (!clusters) return 'interrupted';
      const [source, target] = clusters;
      const mirror = new Mirror({
        resource,
        source,
        target,
        pool,
        clock: host.clock,
        random: host.random,
        until: options.until ?? null,
        progressMs: options.progressMs,
        process: host.process,
        access: accessesOf(resource, documents).target,
        onEvent: (event) => options.onEvent(event),
        ...(options.guards ? { guards: options.guards } : {}),
      });
      await checkBeforeRun({ resource, source, target, access: accessesOf(resource, documents) }, signal, (event) =>
        options.onEvent(event),
      );
      return mirror.run(signal);
    });
    const goal = goalOf(documents, host, { until: options.until ?? null, signal, mirrors: Promise.allSettled(runs) });
    const jobs = documents.verifications.map(async (resource) =>
      (await startVerifyJob(resource, { clusterOf, host, signal }, options))?.run(signal, goal),
    );
    const all = [...runs, ...jobs.map(async (job) => (await job) ?? 'interrupted')];
    for (const run of all) run.catch(() => failed.abort()); // the others end in good order; the error is thrown below
    const results = await Promise.allSettled(all);
    const rejected = results.find((result) => result.status === 'rejected');
    if (rejected) throw rejected.reason;
    return worstOf(results.map((result) => (result.status === 'fulfilled' ? result.value : 'failed')));
  };
  return withClusters(documents.clusters, host, run, warn);
}

/** An authority, and certificates that it signs, as files. Throws AppError REQUEST_INVALID; replaces nothing. */
export async function makeCertificates(host: Host, request: CertificateRequest): Promise<MadeCertificates> {
  // Its library is large, and no other command needs it.
  const { makeCertificateFiles } = await import('#watch/certificates/certificate-files.ts');
  return makeCertificateFiles(host, request);
}

/** What speaks against a certificate with its key; empty: nothing. */
export const checkCertificate = problemsOf;

/** What speaks against a file of authorities; empty: nothing. */
export function checkAuthority(pem: string): string[] {
  return parseCertificates(pem) ? [] : ['the authority file holds no certificate in PEM'];
}

/** What a server shows in a TLS handshake. Throws AppError CLUSTER_TLS_FAILED where none comes about. */
export async function inspectTls(host: Host, options: Parameters<typeof inspectServer>[1]): Promise<InspectedServer> {
  try {
    return await inspectServer(host, options);
  } catch (cause) {
    const address = formatAddress(options);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('CLUSTER_TLS_FAILED', `No encrypted connection to ${address} comes about: ${why}`, {
      cause,
      nextStep: 'Name a port that speaks TLS 1.2 or later, and a certificate of ours where it asks for one.',
    });
  }
}

/** What around this process and the clusters of the files could stand in the way. Changes nothing. */
export async function diagnose(documents: Documents | null, host: Host): Promise<Check[]> {
  const checks = [checkNode(process.version), checkOpenFiles(readIfThere(host.disk, '/proc/self/limits'))];
  if (!documents) return checks;
  return withClusters(documents.clusters, host, async (clusterOf) => {
    const signal = new AbortController().signal; // for tokens, which the TLS of a connection does not need
    const found = await examine(documents, {
      now: () => host.clock.now(),
      connect: clusterOf,
      plan: async (mirror) => {
        const [source, target] = await Promise.all([clusterOf(mirror.spec.source), clusterOf(mirror.spec.target)]);
        return planMirror(mirror, source, target, { access: accessesOf(mirror, documents) });
      },
      readSecret: (ref, what) => readSecret(ref, what, host),
      tlsOf: ({ spec }, name) =>
        must(createSecurity(spec.security, host, { onTrouble: () => {}, signal })?.tls, 'TLS of a cluster')(name),
      inspect: (options) => inspectTls(host, options),
      describe: toAppError,
    });
    return [...checks, ...found];
  });
}

/** Null where it is not there: not every system has it. */
function readIfThere(disk: Disk, path: string): string | null {
  try {
    return disk.readText(path);
  } catch {
    return null;
  }
}

/** Of `openMonitoring`: hears all events of a run, and tells of them until it is closed. */
export type OpenMonitoring = Pick<Monitoring, 'address' | 'observe' | 'close'>;

/** Serves and pushes what the jobs of the files say in numbers. Throws AppError REQUEST_INVALID where it cannot listen. */
export function openMonitoring(
  { clusters, mirrors, verifications }: Documents,
  host: Host,
  options: {
    readonly settings: MonitoringSettings;
    readonly version: string;
    readonly onWarning: (event: RunEvent) => void;
  },
): Promise<OpenMonitoring> {
  const { settings, version, onWarning } = options;
  const jobs = [
    ...mirrors.map(({ metadata }) => ({ name: metadata.name, kind: 'mirror' as const })),
    ...verifications.map(({ metadata }) => ({ name: metadata.name, kind: 'verify' as const })),
  ];
  const onTrouble = (receiver: string, why: string): void => {
    const message = `What is pushed to ${receiver} does not arrive: ${why}. It is tried again; the mirrors go on.`;
    onWarning({ event: 'warning', mirror: null, code: 'RECEIVER_UNAVAILABLE', message, at: host.clock.now() });
  };
  const certificates = clusters.flatMap(certificatesOf);
  return openProcessMonitoring(host, { settings, jobs, certificates, version, onTrouble });
}

/** What jobs of a store tell of their progress. */
const JOB_PROGRESS_MS = 1_000;

const runJobsOn: RunOn = (host) => (documents, options) =>
  runMirrors(documents, host, { ...options, progressMs: JOB_PROGRESS_MS });

/** The control plane and its jobs, until `signal` aborts. Throws AppError where it cannot begin or go on. */
export async function serve(host: Host, options: ServerOptions): Promise<void> {
  // Larger than all that other commands need.
  const { runServer } = await import('#app/server-process.ts');
  return runServer(host, options, runJobsOn);
}

/** The store itself, without a server. Throws AppError; RESOURCE_CONFLICT while a server runs on it. */
export async function administer(host: Host, options: AdministrationOptions, what: Administered): Promise<AdminResult> {
  const { administer: run } = await import('#app/administration.ts');
  return run(host, options, what);
}

/** One more process for the jobs of a server, until `signal` aborts. Throws AppError where it cannot begin. */
export async function work(host: Host, options: ProcessOptions): Promise<void> {
  const { runWorker } = await import('#app/worker-process.ts');
  return runWorker(host, options, runJobsOn);
}

/**
 * When what is to be proven is complete: when the mirrors of this process have ended, or, without one, at the time that
 * `until` names, else at once. Null where verifications go on until they are interrupted.
 */
function goalOf(
  { mirrors }: Documents,
  { clock }: Host,
  run: { readonly until: Until | null; readonly signal: AbortSignal; readonly mirrors: Promise<unknown> },
): Promise<'caught-up' | 'until-reached'> | null {
  const { until, signal } = run;
  if (mirrors.length === 0 && until === null) return null;
  const reached = async (): Promise<'caught-up' | 'until-reached'> => {
    await run.mirrors;
    if (mirrors.length === 0 && until?.kind === 'time') await sleep(clock, Math.max(0, until.at - clock.now()), signal);
    return until?.kind === 'time' || until?.kind === 'offset' ? 'until-reached' : 'caught-up';
  };
  return reached();
}

/** Null where it was interrupted before it began. */
async function startVerifyJob(
  resource: VerifyResource,
  { clusterOf, host, signal }: { readonly clusterOf: ClusterOf; readonly host: Host; readonly signal: AbortSignal },
  { progressMs, onEvent }: Pick<RunOptions, 'progressMs' | 'onEvent'>,
): Promise<VerifyJob | null> {
  const { mirror, evidence } = resource.spec;
  const connecting = Promise.all([clusterOf(mirror.spec.source), clusterOf(mirror.spec.target)]);
  const connected = await untilAborted(connecting, signal);
  if (!connected) return null;
  const [source, target] = connected;
  const { name } = mirror.metadata;
  const ids = { mirror: name, sourceClusterId: source.clusterId, targetClusterId: target.clusterId };
  return new VerifyJob({
    resource,
    // Frames of its own: mirrors of this process cannot be held up by what is read here.
    clusters: { source, target, pool: new FramePool({ bytesMax: FRAME_BYTES_MAX }), clock: host.clock },
    record: new CopyRecord({ source, target, mirror: name }),
    withoutReturns: openRoutes(mirror, { source, target }),
    evidence: evidence === null ? null : new Evidence(host.disk, evidence, ids),
    random: host.random,
    progressMs,
    onEvent,
  });
}

/**
 * Compares source and target of the mirrors, one after the other in the order of the files; what `signal` cut off is
 * missing. Changes nothing. Throws an AppError where a cluster cannot be asked.
 */
export function verifyMirrors(
  documents: Documents,
  host: Host,
  { evidenceIn, ...options }: VerifyOptions & { readonly evidenceIn: string | null },
): Promise<MirrorVerification[]> {
  return withClusters(documents.clusters, host, async (clusterOf, pool) => {
    const verified: MirrorVerification[] = [];
    for (const mirror of documents.mirrors) {
      const [source, target] = await Promise.all([clusterOf(mirror.spec.source), clusterOf(mirror.spec.target)]);
      const clusters = { source, target, pool, clock: host.clock };
      const withoutReturns = openRoutes(mirror, { source, target });
      const { name } = mirror.metadata;
      const record = new CopyRecord({ source, target, mirror: name });
      const ids = { mirror: name, sourceClusterId: source.clusterId, targetClusterId: target.clusterId };
      const kept = evidenceIn === null ? {} : { evidence: new Evidence(host.disk, evidenceIn, ids) };
      const verify = () => verifyMirror(mirror, clusters, { ...options, ...kept, withoutReturns, record });
      verified.push(await asAppError(`mirror "${mirror.metadata.name}"`, verify));
    }
    return verified;
  });
}

export interface FailoverQuestion extends Pick<
  FailoverRun,
  'isFenced' | 'isForced' | 'settleWithinMs' | 'drainWithinMs' | 'groupsWithinMs' | 'signal'
> {
  readonly isSourceLost: boolean;
  /** Offsets at the end of each partition that are compared; 0: none. */
  readonly verifyTail: number;
  readonly verifyWithinMs: number;
  onEvent(event: FailoverEvent | RunEvent): void;
}

/** What a failover of the mirror would find. Changes nothing. Throws AppError FAILOVER_REFUSED, or where the target cannot be asked. */
export function planMirrorFailover(
  documents: Documents,
  host: Host,
  question: { readonly mirror: MirrorResource; readonly isSourceLost: boolean },
): Promise<FailoverPlan> {
  return withFailover(documents, host, question, planFailover);
}

/** Gives a failover up that is not done. Throws as `planMirrorFailover`. */
export function abandonMirrorFailover(
  documents: Documents,
  host: Host,
  question: { readonly mirror: MirrorResource; readonly isSourceLost: boolean },
): Promise<void> {
  return withFailover(documents, host, question, abandonFailover);
}

/** Fails the mirror over, from where an earlier call stopped. Throws AppError with what stands in the way. */
export function failOverMirror(
  documents: Documents,
  host: Host,
  { mirror, ...question }: FailoverQuestion & { readonly mirror: MirrorResource },
): Promise<FailoverEvidence> {
  return withFailover(documents, host, { mirror, isSourceLost: question.isSourceLost }, (clusters) =>
    failOver({
      ...question,
      ...clusters,
      clock: host.clock,
      random: host.random,
      process: host.process,
      access: accessesOf(mirror, documents).target,
      verify: () => verifyTail(clusters, host, question),
    }),
  );
}

/**
 * A failover that changes nothing; with `copies` one that is really done, of copies with such a prefix. Throws AppError
 * FAILOVER_REFUSED, or where the target cannot be asked.
 */
export function drillMirror(
  documents: Documents,
  host: Host,
  {
    mirror,
    copies,
    ...question
  }: Omit<FailoverQuestion, 'isFenced' | 'isForced' | 'settleWithinMs' | 'groupsWithinMs'> & {
    readonly mirror: MirrorResource;
    readonly copies: { readonly prefix: string; readonly isKept: boolean } | null;
  },
): Promise<FailoverEvidence> {
  return withFailover(documents, host, { mirror, isSourceLost: question.isSourceLost }, (clusters) =>
    copies === null
      ? drill({ ...question, ...clusters, clock: host.clock, verify: () => verifyTail(clusters, host, question) })
      : drillOnCopies({
          ...question,
          ...copies,
          ...clusters,
          isForced: false,
          settleWithinMs: 0,
          groupsWithinMs: 0,
          clock: host.clock,
          random: host.random,
          process: host.process,
          access: accessesOf(mirror, documents).target,
          verify: (resource) => verifyTail({ ...clusters, resource }, host, question),
        }),
  );
}

/** The way back, reported, and with `isConfirmed` prepared. Throws AppError with what stands in the way. */
export function failBackMirror(
  documents: Documents,
  host: Host,
  { mirror, ...question }: Omit<FailbackRun, 'resource' | 'source' | 'target'> & { readonly mirror: MirrorResource },
): Promise<FailbackReport> {
  return withClusters(documents.clusters, host, async (clusterOf) => {
    const [source, target] = await Promise.all([clusterOf(mirror.spec.source), clusterOf(mirror.spec.target)]);
    const subject = `mirror "${mirror.metadata.name}"`;
    return asAppError(subject, () => failBack({ ...question, resource: mirror, source, target }));
  });
}

interface FailoverClusters {
  readonly resource: MirrorResource;
  readonly source: Cluster | null;
  readonly target: Cluster;
  readonly pool: FramePool;
}

/** A source that does not answer is what failovers are for. */
function withFailover<T>(
  documents: Documents,
  host: Host,
  { mirror, isSourceLost }: { readonly mirror: MirrorResource; readonly isSourceLost: boolean },
  use: (clusters: FailoverClusters) => Promise<T>,
): Promise<T> {
  return withClusters(documents.clusters, host, async (clusterOf, pool) => {
    const unlessGone = (error: unknown): null => {
      if (error instanceof AppError && error.code === 'CLUSTER_UNREACHABLE') return null;
      throw error;
    };
    const asked = isSourceLost ? Promise.resolve(null) : clusterOf(mirror.spec.source).catch(unlessGone);
    const [source, target] = await Promise.all([asked, clusterOf(mirror.spec.target)]);
    const subject = `mirror "${mirror.metadata.name}"`;
    return asAppError(subject, () => use({ resource: mirror, source, target, pool }));
  });
}

async function verifyTail(
  { resource, source, target, pool }: FailoverClusters,
  { clock }: Host,
  { verifyTail: tail, verifyWithinMs, signal }: Pick<FailoverQuestion, 'verifyTail' | 'verifyWithinMs' | 'signal'>,
): Promise<VerifiedCounts> {
  const counts = { identical: 0, different: 0, unverified: 0, failed: 0, records: 0 };
  if (tail === 0) return counts;
  const ended = new AbortController();
  const late = new AbortController();
  const timer = sleep(clock, verifyWithinMs, ended.signal).then(() => late.abort());
  try {
    const clusters = { source: must(source, 'source'), target };
    const { partitions } = await verifyMirror(
      resource,
      { ...clusters, pool, clock },
      {
        class: 'content',
        isFull: false,
        from: null,
        to: null,
        tail,
        progressMs: verifyWithinMs,
        signal: AbortSignal.any([signal, late.signal]),
        record: new CopyRecord({ ...clusters, mirror: resource.metadata.name }),
        withoutReturns: openRoutes(resource, clusters),
        onProgress: () => {},
      },
    );
    for (const { verdict, records } of partitions) {
      counts[verdict]++;
      counts.records += records;
    }
    return counts;
  } finally {
    ended.abort();
    await timer;
  }
}

/** What an audit log says of itself, from its files alone. Throws AppError REQUEST_INVALID for what is no key, LOG_INVALID where it cannot be read. */
export function verifyLogDirectory(
  directory: string,
  host: Pick<Host, 'disk' | 'clock'>,
  question: {
    readonly key: string;
    readonly since: string | null;
    readonly anchors: string | null;
    readonly signal: AbortSignal;
    readonly onProgress: (progress: LogProgress) => void;
  },
): Promise<LogVerification> {
  const { since, anchors, signal, onProgress } = question;
  return verifyLog(host.disk, directory, {
    key: parseTrustedKey(question.key),
    clock: host.clock,
    signal,
    onProgress,
    ...(since === null ? {} : { since }),
    ...(anchors === null ? {} : { anchors }),
  });
}

/** Of one `.tlog-proof`. Throws AppError REQUEST_INVALID for what is no key. */
export function verifyLogProof(proof: string, key: string): EntryVerification {
  return verifyProof(proof, [parseTrustedKey(key)]);
}

/** Of an evidence bundle. Throws as verifyLogProof. */
export function verifyEvidence(zip: Buffer, key: string): BundleVerification {
  return verifyBundle(zip, parseTrustedKey(key));
}

/** The clusters of the files, in their order; one that does not answer carries its error. */
export function describeClusters(documents: Documents, host: Host): Promise<ClusterView[]> {
  return withClusters(documents.clusters, host, (clusterOf) =>
    Promise.all(documents.clusters.map((resource) => viewCluster(resource, () => clusterOf(resource.metadata.name)))),
  );
}

/** The topics of one cluster by name, or one of them (TOPIC_NOT_FOUND where it is not there) with its settings. */
export function describeTopics(
  documents: Documents,
  host: Host,
  options: { cluster: string; topic?: string },
): Promise<TopicView[]> {
  const { cluster: name, topic } = options;
  return withClusters(documents.clusters, host, (clusterOf) =>
    asAppError(`cluster "${name}"`, async () => {
      const cluster = await clusterOf(name);
      const topics = await findTopics(cluster, topic === undefined ? null : [topic]);
      if (topic !== undefined && topics.length === 0) {
        const near = nearest(
          topic,
          (await cluster.refresh('all')).map((each) => each.name),
        );
        throw new AppError(
          'TOPIC_NOT_FOUND',
          `Cluster "${name}" has no topic "${topic}"${near === null ? '' : `; did you mean "${near}"?`}`,
          { nextStep: `"lockstep topics list -f FILE --cluster ${name}" shows those that it has.` },
        );
      }
      return viewTopics(cluster, topics, await readTopicConfigs(cluster, topic === undefined ? [] : [topic]));
    }),
  );
}

const OUTCOMES_WORST_FIRST: readonly MirrorOutcome[] = [
  'failed',
  'interrupted',
  'incidents',
  'until-reached',
  'caught-up',
];

function worstOf(outcomes: readonly MirrorOutcome[]): RunOutcome {
  return OUTCOMES_WORST_FIRST.find((outcome) => outcomes.includes(outcome)) ?? 'caught-up';
}
