/**
 * One mirror: finds the topics of its rules, prepares their targets, and runs a shard per partition until it is stopped
 * or its goal is reached. A topic that cannot be prepared and a partition that stops are incidents of their own; the
 * others go on (STYLE.md 4).
 */
import { isDeepStrictEqual } from 'node:util';
import { assert, must } from '#util/assert.ts';
import { sleep, type Clock } from '#util/clock.ts';
import { untilAborted } from '#util/until-aborted.ts';
import type { Random } from '#util/random.ts';
import { AppError, type ErrorCode } from '#contract/errors.ts';
import type { Access } from '#contract/plan.ts';
import { compileCondition } from '#contract/record-condition.ts';
import type { MirrorResource, MirrorStart } from '#contract/resources.ts';
import type { Incident, MirrorStatus, ReencodeReason, RunEvent, SyncedChange } from '#contract/status.ts';
import type { Until } from '#contract/until.ts';
import {
  compileTopicRules,
  filterOf,
  type TopicFilter,
  planTopics,
  withMerges,
  type TopicPair,
  type TopicPlan,
  type TopicRules,
} from '#contract/topic-rules.ts';
import { DataPath } from '#jobs/data-path.ts';
import { TIMES, type Term } from '#jobs/ownership.ts';
import { shardName, type ShardName } from '#jobs/shard-ranges.ts';
import { toAppError } from '#jobs/app-error.ts';
import type { Cluster } from '#kafka/cluster.ts';
import { KafkaError, type BrokerError } from '#kafka/errors.ts';
import type { TopicMetadata } from '#kafka/metadata.ts';
import { retrying } from '#kafka/retry.ts';
import type { FramePool } from '#kafka/frame.ts';
import { describeProducers, initProducerId } from '#kafka/producers.ts';
import { listTransactions } from '#kafka/transactions.ts';
import { BatchWriter } from '#kafka/records/batch-writer.ts';
import { AroundRecords } from './around-records.ts';
import { CleanupGate } from './cleanup-gate.ts';
import { copiedTopics } from './copied-topics.ts';
import { hiddenTopics } from './hidden-topics.ts';
import { FILL_OFFSETS_MAX } from './log-start.ts';
import { findLostTopics } from './lost-topics.ts';
import { Goals } from './goals.ts';
import { GroupMemory } from './group-memory.ts';
import { GroupSync } from './group-sync.ts';
import {
  incidentElsewhere,
  MirroredPartition,
  type MirroredPartitionOptions,
  type RunningShard,
} from './mirrored-partition.ts';
import { readEnds } from './offsets.ts';
import { OpenTransactions } from './open-transactions.ts';
import { Outages } from './outages.ts';
import { groupGrant } from './rights.ts';
import { Sharing } from './sharing.ts';
import { measureSource, measureTarget } from './source-lag.ts';
import type { PartitionState, ShardContext } from './shard-context.ts';
import { MappedShard } from './mapped-shard.ts';
import { mapBehind } from './misalignment.ts';
import type { OffsetMode } from './offset-mode.ts';
import { RecordFilter } from './record-filter.ts';
import { SavedPlaces } from './saved-places.ts';
import { Shard } from './shard.ts';
import { stateUnreadable } from './shard-stop.ts';
import { LEADER_EPOCHS_MAX, type MappedPlace, type PartitionRecord } from './state-records.ts';
import { StateTopic, TRANSACTIONAL_ID_PREFIX } from './state-topic.ts';
import { readSyncedTopics } from './synced-topics.ts';
import { refuseFailedOver } from './failover/refusal.ts';
import { choicesOf, ruleEmpty } from './plan.ts';
import { EXPIRATION, EXPIRATION_DEFAULT_MS, readExpiration } from './producer-memory.ts';
import { cycleFinding, leftOutFinding, SourceProvenance } from './source-provenance.ts';
import { describeOpen, drainTransactions } from './transaction-drain.ts';
import { prepareTopic, readBatchBytesMax, syncConfigs, type PreparedTopic } from './target-topics.ts';
import { TopicIncidents, type TopicIncidentsOptions } from './topic-incidents.ts';
import { WarningLimit } from './warning-limit.ts';

const MERGE_BELOW_BYTES = 8 * 1024;
const MERGED_BYTES_MAX = 256 * 1024;
/** A graceful stop waits so long for what is in flight; then the connections are closed. */
const STOP_WITHIN_MS = 10_000;
/** Of these, transactions that are open on the target get so long to end. */
const DRAIN_WITHIN_MS = 5_000;
const DESCRIBE_OPEN_WITHIN_MS = 1_000;
/** Of these, what helps the next start gets so long: most of what is not saved it finds again. */
const SAVE_WITHIN_MS = 2_000;
/** The status of a partition is 400 bytes of JSON: with more partitions than these it is told less often. */
const SHARDS_PER_REPORT = 1_000;
const GOAL_POLL_MS = 50;
/** How soon a process notices that the mirror is being failed over. */
const FAILOVER_LOOK_MS = 1_000;
const OUTAGE_POLL_MS = 1_000;
/** How often it is looked how far the partitions of other processes are; with a goal that waits for them, more often. */
const OTHERS_MS = { idle: 10_000, goal: 1_000 };
/** New partitions are dealt out at most so often while many topics are prepared. */
const DEAL_MS = 500;
/** How old the source's offsets of a partition may grow. */
const MEASURE_MS = 10_000;
/** Of more partitions of others than 10,000 each is asked about less often: 10 processes with 50,000 would ask 90,000 times a second. */
const OTHERS_PER_SECOND = 1_000;
/** A mirror that was recorded so long ago begins now: by this process, by one beside it, or by one that died at once. */
const BEGINNING_MS = 60_000;
/** How often the settings of topics are compared while the mirror runs. */
const CONFIG_SYNC_MS = 30_000;
/** Topics that are prepared side by side; each takes a few requests to both clusters. */
const TOPICS_AT_ONCE = 8;

/** Switched off by tests only, to show that the test notices. */
export interface Guards {
  /** Batches carry PID and sequence (exactness.md rule 2). */
  readonly sequence: boolean;
  /** One process at a time writes to a partition (exactness.md rule 3). */
  readonly ownership: boolean;
}

export interface MirrorOptions {
  readonly resource: MirrorResource;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly clock: Clock;
  readonly random: Random;
  readonly pool: FramePool;
  readonly until: Until | null;
  readonly progressMs: number;
  /** For people: host and process id. */
  readonly process: string;
  readonly access: Access;
  readonly guards?: Guards;
  onEvent(event: RunEvent): void;
}

export type MirrorOutcome = Extract<RunEvent, { event: 'ended' }>['outcome'];

export class Mirror {
  readonly #options: MirrorOptions;
  readonly #name: string;
  readonly #rules: TopicRules;
  readonly #dataPath: DataPath;
  readonly #topics = new Map<string, PreparedTopic>();
  readonly #partitions = new Map<ShardName, MirroredPartition>();
  /** What goes on beside the partitions. */
  readonly #runs: Promise<void>[] = [];
  /** Null before the mirror has started, and where every process writes everything (Guards). */
  #sharing: Sharing | null = null;
  /** How many partitions were there, and when (monotonic), when they were dealt out last. */
  #dealt = { count: 0, atMs: -Infinity };
  /** Ends the terms of a mirror that shares with nobody. */
  readonly #stopping = new AbortController();
  /** Nothing is waited for any more. */
  readonly #closed = new AbortController();
  /** A bug in a shard or in the background ends the mirror, which reports it. */
  readonly #bug = Promise.withResolvers<never>();
  /** Source topics whose target could not be prepared yet: they are tried again, and nothing is caught up without them. */
  readonly #unprepared = new Set<string>();
  readonly #goals: Goals;
  /** By source topic; each is looked at again with a later round. */
  readonly #topicIncidents: TopicIncidents;
  /** Of the rules, by target topic and by source topic: they end as soon as the rules say something else. */
  readonly #conflictIncidents: TopicIncidents;
  readonly #nameIncidents: TopicIncidents;
  /** Of topics whose records come from their own target, by source topic. */
  readonly #cycleIncidents: TopicIncidents;
  readonly #provenance: SourceProvenance;
  /** Of topics that are copied, but whose settings cannot follow for lack of a right. By source topic. */
  readonly #settingIncidents: TopicIncidents;
  /** Source topics whose first shards run; partitions that come later were added to them. */
  readonly #started = new Set<string>();
  /** During the first look at the topics of a mirror that has never run before. */
  #isBeginning = false;
  /** See producer-memory.ts. */
  #expirationMs = EXPIRATION_DEFAULT_MS;
  readonly #warned = new Set<string>();
  readonly #limit: WarningLimit;
  #batchesCopied = 0;
  readonly #bytes = { passedThrough: 0, reencoded: { merged: 0, split: 0, trimmed: 0, 'append-time': 0, gaps: 0 } };
  readonly #writer = new BatchWriter({ codec: 0, baseOffset: 0 });
  readonly #gates = new Map<string, CleanupGate>();
  #isStopping = false;
  /** Both null before the mirror has started, and where the file does not ask for it. */
  #groups: GroupSync | null = null;
  #around: AroundRecords | null = null;
  #state: StateTopic | null = null;
  #mirrorId = '';
  #producers = { data: -1, marker: -1 };

  constructor(options: MirrorOptions) {
    const { source, target, clock, pool, resource } = options;
    this.#options = options;
    this.#name = resource.metadata.name;
    this.#limit = new WarningLimit(clock);
    this.#rules = compileTopicRules(resource.spec.topics);
    this.#dataPath = new DataPath({ source, target, clock, pool });
    const incidents = { mirror: this.#name, clock, onEvent: (event: RunEvent) => this.#emit(event) };
    const stopping: TopicIncidentsOptions = {
      ...incidents,
      severity: 'error',
      consequenceOf: (topic) =>
        this.#started.has(topic)
          ? 'Its new partitions are not copied; the others go on.'
          : 'Nothing of this topic is copied; the others go on.',
    };
    this.#topicIncidents = new TopicIncidents(stopping);
    this.#conflictIncidents = new TopicIncidents(stopping);
    this.#nameIncidents = new TopicIncidents(stopping);
    const nothing = { consequenceOf: () => 'Nothing of this topic is copied; the others go on.' };
    this.#cycleIncidents = new TopicIncidents({ ...stopping, ...nothing });
    this.#provenance = new SourceProvenance(source);
    this.#settingIncidents = new TopicIncidents({
      ...incidents,
      severity: 'warning',
      consequenceOf: () => 'Its records are copied; the settings of the copy do not follow the source.',
    });
    this.#goals = new Goals({
      until: options.until,
      readEnds: (partitions) => readEnds(source, partitions),
      onHeld: ({ topic, partition }, { at, offsets }) =>
        this.#warn(
          'SHARD_TRANSACTION_OPEN',
          `${topic}/${partition} is held back at offset ${at} by an open transaction on the source; ${offsets} offsets wait behind it`,
        ),
      onLowered: ({ topic, partition }, { from, to }) =>
        this.#warn(
          'SHARD_TRUNCATED',
          `${topic}/${partition} of the source ends at offset ${to} and not at ${from}, as it said before: its log was truncated before that was copied, or that answer was damaged; the run ends at ${to}`,
        ),
    });
    this.#bug.promise.catch(() => {}); // there may be nobody left to be told
  }

  /** Runs until `signal` aborts or the goal is reached. Throws AppError when it cannot start at all. */
  async run(signal: AbortSignal): Promise<MirrorOutcome> {
    let outcome: MirrorOutcome = 'failed';
    const stopped = new AbortController();
    try {
      const started = await untilAborted(
        this.#start().then(() => true),
        signal,
      );
      if (!started) return (outcome = 'interrupted');
      const { signal: ending } = stopped;
      const works = [
        this.#discoverRepeatedly(ending),
        this.#reportRepeatedly(ending),
        this.#watchOutages(ending),
        this.#measureRepeatedly(ending),
        this.#followOthers(ending),
        this.#watchFailover(ending),
        this.#createOpenTransactions().run(ending),
        this.#groups?.run(ending) ?? Promise.resolve(),
        this.#around?.run(ending) ?? Promise.resolve(),
      ];
      for (const work of works) this.#runs.push(work.catch(this.#bug.reject));
      outcome = await Promise.race([this.#reachGoal(signal), this.#bug.promise]);
      return outcome;
    } catch (error) {
      throw toAppError(error, `mirror "${this.#name}"`);
    } finally {
      stopped.abort();
      await this.#stop({ drains: outcome !== 'failed' });
      this.#emit({ event: 'ended', mirror: this.#name, outcome, status: this.status(), at: this.#options.clock.now() });
    }
  }

  #createOpenTransactions(): OpenTransactions {
    const { clock, source } = this.#options;
    return new OpenTransactions({
      clock,
      partitions: () => this.#all().flatMap((each) => (each.isHeld ? [each.status(clock.now())] : [])),
      producers: (topic, partition) => describeProducers(source, { topic, partition }),
      transactions: (producerIds) => listTransactions(source, { producerIds }),
      onLong: (message) => this.#warn('SHARD_TRANSACTION_OPEN', message, { again: true }),
    });
  }

  status(): MirrorStatus {
    const now = this.#options.clock.now();
    const shards = this.#all().map((partition) => partition.status(now));
    return {
      mirror: this.#name,
      source: this.#options.source.name,
      target: this.#options.target.name,
      shards,
      bytes: { passedThrough: this.#bytes.passedThrough, reencoded: { ...this.#bytes.reencoded } },
      recordsCopied: shards.reduce((sum, shard) => sum + shard.recordsCopied, 0),
      bytesCopied: shards.reduce((sum, shard) => sum + shard.bytesCopied, 0),
      batchesCopied: this.#batchesCopied,
      at: now,
    };
  }

  async #start(): Promise<void> {
    const { source, target, resource, clock } = this.#options;
    if (source.clusterId === target.clusterId) {
      throw new AppError(
        'CLUSTER_SAME',
        `Mirror "${this.#name}": source "${source.name}" and target "${target.name}" are one cluster (id ${source.clusterId}).`,
        {
          nextStep: 'Give source and target the addresses of two clusters.',
        },
      );
    }
    this.#state = await StateTopic.open(target);
    const { mirrorId, record } = await this.#state.establishMirror(choicesOf(resource, source, target));
    refuseFailedOver(this.#state, mirrorId, target);
    this.#mirrorId = mirrorId;
    this.#producers = { data: record.dataProducerId, marker: record.markerProducerId };
    this.#share();
    this.#around = this.#createAround(this.#state);
    this.#groups = this.#createGroupSync(this.#state);
    this.#emit({
      event: 'started',
      mirror: this.#name,
      sourceClusterId: source.clusterId,
      targetClusterId: target.clusterId,
      at: clock.now(),
    });
    const ports = { source, target, state: this.#state, mirrorId };
    const topics = await retrying(source, () => source.refresh('all'), { repeatable: true });
    const lost = await retrying(source, () => findLostTopics(ports, this.#rules, topics), { repeatable: true });
    for (const { code, message, nextStep } of lost) this.#warn(code, `${message} ${nextStep}`, { again: true });
    await retrying(target, () => this.#learnExpiration(), { repeatable: true });
    this.#isBeginning = clock.now() - record.createdAt < BEGINNING_MS;
    await this.#discover(topics, { mustMatch: this.#options.until !== null });
    this.#isBeginning = false;
  }

  // ---- topics

  async #discoverRepeatedly(signal: AbortSignal): Promise<void> {
    const { clock, resource, source } = this.#options;
    let syncedMs = clock.monotonic();
    for (;;) {
      await sleep(clock, resource.spec.refreshMs, signal);
      if (signal.aborted) return;
      await this.#attempt(`The topics of "${source.name}" could not be looked up`, async () =>
        this.#discover(await source.refresh('all'), { mustMatch: false }),
      );
      if (clock.monotonic() - syncedMs < CONFIG_SYNC_MS) continue;
      syncedMs = clock.monotonic();
      await this.#attempt('The settings of the target topics could not be compared', () => this.#syncConfigs());
      await this.#attempt(`${EXPIRATION} could not be read`, () => this.#learnExpiration());
      await this.#attempt('The state topic could not be looked at', () => this.#verifyState());
    }
  }

  async #learnExpiration(): Promise<void> {
    this.#expirationMs = (await readExpiration(this.#options.target)) ?? EXPIRATION_DEFAULT_MS;
  }

  /** What fails in the background is said and tried again with the next round. */
  async #attempt(what: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      const { code, message } = toAppError(error, what);
      this.#warn(code, `${message}; tried again`, { again: true });
    }
  }

  /** New topics and partitions of the source become shards. With a goal each rule must match at the start: nothing else says when it is reached. */
  async #discover(all: readonly TopicMetadata[], { mustMatch }: { mustMatch: boolean }): Promise<void> {
    const { source, resource } = this.#options;
    const topics = all.filter((topic) => topic.errorCode === 0);
    const plan = await this.#withoutReturns(withMerges(planTopics(this.#rules, topics), resource.spec));
    const hidden = await hiddenTopics(source, resource, plan.unmatchedRules);
    for (const rule of plan.unmatchedRules) {
      if (hidden.has(rule)) continue;
      const { code, message, nextStep } = ruleEmpty(resource, rule, source, topics);
      if (mustMatch) throw new AppError(code, message, { nextStep });
      this.#warn(code, `${message} ${nextStep}`);
    }
    this.#raiseConflicts(plan);
    for (const names of plan.collisions) {
      this.#warn(
        'TOPIC_NAME_COLLISION',
        `Target topics ${names.map((name) => `"${name}"`).join(', ')} differ only in "." and "_"; Kafka's metrics mix them up`,
      );
    }
    const sources = new Set([...plan.pairs.map((pair) => pair.source), ...hidden.values()]);
    for (const topic of this.#unprepared) if (!sources.has(topic)) this.#unprepared.delete(topic); // deleted meanwhile
    this.#topicIncidents.endBut(sources);
    for (const topic of hidden.values()) this.#raiseHidden(topic);
    for (let at = 0; at < plan.pairs.length; at += TOPICS_AT_ONCE) {
      await Promise.all(plan.pairs.slice(at, at + TOPICS_AT_ONCE).map((pair) => this.#adoptPair(pair)));
      this.#dealOut(DEAL_MS);
    }
    this.#dealOut(0);
    await this.#recordProvenance(plan);
    await this.#goals.set(this.#all());
  }

  /**
   * What comes from the target is not copied back there. A ring that is closed while we copy, by mirrors that did not see each
   * other, stops its topic until it is open again: each process of each mirror that sees itself on its own way finds it.
   */
  async #withoutReturns(all: TopicPlan): Promise<TopicPlan> {
    const { source, target, resource } = this.#options;
    // Copies go on while the state topic of the source has no leader: a ring is found when it has one again.
    await this.#attempt(`Where the topics of "${source.name}" come from could not be read`, () =>
      this.#provenance.read(),
    );
    const { plan, cycles, leftOut } = this.#provenance.route(all, { rules: this.#rules, target });
    this.#cycleIncidents.endBut(new Set(cycles.map(({ pair }) => pair.source)));
    for (const each of cycles) {
      const { message: cause, nextStep } = cycleFinding(each, { resource, source, target });
      const topic = each.pair.source;
      this.#cycleIncidents.raise(topic, { code: 'TOPIC_CYCLE', cause, nextStep });
    }
    for (const partition of this.#all()) {
      const incident = this.#cycleIncidents.of(partition.topic);
      if (incident) partition.refuse(incident);
      else partition.permit();
    }
    for (const each of leftOut) {
      const { code, message, nextStep } = leftOutFinding(each, { resource, source, target });
      this.#warn(code, `${message} ${nextStep}`);
    }
    return plan;
  }

  /** The claims say what the source topics are copies of as of now: mirrors that go on from our targets read it there. */
  async #recordProvenance(plan: TopicPlan): Promise<void> {
    const state = must(this.#state, 'state topic');
    for (const { sourceTopic, targetTopic, targetTopicId } of this.#topics.values()) {
      if (this.#cycleIncidents.has(sourceTopic)) continue; // nothing flows: what the claim said before holds
      const hops = this.#provenance.hopsInto(targetTopic, plan);
      const claim = state.claim(targetTopic);
      if (hops === null || claim?.mirrorId !== this.#mirrorId || claim.targetTopicId !== targetTopicId) continue;
      if (isDeepStrictEqual(claim.provenance ?? [], hops)) continue;
      await state.putClaim(targetTopic, { ...claim, provenance: [...hops] });
    }
  }

  /** Of a topic that is being copied, each partition says it itself. */
  #raiseHidden(topic: string): void {
    if (this.#topics.has(topic)) return;
    const cause = `Topic "${topic}" of cluster "${this.#options.source.name}" is hidden from us: the right to it is missing, or there is no such topic.`;
    const nextStep = `Grant our principal READ on the topic, or correct the rule; "lockstep plan" shows the command.`;
    this.#topicIncidents.raise(topic, { code: 'PERMISSION_DENIED', cause, nextStep });
  }

  #raiseConflicts({ conflicts, invalid }: TopicPlan): void {
    this.#conflictIncidents.endBut(new Set(conflicts.map(({ target }) => target)));
    this.#nameIncidents.endBut(new Set(invalid.map(({ source }) => source)));
    for (const { target, sources } of conflicts) {
      const cause = `The rules send ${sources.map((name) => `"${name}"`).join(' and ')} to the one target topic "${target}".`;
      const nextStep =
        'Exclude all but one of them, or give them other names with "to"; or write "offsets: mapped" to merge them; and start the mirror again.';
      this.#conflictIncidents.raise(target, { code: 'TOPIC_RULE_CONFLICT', cause, nextStep });
    }
    for (const { source, target, problem } of invalid) {
      const cause = `Topic "${source}" would become "${target}": ${problem}.`;
      const nextStep = 'Change "to" of the rule and start the mirror again.';
      this.#nameIncidents.raise(source, { code: 'TOPIC_NAME_INVALID', cause, nextStep });
    }
  }

  async #adoptPair(pair: TopicPair): Promise<void> {
    const known = this.#topics.get(pair.source);
    const partitions = must(this.#options.source.topicOf(pair.source), 'metadata of a source topic').partitions.length;
    if (known && known.partitions >= partitions) return;
    if (!this.#topicIncidents.isDue(pair.source)) return;
    if (!this.#topicIncidents.has(pair.source)) this.#unprepared.add(pair.source);
    try {
      const provenance = pair.isMerged ? null : this.#provenance.hopsInto(pair.target, { pairs: [pair] });
      const prepared = await prepareTopic({ ...this.#prepareOptions(), pair, provenance });
      this.#topics.set(pair.source, prepared);
      this.#emit({
        event: 'topic',
        mirror: this.#name,
        topic: pair.source,
        targetTopic: pair.target,
        partitions: prepared.partitions,
        action: known ? 'grown' : prepared.action,
        mode: prepared.copy.mode,
        why: prepared.copy.why,
        at: this.#options.clock.now(),
      });
      this.#unprepared.delete(pair.source);
      this.#topicIncidents.end(pair.source);
      this.#judgeSettings(pair.source, prepared.configsDenied);
      this.#emitChanges(prepared.changed);
      this.#startPartitions(prepared);
    } catch (error) {
      if (error instanceof KafkaError && error.retryable) {
        return this.#warn(
          'SHARD_WAITING',
          `Topic "${pair.source}" could not be prepared: ${error.message}; tried again`,
          { again: true },
        );
      }
      const appError = toAppError(error, `topic "${pair.source}"`);
      this.#unprepared.delete(pair.source);
      const { code, message, nextStep } = appError;
      this.#topicIncidents.raise(pair.source, { code, cause: sentence(message), nextStep: nextStep ?? '' });
    }
  }

  #prepareOptions() {
    const { source, target, resource } = this.#options;
    return { source, target, resource, state: must(this.#state, 'state topic'), mirrorId: this.#mirrorId };
  }

  #all(): MirroredPartition[] {
    return [...this.#partitions.values()];
  }

  #startPartitions(topic: PreparedTopic): void {
    if (this.#isStopping) return;
    const options = this.#partitionOptions(topic); // one for all: there may be thousands
    for (let index = 0; index < topic.partitions; index++) {
      const name = shardName(topic.sourceTopicId, index);
      if (this.#partitions.has(name)) continue;
      const place = { name, topic: topic.sourceTopic, targetTopic: topic.targetTopic, partition: index };
      const partition = new MirroredPartition(place, options);
      this.#partitions.set(name, partition);
      if (!this.#sharing) partition.hold(soleTerm(this.#stopping.signal)).catch(this.#bug.reject);
    }
    this.#started.add(topic.sourceTopic);
  }

  #partitionOptions(topic: PreparedTopic): MirroredPartitionOptions {
    const { clock } = this.#options;
    const context = this.#contextOf(topic);
    return {
      clock,
      createShard: (place) => this.#createShard(topic, { ...context, ...place }),
      successorOf: (incident, place) => this.#goOnMapped(topic, incident, { ...context, ...place }),
      hasPeers: () => this.#sharing?.hasPeers === true,
      isStopping: () => this.#isStopping,
      closed: this.#closed.signal,
      onIncidentGone: (incident) => this.#emit({ event: 'incident-ended', incident, at: clock.now() }),
      onStopped: (incident, partition) => void this.#recordStop(topic, partition, incident).catch(this.#bug.reject),
    };
  }

  // ---- sharing

  #share(): void {
    const { target, clock, random, resource, process, access, guards } = this.#options;
    if (guards?.ownership === false || this.#isStopping) return;
    const sharing = new Sharing({
      resource,
      mirrorId: this.#mirrorId,
      target,
      clock,
      random,
      process,
      partitions: this.#partitions,
      grant: groupGrant(access),
      onEvent: (event) => this.#emit(event),
      onWarning: (code, message) => this.#warn(code, message, { again: true }),
      onBug: this.#bug.reject,
    });
    this.#sharing = sharing;
    this.#runs.push(sharing.run().catch(this.#bug.reject));
  }

  /** New partitions are shared out, unless that was done less than `afterMs` ago. */
  #dealOut(afterMs: number): void {
    const nowMs = this.#options.clock.monotonic();
    if (this.#partitions.size === this.#dealt.count || nowMs - this.#dealt.atMs < afterMs) return;
    this.#dealt = { count: this.#partitions.size, atMs: nowMs };
    this.#sharing?.changed();
  }

  #isMapped({ topic, partition }: { readonly topic: string; readonly partition: number }): boolean {
    const prepared = this.#topics.get(topic);
    return prepared !== undefined && (prepared.copy.mode === 'mapped' || this.#isMisaligned(prepared, partition));
  }

  /** Who waits for the partition in another process would wait for ever. */
  async #recordStop(topic: PreparedTopic, partition: number, incident: Incident | null): Promise<void> {
    const { sourceTopic, targetTopic, targetTopicId } = topic;
    const state = must(this.#state, 'state topic');
    const place = { targetTopic, partition, sourceTopic };
    if (incident === null && state.stopped(place) === null) return;
    const value = incident && { mirrorId: this.#mirrorId, targetTopicId, code: incident.code, cause: incident.cause };
    await this.#attempt(`That ${sourceTopic}/${partition} has stopped could not be written down`, () =>
      state.putStopped(place, value),
    );
  }

  /** With a goal: what has stopped for good elsewhere is not waited for. */
  #followStopped(): void {
    const { clock } = this.#options;
    const state = must(this.#state, 'state topic'); // read anew each second, for failovers
    for (const each of this.#all()) {
      const { topic: sourceTopic, targetTopic, partition } = each;
      const record = each.isElsewhere ? state.stopped({ targetTopic, partition, sourceTopic }) : null;
      const isMeant = record?.targetTopicId === this.#topics.get(sourceTopic)?.targetTopicId;
      const incident =
        record && isMeant ? incidentElsewhere(each, record, { mirror: this.#name, at: clock.now() }) : null;
      each.stoppedElsewhere(incident);
      if (incident) this.#warn(incident.code, `${incident.cause} ${incident.consequence}`);
    }
  }

  /** Partitions of other processes are as far as the target is; mapped ones as far as is saved, every few seconds. */
  async #followOthers(signal: AbortSignal): Promise<void> {
    const { clock, target, until } = this.#options;
    for (;;) {
      await sleep(clock, until === null ? this.#othersMs() : OTHERS_MS.goal, signal);
      if (signal.aborted) return;
      await this.#attempt('How far other processes are could not be read', () => this.#followMapped());
      if (until !== null) this.#followStopped();
      await measureTarget(
        target,
        this.#all().filter((each) => each.isElsewhere && !this.#isMapped(each)),
      );
    }
  }

  /** How old what is known of the partitions of others may grow. */
  #othersMs(): number {
    const others = this.#all().filter(({ isElsewhere }) => isElsewhere).length;
    return Math.max(OTHERS_MS.idle, (others * 1000) / OTHERS_PER_SECOND);
  }

  async #followMapped(): Promise<void> {
    const mapped = this.#all().filter((each) => each.isElsewhere && this.#isMapped(each));
    if (mapped.length === 0) return;
    const state = must(this.#state, 'state topic');
    await state.load();
    for (const partition of mapped) {
      const { targetTopicId } = must(this.#topics.get(partition.topic), 'prepared topic');
      const place = {
        targetTopic: partition.targetTopic,
        partition: partition.partition,
        sourceTopic: partition.topic,
      };
      const saved = savedPlaces(state, place, targetTopicId);
      if (saved) partition.measureTarget(saved.end);
    }
  }

  /**
   * `latest` is where things stood when the mirror first ran. A topic or partition that appears later is copied whole:
   * what was written to it before we saw it would else be on neither side of the start.
   */
  #startOf(topic: PreparedTopic): MirrorStart {
    const { start } = this.#options.resource.spec;
    const isThere = this.#isBeginning && !this.#started.has(topic.sourceTopic);
    return start.at === 'latest' && !isThere ? { at: 'earliest' } : start;
  }

  #createShard(topic: PreparedTopic, context: ShardContext): RunningShard {
    if (topic.copy.mode === 'mapped') return this.#createMappedShard(topic.copy, context);
    const isMisaligned = this.#isMisaligned(topic, context.partition);
    return isMisaligned ? this.#createMappedShard({ isShared: true }, context) : new Shard(context);
  }

  /** What the shards of all its partitions are given. */
  #contextOf(topic: PreparedTopic): Omit<ShardContext, 'partition' | 'term'> {
    const { source, target, clock, random, pool, resource, guards } = this.#options;
    const state = must(this.#state, 'state topic');
    let gate = this.#gates.get(topic.targetTopic);
    if (!gate) this.#gates.set(topic.targetTopic, (gate = new CleanupGate(target, topic.targetTopic)));
    return {
      mirrorName: this.#name,
      source,
      target,
      clock,
      random,
      pool,
      dataPath: this.#dataPath,
      logStartGate: gate,
      state: {
        // Who begins a term after a failover has stopped the others sees it here, before anything is written.
        load: async () => {
          await state.load();
          refuseFailedOver(state, this.#mirrorId, target);
        },
        partition: (name, index) => {
          const record = partitionOf(state, name, index);
          return record?.targetTopicId === topic.targetTopicId ? record : undefined;
        },
        putPartition: (name, index, value: PartitionState, permit) => {
          const adoptedBelow = partitionOf(state, name, index)?.adoptedBelow;
          const record: PartitionRecord = {
            mirrorId: this.#mirrorId,
            targetTopicId: topic.targetTopicId,
            logStart: value.logStart,
            sequenceOffset: value.sequenceOffset,
            leaderEpochs: value.leaderEpochs.slice(-LEADER_EPOCHS_MAX).map(([epoch, offset]) => [epoch, offset]),
            ...(adoptedBelow === undefined ? {} : { adoptedBelow }),
          };
          return state.putPartition(name, index, record, permit);
        },
        openTransactions: (name, index) => {
          const record = state.openTransactions(name, index);
          return new Map(record?.targetTopicId === topic.targetTopicId ? record.transactions : []);
        },
        putOpenTransactions: (name, index, open, permit) => {
          const record = { targetTopicId: topic.targetTopicId, transactions: [...open] };
          return state.putOpenTransactions(name, index, record, permit);
        },
      },
      sourceTopic: topic.sourceTopic,
      sourceTopicId: topic.sourceTopicId,
      targetTopic: topic.targetTopic,
      targetTopicId: topic.targetTopicId,
      policy: {
        transactions: resource.spec.transactions,
        timestamps: resource.spec.timestamps,
        producerId: guards?.sequence === false ? -1 : this.#producers.data,
        mergeBelowBytes: MERGE_BELOW_BYTES,
        mergedBytesMax: MERGED_BYTES_MAX,
      },
      writer: this.#writer,
      batchBytesMax: topic.batchBytesMax,
      readBatchBytesMax: () => readBatchBytesMax(target, topic.targetTopic),
      dataProducerId: guards?.sequence === false ? -1 : this.#producers.data,
      markerProducerId: this.#producers.marker,
      transactionalIdPrefix: `${TRANSACTIONAL_ID_PREFIX}${this.#mirrorId}`,
      start: this.#startOf(topic),
      expirationMs: () => this.#expirationMs,
      fillOffsetsMax: resource.spec.offsets === 'auto' ? FILL_OFFSETS_MAX : Infinity,
      countBytes: (reason: ReencodeReason | null, bytes: number) => {
        this.#batchesCopied++;
        if (reason === null) this.#bytes.passedThrough += bytes;
        else this.#bytes.reencoded[reason] += bytes;
      },
      onTrouble: (shard, error) => {
        if (this.#isStopping) return; // the end of its connections is our own doing
        this.#warn('SHARD_WAITING', `${shard.topic}/${shard.partition} waits: ${error.message}`, { again: true });
      },
      onIncident: (incident) => this.#emit({ event: 'incident', incident }),
      onIncidentEnded: (incident) => this.#emit({ event: 'incident-ended', incident, at: clock.now() }),
    };
  }

  /** Its offsets were identical until another program wrote to the target. */
  #isMisaligned({ sourceTopic, targetTopic, targetTopicId }: PreparedTopic, partition: number): boolean {
    const place = { targetTopic, partition, sourceTopic };
    return must(this.#state, 'state topic').mapped(place)?.targetTopicId === targetTopicId;
  }

  /** `onMisalignment: map`. Null where the partition stays stopped. */
  async #goOnMapped(topic: PreparedTopic, incident: Incident, context: ShardContext): Promise<RunningShard | null> {
    if (incident.code !== 'SHARD_DIVERGED' || topic.copy.mode === 'mapped') return null;
    const { partition, term } = context;
    try {
      const state = must(this.#state, 'state topic');
      await state.load(); // another process may have decided it
      if (!this.#isMisaligned(topic, partition) && !(await this.#mapBehind(topic, incident, { partition, term })))
        return null;
    } catch (error) {
      if (!(error instanceof KafkaError) && !(error instanceof AppError)) throw error;
      return null;
    }
    const at = incident.offsets?.from;
    this.#warn(
      'SHARD_DIVERGED',
      `${topic.sourceTopic}/${partition} goes on mapped from offset ${at} on: ${incident.cause}`,
    );
    return this.#createShard(topic, context);
  }

  async #mapBehind(
    { sourceTopic, sourceTopicId, targetTopic, targetTopicId }: PreparedTopic,
    { offsets }: Incident,
    { partition, term }: { partition: number; term: ShardContext['term'] },
  ): Promise<boolean> {
    const { target, resource } = this.#options;
    const state = must(this.#state, 'state topic');
    const record = state.partition(targetTopic, partition);
    if (resource.spec.onMisalignment !== 'map' || !offsets || record?.targetTopicId !== targetTopicId) return false;
    return mapBehind({
      target,
      store: state,
      place: { targetTopic, partition, sourceTopic },
      mirrorId: this.#mirrorId,
      targetTopicId,
      sourceTopicId,
      producerIds: this.#producers,
      record,
      at: offsets.from,
      permit: { timeoutMs: TIMES.writeTimeoutMs, isGiven: () => term.mayWrite() },
    });
  }

  #conditionOn({ source, sourceTopic: topic }: ShardContext): TopicFilter | null {
    return filterOf(this.#rules, { name: topic, isInternal: source.topicOf(topic)?.isInternal ?? false });
  }

  #filterFor(filter: TopicFilter, { sourceTopic: topic, partition }: ShardContext): RecordFilter {
    const condition = compileCondition(filter.condition);
    assert('value' in condition, 'conditions are compiled only after their file has been accepted');
    return new RecordFilter([condition.value], {
      place: { topic, partition },
      firstRule: filter.rule,
      deliversOnError: filter.onError === 'deliver',
    });
  }

  #createMappedShard(copy: Pick<OffsetMode, 'isShared'>, context: ShardContext): MappedShard {
    const { target, resource } = this.#options;
    const state = must(this.#state, 'state topic');
    const condition = this.#conditionOn(context);
    return new MappedShard({
      ...context,
      ...(condition ? { policy: { ...context.policy, filter: this.#filterFor(condition, context) } } : {}),
      condition,
      store: {
        load: () => context.state.load(),
        mapped: (place) => state.mapped(place),
        piece: (kind, place, index) => state.piece(kind, place, index),
        putMapped: (records, permit) => state.putMapped(records, permit),
      },
      mirrorId: this.#mirrorId,
      isShared: copy.isShared,
      soleProducerId: this.#producers.data,
      goesOnBehindOthers: resource.spec.onMisalignment === 'map',
      // Two source topics in one target partition are told apart by their producer ids.
      newProducerId: async () => {
        if (!copy.isShared) return this.#producers.data;
        const id = `${TRANSACTIONAL_ID_PREFIX}${this.#mirrorId}-${context.sourceTopic}`;
        return (await initProducerId(target, id)).producerId;
      },
      onShared: ({ topic, partition }, cause) =>
        this.#warn('SHARD_DIVERGED', `${topic}/${partition} goes on beside another writer: ${cause}`, { again: true }),
    });
  }

  // ---- goal

  async #reachGoal(signal: AbortSignal): Promise<MirrorOutcome> {
    const { clock, until } = this.#options;
    for (;;) {
      if (signal.aborted) return 'interrupted';
      if (until?.kind === 'time' && clock.now() >= until.at)
        return this.#hasIncidents() ? 'incidents' : 'until-reached';
      if (until && until.kind !== 'time' && this.#isGoalReached()) {
        if (this.#hasIncidents()) return 'incidents';
        await this.#syncConfigs();
        await this.#around?.check();
        await this.#attempt('The offsets of consumer groups could not be compared', async () => this.#groups?.pass());
        return until.kind === 'offset' ? 'until-reached' : 'caught-up';
      }
      if (until === null && this.#hasNothingLeft()) return 'incidents';
      await sleep(clock, GOAL_POLL_MS, signal);
    }
  }

  #isGoalReached(): boolean {
    if (this.#unprepared.size > 0) return false;
    const all = this.#all();
    if (this.#sharing?.incident && all.every(({ isHeld }) => !isHeld)) return true; // nothing will come to us
    return this.#goals.areReached(all);
  }

  /** Every partition has stopped for good, and no topic may still come. */
  #hasNothingLeft(): boolean {
    const all = this.#all();
    if (this.#topicIncidents.size > 0) return false;
    return all.length > 0 && all.every(({ incident }) => incident !== null && !incident.endsByItself);
  }

  #hasIncidents(): boolean {
    const ofRules = this.#conflictIncidents.size + this.#nameIncidents.size + this.#cycleIncidents.size;
    const ofTopics = this.#topicIncidents.size + ofRules;
    return ofTopics > 0 || Boolean(this.#sharing?.incident) || this.#all().some(({ incident }) => incident);
  }

  /** Also once before 'caught up'. */
  async #syncConfigs(): Promise<void> {
    if (!this.#isFirst()) return; // another process does
    const changes: SyncedChange[] = [];
    for (const topic of this.#topics.values()) {
      const { denied, changed } = await syncConfigs({ ...this.#prepareOptions(), topic });
      this.#judgeSettings(topic.sourceTopic, denied);
      changes.push(...changed);
    }
    this.#emitChanges(changes);
  }

  #emitChanges(changes: readonly SyncedChange[]): void {
    if (changes.length > 0) this.#emit({ event: 'synced', mirror: this.#name, changes, at: this.#options.clock.now() });
  }

  #createAround(state: StateTopic): AroundRecords | null {
    const { resource, source, target, access } = this.#options;
    if (!AroundRecords.isAskedFor(resource)) return null;
    return new AroundRecords({
      resource,
      source,
      target,
      state,
      mirrorId: this.#mirrorId,
      principal: access.principal,
      copied: () =>
        copiedTopics({
          prepared: this.#topics.values(),
          claims: state.claimsOf(this.#mirrorId),
          rules: this.#rules,
          source: (name) => source.topicOf(name),
          target: (name) => target.topicOf(name),
        }),
      isLeader: () => this.#isFirst(),
      onChanges: (changes) => this.#emitChanges(changes),
      onWarning: (code, message) => this.#warn(code, message, { again: true }),
    });
  }

  /** A missing right to settings is an incident that stops nothing; it ends when settings have been compared again. */
  #judgeSettings(topic: string, denied: BrokerError | null): void {
    if (denied === null) return this.#settingIncidents.end(topic);
    const { code, message, nextStep } = toAppError(denied, `settings of topic "${topic}"`);
    this.#settingIncidents.raise(topic, { code, cause: message, nextStep: nextStep ?? '' });
  }

  /** A change of its settings is refused by the next start only: what runs has in memory what it needs. */
  async #verifyState(): Promise<void> {
    try {
      const restored = await must(this.#state, 'state topic').verify();
      if (restored) this.#warn('STATE_TOPIC_INVALID', restored, { again: true });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.#warn(error.code, `${error.message} ${error.nextStep ?? ''}`, { again: true });
    }
  }

  /** Throws AppError MIRROR_FAILED_OVER, which ends the mirror. */
  async #watchFailover(signal: AbortSignal): Promise<void> {
    const state = must(this.#state, 'state topic');
    for (;;) {
      await sleep(this.#options.clock, FAILOVER_LOOK_MS, signal);
      if (signal.aborted) return;
      await state.load().catch((error: unknown) => {
        if (!(error instanceof KafkaError)) throw error; // of a target in trouble the partitions tell
      });
      refuseFailedOver(state, this.#mirrorId, this.#options.target);
    }
  }

  // ---- groups

  #createGroupSync(state: StateTopic): GroupSync | null {
    const { resource, source, target, clock } = this.#options;
    if (resource.spec.sync.groups === null) return null;
    return new GroupSync({
      mirror: this.#name,
      settings: resource.spec.sync.groups,
      source,
      target,
      clock,
      memory: new GroupMemory(state, { mirrorId: this.#mirrorId, clock }),
      isLeader: () => this.#isFirst(),
      readTopics: () =>
        readSyncedTopics({
          topics: this.#topics.values(),
          partitions: this.#all(),
          state,
          isWhole: resource.spec.start.at === 'earliest',
        }),
      onEvent: (event) => this.#emit(event),
      onFailure: (error) => {
        const { code, message } = toAppError(error, 'offsets of consumer groups');
        this.#warn(code, `${message}; tried again`, { again: true });
      },
    });
  }

  /** Of several processes the one that copies the first partition: each partition is one process's at a time. */
  #isFirst(): boolean {
    const first = this.#all().reduce<MirroredPartition | null>((a, b) => (a && a.name < b.name ? a : b), null);
    return first?.isHeld === true;
  }

  // ---- end

  /** Waits for what is on its way, in the background too, but not for a cluster that does not answer any more. */
  async #stop({ drains }: { readonly drains: boolean }): Promise<void> {
    const { clock } = this.#options;
    const endsMs = clock.monotonic() + STOP_WITHIN_MS;
    this.#isStopping = true;
    const isAlone = this.#sharing?.hasPeers !== true; // else another process goes on with them
    if (drains && isAlone) await drainTransactions(this.#all(), { clock, withinMs: DRAIN_WITHIN_MS });
    const saved = new AbortController();
    const saving = Promise.all(
      this.#all().flatMap((partition) => [partition.saveMap(), partition.saveOpenTransactions()]),
    ).finally(() => saved.abort());
    await Promise.race([saving, sleep(clock, SAVE_WITHIN_MS, saved.signal)]); // while they are still ours to write
    this.#stopping.abort();
    this.#sharing?.stop();
    const deadline = new AbortController();
    const holding = this.#all().map((partition) => partition.finished().catch(this.#bug.reject));
    const all = Promise.all([...this.#runs, ...holding]).finally(() => deadline.abort());
    await Promise.race([all, sleep(clock, Math.max(0, endsMs - clock.monotonic()), deadline.signal)]);
    if (drains && isAlone) await this.#tellOpen();
    this.#sharing?.close(); // before what is still in flight is lost: it may land, and nobody may take over as if it had not
    this.#closed.abort();
    this.#dataPath.close(); // what is still in flight is lost to its shards, which then end
  }

  async #tellOpen(): Promise<void> {
    const { clock } = this.#options;
    const message = await describeOpen(this.#all(), { clock, withinMs: DESCRIBE_OPEN_WITHIN_MS });
    if (message === null) return;
    this.#emit({ event: 'warning', mirror: this.#name, code: 'SHARD_TRANSACTION_OPEN', message, at: clock.now() });
  }

  // ---- events

  /** Trouble that lasts is an incident: one for each cluster, however many partitions wait for it. */
  async #watchOutages(signal: AbortSignal): Promise<void> {
    const { clock, source, target } = this.#options;
    const outages = new Outages({
      mirror: this.#name,
      source,
      target,
      clock,
      onEvent: (event) => this.#emit(event),
    });
    for (;;) {
      await sleep(clock, OUTAGE_POLL_MS, signal);
      if (signal.aborted) return;
      outages.check(this.#all());
      this.#sharing?.tell();
    }
  }

  /** What is fetched brings the source's offsets along; for partitions that wait or have stopped they are asked. */
  async #measureRepeatedly(signal: AbortSignal): Promise<void> {
    const { clock, source } = this.#options;
    for (;;) {
      await sleep(clock, MEASURE_MS, signal);
      if (signal.aborted) return;
      const now = clock.now();
      const othersMs = this.#othersMs();
      const stale = this.#all().filter(
        // The offsets of a topic created anew say nothing of the one that was copied.
        ({ measuredAt, isElsewhere, incident }) =>
          (measuredAt ?? 0) <= now - (isElsewhere ? othersMs : MEASURE_MS) && incident?.code !== 'TOPIC_RECREATED',
      );
      await measureSource(source, stale);
    }
  }

  async #reportRepeatedly(signal: AbortSignal): Promise<void> {
    const { clock, progressMs } = this.#options;
    for (;;) {
      await sleep(clock, progressMs * Math.max(1, this.#partitions.size / SHARDS_PER_REPORT), signal);
      if (signal.aborted) return;
      this.#emit({ event: 'progress', status: this.status() });
    }
  }

  /** Once per text, unless it is worth saying again. */
  #warn(code: ErrorCode, message: string, options: { again?: boolean } = {}): void {
    if (this.#isStopping) return; // the end of its connections is our own doing
    const text = options.again ? this.#limit.admit(code, message) : this.#warned.has(message) ? null : message;
    if (text === null) return;
    if (!options.again) this.#warned.add(message); // texts that come again name offsets and times: they would pile up
    this.#emit({ event: 'warning', mirror: this.#name, code, message: text, at: this.#options.clock.now() });
  }

  #emit(event: RunEvent): void {
    this.#options.onEvent(event);
  }
}

/** Of a process that writes to everything, whoever else does, until it stops. */
function soleTerm(stopping: AbortSignal): Omit<Term, 'shard' | 'quietAtMs'> {
  return { takeover: 'evicted', lost: stopping, mayWrite: () => !stopping.aborted, release: () => {} };
}

/** Null where nothing of it can be read: whose it is says so. */
function savedPlaces(state: StateTopic, place: MappedPlace, targetTopicId: string): SavedPlaces | null {
  try {
    return SavedPlaces.of(state, place, targetTopicId);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

/** One record that cannot be read stops its partition alone. */
function partitionOf(state: StateTopic, topic: string, partition: number): PartitionRecord | null {
  try {
    return state.partition(topic, partition);
  } catch (error) {
    throw error instanceof AppError ? stateUnreadable(error) : error;
  }
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}
