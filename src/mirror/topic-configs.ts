/**
 * Which settings a target topic gets, and which of them differ. Pure.
 *
 * Copied: what is set on the source topic itself; what a broker or nobody set stays each cluster's own. Then, whatever
 * the source has, what an exact copy needs:
 *   - `message.timestamp.type` by the mirror's `timestamps` (exactness.md rule 9), so that no default of the target decides;
 *   - no limit on timestamps: a record that the source took in time is older when it is copied, and must not be refused;
 *   - `max.message.bytes` at least the source's.
 * Not copied: what names brokers, and what needs tiered storage on the target.
 * Never made worse for the data on the target: retention is not shortened, min.insync.replicas and max.message.bytes are
 * not lowered, and a setting of these that only the target has stays.
 */
import type { ConfigChange, Configs } from '#kafka/configs.ts';

export type TimestampPolicy = 'append' | 'producer' | 'target';

/** By name. */
export type ConfigValues = ReadonlyMap<string, string>;

export const UNLIMITED = '9223372036854775807';
const TIMESTAMP_TYPE = 'message.timestamp.type';
const TIMESTAMP_LIMITS = ['message.timestamp.before.max.ms', 'message.timestamp.after.max.ms'];
const MAX_MESSAGE_BYTES = 'max.message.bytes';
const MIN_INSYNC_REPLICAS = 'min.insync.replicas';
const NAMES_BROKERS = new Set(['leader.replication.throttled.replicas', 'follower.replication.throttled.replicas']);
const TIERED = /^(?:remote|local)\./;
/** A negative retention has no end. */
const RETENTIONS = new Set(['retention.ms', 'retention.bytes']);
const NEVER_LOWERED = new Set([...RETENTIONS, MIN_INSYNC_REPLICAS, MAX_MESSAGE_BYTES]);

export interface ConfigPolicy {
  readonly timestamps: TimestampPolicy;
  /** Of the target topic; null when not known. */
  readonly replicationFactor: number | null;
  /** Names that the target's brokers know; null when not known. Others are left out: another Kafka version has them. */
  readonly known: ReadonlySet<string> | null;
}

/** What an exact copy needs on the target, whether or not settings are synchronised. */
export function requiredConfigs(source: Configs, policy: ConfigPolicy): ConfigValues {
  const required = new Map<string, string>([
    [TIMESTAMP_TYPE, policy.timestamps === 'target' ? 'LogAppendTime' : 'CreateTime'],
  ]);
  for (const name of TIMESTAMP_LIMITS) required.set(name, UNLIMITED);
  const maxBytes = source.get(MAX_MESSAGE_BYTES)?.value;
  if (maxBytes) required.set(MAX_MESSAGE_BYTES, maxBytes);
  return knownOnly(required, policy);
}

/** Everything that the target should have: what is set on the source topic, and over it what is required. */
export function desiredConfigs(source: Configs, policy: ConfigPolicy): ConfigValues {
  const desired = new Map<string, string>();
  for (const [name, { value, source: setBy, sensitive }] of source) {
    if (setBy === 'topic' && value !== null && !sensitive && isCopied(name)) desired.set(name, value);
  }
  const insync = desired.get(MIN_INSYNC_REPLICAS);
  if (insync !== undefined && policy.replicationFactor !== null) {
    // More than there are replicas would refuse every write.
    desired.set(MIN_INSYNC_REPLICAS, String(Math.min(Number(insync), policy.replicationFactor)));
  }
  return new Map([...knownOnly(desired, policy), ...requiredConfigs(source, policy)]);
}

/** What has to change on a target topic so that it has `desired` and, where mirrors set it, nothing else. */
export function diffConfigs(desired: ConfigValues, target: Configs): ConfigChange {
  const set = new Map<string, string>();
  for (const [name, value] of desired) {
    const current = target.get(name);
    if (current?.source === 'topic' && current.value === value) continue;
    if (current?.value && NEVER_LOWERED.has(name) && isLower(name, value, current.value)) continue;
    set.set(name, value);
  }
  const remove = [...target].flatMap(([name, { source }]) =>
    source === 'topic' && !desired.has(name) && isCopied(name) && !NEVER_LOWERED.has(name) ? [name] : [],
  );
  return { set, remove };
}

/** Changes nothing but what is required. */
export function diffRequired(required: ConfigValues, target: Configs): ConfigChange {
  return { set: diffConfigs(required, target).set, remove: [] };
}

export function isEmpty(change: ConfigChange): boolean {
  return change.set.size === 0 && change.remove.length === 0;
}

function isCopied(name: string): boolean {
  return !NAMES_BROKERS.has(name) && !TIERED.test(name);
}

function knownOnly(values: ConfigValues, { known }: ConfigPolicy): ConfigValues {
  return known === null ? values : new Map([...values].filter(([name]) => known.has(name)));
}

function isLower(name: string, value: string, current: string): boolean {
  return amount(name, value) < amount(name, current);
}

function amount(name: string, value: string): number {
  const number = Number(value);
  return RETENTIONS.has(name) && number < 0 ? Infinity : number;
}
