/**
 * Settings that stand against a copy, or shorten its life, found before they do harm. From facts alone; what is not known
 * gives no finding. Pure.
 */
import type { Finding } from '#contract/plan.ts';
import type { Configs } from '#kafka/configs.ts';
import { must } from '#util/assert.ts';
import type { LogFacts } from './log-facts.ts';
import type { ConfigValues, TimestampPolicy } from './topic-configs.ts';

export interface SettingsQuestion {
  readonly source: { readonly cluster: string; readonly topic: string };
  readonly target: { readonly cluster: string; readonly topic: string };
  readonly timestamps: TimestampPolicy;
  readonly sourceConfigs: Configs | null;
  /** Of the target topic as this run leaves it; a name that is missing is not known. */
  readonly targetConfigs: ConfigValues;
  /** Of the target topic; null while it does not exist. */
  readonly inSyncReplicas: number | null;
  readonly replicationFactor: number;
  readonly logs: readonly LogFacts[];
  readonly nowMs: number;
}

export function findSettings(question: SettingsQuestion): Finding[] {
  return [
    ...findMessageBytes(question),
    ...findCompression(question),
    ...findTimestampType(question),
    ...findTimestampLimits(question),
    ...findInSync(question),
    ...findCleanup(question),
    ...findRetention(question),
  ];
}

function findMessageBytes(question: SettingsQuestion): Finding[] {
  const name = 'max.message.bytes';
  const source = amountOf(sourceValue(question, name));
  const target = amountOf(question.targetConfigs.get(name));
  if (source === null || target === null || source <= target) return [];
  return [
    unfit(
      question,
      `accepts batches of up to ${count(target)} bytes, and "${question.source.topic}" on "${question.source.cluster}" batches of up to ${count(source)}: a larger record stops its partition.`,
      { [name]: String(source) },
    ),
  ];
}

function findCompression(question: SettingsQuestion): Finding[] {
  const name = 'compression.type';
  const target = question.targetConfigs.get(name);
  // With the source's own codec the source's batches come as the target wants them (LogValidator: same codec, no change).
  if (target === undefined || target === 'producer' || target === sourceValue(question, name)) return [];
  return [
    unfit(
      question,
      `has compression.type=${target}: its brokers unpack each batch and compress it anew, so that the copy holds the same records in other bytes, for much more CPU time.`,
      { [name]: 'producer' },
    ),
  ];
}

function findTimestampType(question: SettingsQuestion): Finding[] {
  const name = 'message.timestamp.type';
  const wanted = question.timestamps === 'target' ? 'LogAppendTime' : 'CreateTime';
  const target = question.targetConfigs.get(name);
  if (target === undefined || target === wanted) return [];
  const harm =
    target === 'LogAppendTime'
      ? 'each record gets the time of its copying instead of its own'
      : 'records keep their own times, and the mirror says "timestamps: target"';
  return [unfit(question, `has message.timestamp.type=${target}: ${harm}.`, { [name]: wanted })];
}

/** Brokers compare the time of a record with their own clock (LogValidator.validateTimestamp), but not under LogAppendTime. */
function findTimestampLimits(question: SettingsQuestion): Finding[] {
  const { targetConfigs, logs, nowMs } = question;
  if (targetConfigs.get('message.timestamp.type') === 'LogAppendTime') return [];
  const oldest = least(logs.map(({ firstTimestamp }) => firstTimestamp));
  const newest = least(logs.map(({ newestTimestamp }) => (newestTimestamp === null ? null : -newestTimestamp)));
  const past = oldest === null ? null : { ms: nowMs - oldest, what: `the first record is from ${time(oldest)}` };
  const future =
    newest === null ? null : { ms: -newest - nowMs, what: `a record has the time ${time(-newest)}, which is to come` };
  const found: Finding[] = [];
  for (const [name, distance] of [
    ['message.timestamp.before.max.ms', past],
    ['message.timestamp.after.max.ms', future],
    ['message.timestamp.difference.max.ms', past], // until 3.5
  ] as const) {
    const limit = amountOf(targetConfigs.get(name));
    if (limit === null || distance === null || distance.ms <= limit) continue;
    const message = `has ${name}=${limit}, and ${distance.what}: its brokers refuse such a record, which stops the partition.`;
    found.push(unfit(question, message, { [name]: UNLIMITED_MS }));
  }
  return found;
}

const UNLIMITED_MS = '9223372036854775807';

function findInSync(question: SettingsQuestion): Finding[] {
  const { targetConfigs, inSyncReplicas, replicationFactor } = question;
  const name = 'min.insync.replicas';
  const needed = amountOf(targetConfigs.get(name));
  if (needed === null) return [];
  if (needed > replicationFactor) {
    const message = `has min.insync.replicas=${needed} and ${replicationFactor === 1 ? '1 replica' : `${replicationFactor} replicas`}: its brokers refuse every write.`;
    return [unfit(question, message, { [name]: String(replicationFactor) })];
  }
  if (inSyncReplicas === null || needed <= inSyncReplicas) return [];
  return [
    {
      code: 'TOPIC_SETTING_UNFIT',
      severity: 'warning',
      message: `${named(question)} has min.insync.replicas=${needed}, and a partition with ${inSyncReplicas} in sync at the moment: its brokers refuse writes until more are.`,
      nextStep: 'Bring back the brokers that hold its other replicas.',
    },
  ];
}

function findCleanup(question: SettingsQuestion): Finding[] {
  const source = sourceValue(question, 'cleanup.policy');
  const target = question.targetConfigs.get('cleanup.policy');
  if (source === null || target === undefined) return [];
  if (!target.includes('compact') || source.includes('compact')) return [];
  return [
    unfit(
      question,
      `is compacted, and "${question.source.topic}" is not: records whose key comes again disappear there.`,
      {
        'cleanup.policy': source,
      },
    ),
  ];
}

function findRetention(question: SettingsQuestion): Finding[] {
  const { targetConfigs, logs, nowMs } = question;
  const target = targetConfigs.get('cleanup.policy');
  if (question.sourceConfigs === null || (target !== undefined && !target.includes('delete'))) return [];
  const keepsAll = sourceValue(question, 'cleanup.policy')?.includes('delete') === false;
  const found: Finding[] = [];
  for (const name of ['retention.ms', 'retention.bytes']) {
    const limit = endOf(amountOf(targetConfigs.get(name)));
    const source = keepsAll ? Infinity : endOf(amountOf(sourceValue(question, name)));
    if (limit === null || source === null || limit >= source) continue;
    const isTime = name === 'retention.ms';
    const wanted = Number.isFinite(source) ? String(source) : '-1';
    const oldest = least(logs.map(({ firstTimestamp }) => firstTimestamp));
    const isOver = isTime && oldest !== null && nowMs - oldest > limit;
    const now = isOver ? ` The first record there is from ${time(oldest)}: it goes as soon as it is copied.` : '';
    const unit = isTime ? 'records older than' : 'what a partition has beyond';
    const message = `deletes ${unit} ${isTime ? duration(limit) : `${count(limit)} bytes`}, and "${question.source.topic}" keeps ${kept(source, isTime)}.${now}`;
    found.push(unfit(question, message, { [name]: wanted }));
  }
  return found;
}

function kept(limit: number, isTime: boolean): string {
  if (!Number.isFinite(limit)) return 'all of it';
  return isTime ? `them for ${duration(limit)}` : `${count(limit)} bytes`;
}

/** A negative retention has no end. */
function endOf(limit: number | null): number | null {
  return limit !== null && limit < 0 ? Infinity : limit;
}

// ---- time to catch up

export interface CatchUp {
  /** All that is to be copied. */
  readonly seconds: number;
  /** How it was estimated: '12 GB at 50 MB/s, which is assumed'. */
  readonly basis: string;
}

/** The source deletes what is not copied yet where copying takes longer than it keeps records. */
export function findCatchUp(
  question: SettingsQuestion & { readonly catchUp: CatchUp; readonly sourceBytes: number | null },
): Finding[] {
  const { catchUp, logs, nowMs, source } = question;
  if (sourceValue(question, 'cleanup.policy')?.includes('delete') === false) return [];
  const limitMs = endOf(amountOf(sourceValue(question, 'retention.ms')));
  const limitBytes = endOf(amountOf(sourceValue(question, 'retention.bytes')));
  const oldest = least(logs.map(({ firstTimestamp }) => firstTimestamp));
  // A log that is as large as it may be turns over in the time between its first record and now.
  const isFull = limitBytes !== null && (question.sourceBytes ?? 0) >= FULL * limitBytes * logs.length;
  const turnsOverMs = isFull && oldest !== null ? nowMs - oldest : Infinity;
  const keptMs = Math.min(limitMs ?? Infinity, turnsOverMs);
  const neededMs = catchUp.seconds * 1000;
  if (neededMs <= keptMs) return [];
  const name = limitMs !== null && limitMs <= turnsOverMs ? 'retention.ms' : 'retention.bytes';
  const wanted = name === 'retention.ms' ? Math.ceil(neededMs * MARGIN) : -1;
  return [
    {
      code: 'TOPIC_SETTING_UNFIT',
      severity: 'warning',
      message: `Topic "${source.topic}" on "${source.cluster}" keeps records for ${duration(keptMs)} (${name}), and catching up takes about ${duration(neededMs)} (${catchUp.basis}): records would be deleted before they are copied.`,
      nextStep: `Until the copy has caught up: kafka-configs.sh --alter --entity-type topics --entity-name ${source.topic} --add-config ${name}=${wanted}.`,
    },
  ];
}

const FULL = 0.8;
const MARGIN = 2;

// ---- words

function unfit(question: SettingsQuestion, message: string, set: Readonly<Record<string, string>>): Finding {
  const [name, value] = must(Object.entries(set)[0], 'setting');
  // A value with a comma stands in brackets: ConfigCommand splits at commas.
  const shown = value.includes(',') ? `[${value}]` : value;
  return {
    code: 'TOPIC_SETTING_UNFIT',
    severity: 'warning',
    message: `${named(question)} ${message}`,
    nextStep: `kafka-configs.sh --alter --entity-type topics --entity-name ${question.target.topic} --add-config ${name}=${shown}.`,
  };
}

function named({ target }: SettingsQuestion): string {
  return `Topic "${target.topic}" on "${target.cluster}"`;
}

function sourceValue({ sourceConfigs }: SettingsQuestion, name: string): string | null {
  return sourceConfigs?.get(name)?.value ?? null;
}

function amountOf(value: string | null | undefined): number | null {
  const amount = Number(value ?? Number.NaN);
  return Number.isFinite(amount) ? amount : null;
}

function least(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((a, b) => Math.min(a, b));
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function time(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19)}Z`;
}

/** `40 days`, `7 h`, `12 min`, `30 s`: two digits of precision are enough to judge by. */
export function duration(ms: number): string {
  for (const [unit, size] of [
    ['days', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
  ] as const)
    if (ms >= 2 * size) return `${Number((ms / size).toPrecision(3))} ${unit}`;
  return `${Number((ms / 1000).toPrecision(3))} s`;
}
