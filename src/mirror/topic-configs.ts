/**
 * Which settings a target topic gets, which of them differ, and why. Pure.
 *
 * Copied: what is set on the source topic itself; what a broker or nobody set stays each cluster's own, or with
 * `defaultsFrom: source` is what is in effect at the source. Then, whatever the source has, what an exact copy needs:
 *   - `message.timestamp.type` by the mirror's `timestamps` (exactness.md rule 9), so that no default of the target decides;
 *   - no limit on timestamps: a record that the source took in time is older when it is copied, and must not be refused;
 *   - `max.message.bytes` at least the source's.
 * Not copied: what names brokers, what needs tiered storage on the target, and what the mirror excludes.
 * Never made worse for the data on the target unless `allowWeaker` asks for it: retention is not shortened and
 * min.insync.replicas not lowered, and one of these that only the target has stays. max.message.bytes is never lowered.
 */
import type { SettingDifference } from '#contract/plan.ts';
import { compileNames } from '#contract/name-pattern.ts';
import type { ConfigSync } from '#contract/sync-settings.ts';
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
const WEAKENING = new Set([...RETENTIONS, MIN_INSYNC_REPLICAS]);

export interface ConfigPolicy {
  readonly timestamps: TimestampPolicy;
  /** Of the target topic; null when not known. */
  readonly replicationFactor: number | null;
  /** Names that the target's brokers know; null when not known. Others are left out: another Kafka version has them. */
  readonly known: ReadonlySet<string> | null;
  /** Null where settings are not synchronised: a topic that is created gets them all the same. */
  readonly sync: ConfigSync | null;
}

const NO_SYNC: ConfigSync = { exclude: [], defaultsFrom: 'target', allowWeaker: false };

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

/** Everything that the target should have: what the source topic has, and over it what is required. */
export function desiredConfigs(source: Configs, policy: ConfigPolicy): ConfigValues {
  const { defaultsFrom } = policy.sync ?? NO_SYNC;
  const isSynced = syncedNames(policy);
  const desired = new Map<string, string>();
  for (const [name, { value, source: setBy, sensitive, readOnly }] of source) {
    const isMeant = setBy === 'topic' || (defaultsFrom === 'source' && !readOnly);
    if (isMeant && value !== null && !sensitive && isSynced(name)) desired.set(name, value);
  }
  const insync = desired.get(MIN_INSYNC_REPLICAS);
  if (insync !== undefined && policy.replicationFactor !== null) {
    // More than there are replicas would refuse every write.
    desired.set(MIN_INSYNC_REPLICAS, String(Math.min(Number(insync), policy.replicationFactor)));
  }
  return new Map([...knownOnly(desired, policy), ...requiredConfigs(source, policy)]);
}

/**
 * What differs between a source topic and its target, what stays as it is too. Without synchronisation, or where the
 * source's settings cannot be read (null), only what is required.
 */
export function compareConfigs(source: Configs | null, target: Configs, policy: ConfigPolicy): SettingDifference[] {
  const known = source ?? new Map();
  const required = requiredConfigs(known, policy);
  const isSynced = source !== null && policy.sync !== null;
  const desired = isSynced ? desiredConfigs(source, policy) : required;
  const names = isSynced ? new Set([...desired.keys(), ...source.keys(), ...target.keys()]) : desired.keys();
  return [...names].flatMap((name) => {
    const wanted = desired.get(name);
    const verdict =
      wanted === undefined
        ? judgeUnset(name, { source: known, target, policy })
        : judgeWanted(name, wanted, { target, policy, isRequired: required.has(name) });
    if (verdict === null) return [];
    return [{ name, source: known.get(name)?.value ?? null, target: target.get(name)?.value ?? null, ...verdict }];
  });
}

type Verdict = Pick<SettingDifference, 'action' | 'value' | 'reason'> | null;

function judgeWanted(
  name: string,
  wanted: string,
  context: { readonly target: Configs; readonly policy: ConfigPolicy; readonly isRequired: boolean },
): Verdict {
  const current = context.target.get(name);
  if (current?.source === 'topic' && current.value === wanted) return null;
  if (current?.value && isLower(name, wanted, current.value)) {
    if (name === MAX_MESSAGE_BYTES) return null; // larger than needed does no harm
    if (staysStrong(name, context.policy)) return kept(WEAKER);
  }
  const isAllOfSource = context.policy.sync?.defaultsFrom === 'source';
  const reason = isAllOfSource ? 'in effect at the source' : 'set on the source topic';
  return { action: 'set', value: wanted, reason: context.isRequired ? 'an exact copy needs it' : reason };
}

/** The source topic has no value that the target should have. */
function judgeUnset(
  name: string,
  { source, target, policy }: { readonly source: Configs; readonly target: Configs; readonly policy: ConfigPolicy },
): Verdict {
  const [from, to] = [source.get(name), target.get(name)];
  if (from?.source === 'topic' && from.value !== null && !from.sensitive) {
    if (!isCopied(name) || from.value === to?.value) return null;
    const isKnown = policy.known === null || policy.known.has(name);
    return kept(
      isKnown ? 'sync.configs.exclude leaves it to each cluster' : 'the brokers of the target do not know it',
    );
  }
  if (to?.source !== 'topic' || name === MAX_MESSAGE_BYTES || !syncedNames(policy)(name)) return null;
  if (staysStrong(name, policy)) return kept(WEAKER);
  return { action: 'reset', value: null, reason: 'not set on the source topic' };
}

const WEAKER = 'never made weaker unless sync.configs.allowWeaker asks for it';

function kept(reason: string): Verdict {
  return { action: 'keep', value: null, reason };
}

function staysStrong(name: string, { sync }: ConfigPolicy): boolean {
  return WEAKENING.has(name) && !sync?.allowWeaker;
}

/** What has to change on a target topic so that it has what is desired and, where mirrors set it, nothing else. */
export function changeOf(differences: readonly SettingDifference[]): ConfigChange {
  return {
    set: new Map(differences.flatMap(({ name, action, value }) => (action === 'set' ? [[name, value ?? '']] : []))),
    remove: differences.flatMap(({ name, action }) => (action === 'reset' ? [name] : [])),
  };
}

export function isEmpty(change: ConfigChange): boolean {
  return change.set.size === 0 && change.remove.length === 0;
}

/** Which names follow the source at all. */
function syncedNames({ sync }: ConfigPolicy): (name: string) => boolean {
  const isIncluded = compileNames({ match: null, exclude: (sync ?? NO_SYNC).exclude });
  return (name) => isCopied(name) && isIncluded(name);
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
