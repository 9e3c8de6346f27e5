/** Brings target topics to where shards can copy into them: created or grown, set, and claimed in the state topic. */
import { isDeepStrictEqual } from 'node:util';
import { must } from '#util/assert.ts';
import { AppError } from '#contract/errors.ts';
import type { SettingDifference } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { SyncedChange } from '#contract/status.ts';
import type { TopicPair } from '#contract/topic-rules.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { alterTopicConfigs, describeTopicConfigs, type ConfigChange, type Configs } from '#kafka/configs.ts';
import { BrokerError, MalformedFrameError } from '#kafka/errors.ts';
import { isDenied } from '#kafka/permissions.ts';
import { createPartitions, createTopic, TOPIC_ALREADY_EXISTS } from '#kafka/topics.ts';
import type { ClaimRecord, Hop } from './state-records.ts';
import type { StateTopic } from './state-topic.ts';
import { askMode } from './mode-facts.ts';
import type { ModeFacts, OffsetMode } from './offset-mode.ts';
import { changeOf, isEmpty } from './topic-configs.ts';
import { configDifferences, decideTopic, type DecisionOptions, type TopicDecision } from './topic-decision.ts';
import { readTargetFacts, readTopicFacts, type TopicFacts } from './topic-facts.ts';

const UNKNOWN_TOPIC_OR_PARTITION = 3;
const INVALID_PARTITIONS = 37;
const MAX_MESSAGE_BYTES = 'max.message.bytes';
/** ServerLogConfigs.MAX_MESSAGE_BYTES_DEFAULT. */
const MESSAGE_BYTES_DEFAULT = 1_048_588;
const TIMESTAMP_TYPE = 'message.timestamp.type';
/** Several processes prepare one topic at the same time; who finds the facts changed looks again. */
const ROUNDS_MAX = 6;

export interface PrepareOptions {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly resource: MirrorResource;
  readonly state: StateTopic;
  readonly mirrorId: string;
  /** Of the source topic, for its claim; null where it is not known. */
  readonly provenance?: readonly Hop[] | null;
}

export interface PreparedTopic {
  readonly sourceTopic: string;
  readonly sourceTopicId: string;
  readonly targetTopic: string;
  readonly targetTopicId: string;
  /** The same on both sides. */
  readonly partitions: number;
  /** The target's max.message.bytes. */
  readonly batchBytesMax: number;
  /** The right that is missing to keep its settings as the source's; its records can be copied all the same. */
  readonly configsDenied: BrokerError | null;
  /** Settings that were changed, of a topic that was there before. */
  readonly changed: readonly SyncedChange[];
  readonly action: 'created' | 'grown' | 'adopted' | 'resumed';
  readonly copy: OffsetMode;
}

/**
 * Makes the target topic of a pair ready, or says why it cannot be. May be called again when the source has grown, and by
 * several processes at once. Throws AppError with the code of the first refusal, KafkaError when a cluster refuses.
 */
export async function prepareTopic(options: PrepareOptions & { readonly pair: TopicPair }): Promise<PreparedTopic> {
  const { source, target, state, pair } = options;
  const targetFacts = await readTargetFacts(target);
  let action: PreparedTopic['action'] | null = null;
  let asked: ModeFacts | null = null;
  for (let round = 1; ; round++) {
    const facts = await readFacts({ source, target, state }, pair);
    asked ??= await askMode(options, facts);
    const decision = decideTopic(facts, targetFacts, { ...decisionOptions(options), asked });
    await refuse(options, decision);
    if (decision.action === 'resume' && decision.growTo === null) {
      const denied = await changeConfigs(target, facts, decision.configs);
      const claimed = await claim(options, facts, decision);
      const changed = changesOf(decision.differences, { denied, topic: pair.target });
      return toPrepared(claimed, { action: action ?? 'resumed', denied, changed, copy: decision.copy });
    }
    if (round === ROUNDS_MAX) {
      throw new AppError(
        'CLUSTER_REFUSED',
        `Topic "${pair.target}" on cluster "${target.name}" changes again and again while it is prepared.`,
        {
          nextStep: 'Find out who deletes or changes it, and start the mirror again.',
        },
      );
    }
    action ??= decision.action === 'create' ? 'created' : decision.growTo === null ? 'adopted' : 'grown';
    // Of somebody else's topic it must be known that it does not put its own times into the records.
    if (action === 'adopted' && facts.target?.configs === null && facts.configsDenied) throw facts.configsDenied;
    await bringForward(options, facts, decision);
  }
}

export interface SyncedConfigs {
  /** The right that is missing to read settings or to change them. */
  readonly denied: BrokerError | null;
  readonly changed: readonly SyncedChange[];
}

/** Applies differences of settings between source and target topic, as far as the mirror says `sync.configs`. Throws KafkaError. */
export async function syncConfigs(
  options: Pick<PrepareOptions, 'source' | 'target' | 'resource'> & {
    readonly topic: Pick<PreparedTopic, 'sourceTopic' | 'targetTopic' | 'copy'>;
  },
): Promise<SyncedConfigs> {
  const { source, target, resource, topic } = options;
  const sync = resource.spec.sync.configs;
  if (sync === null || topic.copy.isShared) return NOTHING_SYNCED;
  const targetFacts = await readTargetFacts(target);
  const pair = { source: topic.sourceTopic, target: topic.targetTopic };
  const facts = await readFacts({ source, target, state: null }, pair).catch(nullIfGone); // whoever claims it, it is being copied
  if (!facts?.target) return NOTHING_SYNCED; // deleted meanwhile: the shards say so, and other topics are not kept from theirs
  const policy = {
    timestamps: resource.spec.timestamps,
    replicationFactor: facts.target.metadata.partitions[0]?.replicas.length ?? null,
    known: targetFacts.knownConfigs,
    sync,
  };
  const differences = configDifferences(facts, policy);
  const denied = await changeConfigs(target, facts, changeOf(differences));
  return { denied, changed: changesOf(differences, { denied, topic: topic.targetTopic }) };
}

const NOTHING_SYNCED: SyncedConfigs = { denied: null, changed: [] };

function changesOf(
  differences: readonly SettingDifference[],
  { denied, topic }: { readonly denied: BrokerError | null; readonly topic: string },
): SyncedChange[] {
  if (denied) return [];
  return differences.flatMap(({ name, action, value, target, reason }): SyncedChange[] => {
    const subject = `${name} of topic ${topic}`;
    return action === 'keep' ? [] : [{ what: 'setting', subject, action: 'set', source: value, target, reason }];
  });
}

function nullIfGone(error: unknown): null {
  if (error instanceof BrokerError && error.code === UNKNOWN_TOPIC_OR_PARTITION) return null;
  throw error;
}

/** What a decision needs to know of a mirror. */
export function decisionOptions({
  source,
  target,
  resource,
  mirrorId,
}: Omit<PrepareOptions, 'state'>): DecisionOptions {
  const { timestamps, sync, targetReplicationFactor } = resource.spec;
  return { mirrorId, timestamps, sync, targetReplicationFactor, sourceName: source.name, targetName: target.name };
}

async function readFacts(clusters: Parameters<typeof readTopicFacts>[0], pair: TopicPair): Promise<TopicFacts> {
  const facts = must((await readTopicFacts(clusters, [pair]))[0], 'facts of a pair');
  if (facts instanceof Error) throw facts;
  return facts;
}

async function refuse(
  { state, mirrorId, pair }: Pick<PrepareOptions, 'state' | 'mirrorId'> & { readonly pair: TopicPair },
  { findings }: TopicDecision,
): Promise<void> {
  const refusal = findings.find(({ severity }) => severity === 'error');
  if (!refusal) return;
  // It will not be ours: somebody else has created it meanwhile.
  if (state.creating(pair.target)?.mirrorId === mirrorId) await state.putCreating(pair.target, null);
  throw new AppError(refusal.code, refusal.message, {
    nextStep: refusal.nextStep,
  });
}

/** One step towards a topic that can be resumed. What another process did first is found in the next round. */
async function bringForward(
  options: PrepareOptions & { readonly pair: TopicPair },
  facts: TopicFacts,
  decision: TopicDecision,
): Promise<void> {
  const { target, pair } = options;
  const partitions = facts.source.partitions.length;
  if (decision.action === 'create') {
    await announce(options);
    const topic = {
      name: pair.target,
      partitions,
      replicationFactor: decision.replicationFactor,
      configs: decision.configs.set,
    };
    await unlessDoneAlready(() => createTopic(target, topic), TOPIC_ALREADY_EXISTS);
  } else if (decision.growTo !== null) {
    await unlessDoneAlready(
      () => createPartitions(target, { topic: pair.target, count: partitions }),
      INVALID_PARTITIONS,
    );
  } else {
    await changeConfigs(target, facts, decision.configs);
    await claim(options, facts, decision);
  }
}

/**
 * Says that a topic is about to be a copy before it is there: a mirror that goes the other way, and finds the topic before its
 * claim, would carry the records back. The claim cannot come first, as it names the topic's id.
 */
async function announce({
  state,
  mirrorId,
  pair,
  provenance,
}: PrepareOptions & { readonly pair: TopicPair }): Promise<void> {
  const hops = provenance ?? [];
  const wanted = { mirrorId, sourceTopic: pair.source, ...(hops.length > 0 ? { provenance: [...hops] } : {}) };
  if (!isDeepStrictEqual(state.creating(pair.target), wanted)) await state.putCreating(pair.target, wanted);
}

async function unlessDoneAlready(change: () => Promise<unknown>, code: number): Promise<void> {
  try {
    await change();
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== code) throw error;
  }
}

/**
 * Returns the right that is missing to read or change settings, or null. A copy goes on without, and finds what stands
 * against it when it does; only a wrong timestamp type would change records and be seen by nobody, so that one is thrown.
 */
async function changeConfigs(cluster: Cluster, facts: TopicFacts, change: ConfigChange): Promise<BrokerError | null> {
  if (isEmpty(change)) return facts.configsDenied;
  try {
    await alterTopicConfigs(cluster, facts.pair.target, change);
    return facts.configsDenied;
  } catch (error) {
    const wanted = change.set.get(TIMESTAMP_TYPE);
    const isWrongTime = wanted !== undefined && facts.target?.configs?.get(TIMESTAMP_TYPE)?.value !== wanted;
    if (!isDenied(error) || isWrongTime) throw error;
    return error;
  }
}

/** Writes the claim unless it stands as it should; the first of two mirrors that claim at once keeps it. */
async function claim(
  { state, resource, mirrorId, provenance = null }: PrepareOptions,
  facts: TopicFacts,
  { copy }: TopicDecision,
): Promise<TopicFacts> {
  const existing = must(facts.target, 'target topic').metadata;
  const holds = facts.claim?.targetTopicId === existing.topicId ? facts.claim : null;
  const hops = provenance ?? holds?.provenance ?? [];
  const wanted: ClaimRecord = {
    mirrorId,
    mirrorName: resource.metadata.name,
    sourceTopic: facts.pair.source,
    sourceTopicId: facts.source.topicId,
    targetTopicId: existing.topicId,
    partitions: facts.source.partitions.length,
    replaces: facts.claim && facts.claim.targetTopicId !== existing.topicId ? facts.claim.targetTopicId : null,
    ...(copy.mode === 'identical' ? {} : { mode: copy.isShared ? 'shared' : 'mapped' }),
    ...(hops.length > 0 ? { provenance: [...hops] } : {}),
  };
  const isSame = holds?.partitions === wanted.partitions || (copy.isShared && (holds?.partitions ?? 0) > 0);
  const isSameWay = isDeepStrictEqual(holds?.provenance ?? [], hops);
  if (holds && isSame && holds.mode === wanted.mode && isSameWay) {
    if (state.creating(facts.pair.target)) await state.putCreating(facts.pair.target, null); // by one who came second
    return facts;
  }
  const valid = await state.putClaim(facts.pair.target, wanted);
  if (valid.mirrorId !== mirrorId) {
    throw new AppError(
      'TOPIC_CLAIMED',
      `Mirror "${resource.metadata.name}": topic "${facts.pair.target}" was claimed by mirror "${valid.mirrorName}" at the same moment.`,
      {
        nextStep: 'Give one of the two mirrors another target name with "to".',
      },
    );
  }
  return facts;
}

function toPrepared(
  facts: TopicFacts,
  {
    action,
    denied,
    changed,
    copy,
  }: {
    readonly action: PreparedTopic['action'];
    readonly denied: BrokerError | null;
    readonly changed: readonly SyncedChange[];
    readonly copy: OffsetMode;
  },
): PreparedTopic {
  const existing = must(facts.target, 'target topic');
  return {
    sourceTopic: facts.pair.source,
    sourceTopicId: facts.source.topicId,
    targetTopic: facts.pair.target,
    targetTopicId: existing.metadata.topicId,
    partitions: facts.source.partitions.length,
    batchBytesMax: batchBytesMax(facts.sourceConfigs, existing.configs, { isRaised: denied === null }),
    configsDenied: denied,
    changed,
    action,
    copy,
  };
}

/** The target topic's max.message.bytes as of now. Throws KafkaError. */
export async function readBatchBytesMax(cluster: Cluster, topic: string): Promise<number> {
  const described = must((await describeTopicConfigs(cluster, [topic]))[0], 'described topic');
  if (described.error) throw described.error;
  return messageBytesMax(described.configs);
}

/** `isRaised`: the target's limit is at least the source's since just now. Where neither can be read, Kafka's default. */
function batchBytesMax(source: Configs | null, target: Configs | null, { isRaised }: { isRaised: boolean }): number {
  const targetBytes = target && messageBytesMax(target);
  if (source === null || (targetBytes !== null && !isRaised)) return targetBytes ?? MESSAGE_BYTES_DEFAULT;
  return Math.max(messageBytesMax(source), targetBytes ?? 0);
}

function messageBytesMax(configs: Configs): number {
  const bytes = Number(configs.get(MAX_MESSAGE_BYTES)?.value ?? Number.NaN);
  if (!Number.isSafeInteger(bytes)) throw new MalformedFrameError(`DescribeConfigs left out ${MAX_MESSAGE_BYTES}`);
  return bytes;
}
