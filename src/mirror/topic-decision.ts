/**
 * What a mirror does with one target topic, from facts alone: what `lockstep plan` shows is what a run does. Pure.
 *
 * A claim holds for the topic id that it names. The claim of a topic that is gone says nothing about a topic that is
 * created under its name: that one is fresh, and must be empty like any other.
 */
import type { Finding, SettingDifference, TopicAction } from '#contract/plan.ts';
import type { ConfigSync } from '#contract/sync-settings.ts';
import type { ConfigChange, Configs } from '#kafka/configs.ts';
import { chooseMode, findModeChange, IDENTICAL, type ModeFacts, type OffsetMode } from './offset-mode.ts';
import { changeOf, compareConfigs, desiredConfigs, type ConfigPolicy, type TimestampPolicy } from './topic-configs.ts';
import type { TargetFacts, TopicFacts } from './topic-facts.ts';

export interface DecisionOptions {
  readonly mirrorId: string;
  readonly timestamps: TimestampPolicy;
  readonly sync: { readonly configs: ConfigSync | null; readonly partitions: boolean };
  /** Null: the source's, or as much as the target can hold. */
  readonly targetReplicationFactor: number | null;
  readonly sourceName: string;
  readonly targetName: string;
  /** Without them offsets are identical. */
  readonly asked?: ModeFacts;
}

export interface TopicDecision {
  readonly copy: OffsetMode;
  readonly action: TopicAction;
  readonly replicationFactor: number;
  /** Number of partitions to be added up to; null when nothing is to be added to an existing topic. */
  readonly growTo: number | null;
  /** For a topic to be created all its settings, else the differences. */
  readonly configs: ConfigChange;
  /** From the settings of an existing target topic, and why; what stays as it is too. */
  readonly differences: readonly SettingDifference[];
  readonly findings: readonly Finding[];
}

const NOTHING: ConfigChange = { set: new Map(), remove: [] };
const NO_CONFIGS: Configs = new Map();

export function decideTopic(facts: TopicFacts, target: TargetFacts, options: DecisionOptions): TopicDecision {
  const replicationFactor = replicationFactorOf(facts, target, options);
  const policy: ConfigPolicy = {
    timestamps: options.timestamps,
    replicationFactor,
    known: target.knownConfigs,
    sync: options.sync.configs,
  };
  const holds = isOurs(facts, options) ? facts.claim : null;
  const copy = options.asked ? chooseMode(facts, holds, options.asked) : IDENTICAL;
  const changed = options.asked ? findModeChange(facts, holds, options.asked) : null;
  const refusals = changed ? [changed] : findRefusals(facts, { ...options, copy });
  const findings = [...findReplication(facts, target, options), ...refusals];
  if (findings.some(({ severity }) => severity === 'error')) {
    return { copy, action: 'refused', replicationFactor, growTo: null, configs: NOTHING, differences: [], findings };
  }
  const partitions = facts.source.partitions.length;
  if (!facts.target) {
    const set = desiredConfigs(facts.sourceConfigs ?? NO_CONFIGS, policy);
    return {
      copy,
      action: 'create',
      replicationFactor,
      growTo: null,
      configs: { set, remove: [] },
      differences: [],
      findings,
    };
  }
  // Settings of a topic that is not ours alone are nobody's copy.
  const differences = copy.isShared ? [] : configDifferences(facts, policy);
  const growTo = facts.target.metadata.partitions.length < partitions ? partitions : null;
  const action = isOurs(facts, options) && !mustClaim(facts, copy) ? 'resume' : 'adopt';
  return { copy, action, replicationFactor, growTo, configs: changeOf(differences), differences, findings };
}

/** Of the settings of an existing target topic; none where they cannot be read. */
export function configDifferences({ sourceConfigs, target }: TopicFacts, policy: ConfigPolicy): SettingDifference[] {
  return target?.configs ? compareConfigs(sourceConfigs, target.configs, policy) : [];
}

function replicationFactorOf(
  { source, target: existing }: TopicFacts,
  target: TargetFacts,
  options: DecisionOptions,
): number {
  if (existing) return existing.metadata.partitions[0]?.replicas.length ?? 1;
  return options.targetReplicationFactor ?? Math.min(source.partitions[0]?.replicas.length ?? 1, target.brokerCount);
}

function findReplication(
  { target: existing, pair }: TopicFacts,
  target: TargetFacts,
  options: DecisionOptions,
): Finding[] {
  const wanted = options.targetReplicationFactor;
  if (existing || wanted === null || wanted <= target.brokerCount) return [];
  return [
    {
      code: 'CONFIG_INVALID',
      severity: 'error',
      message: `Topic "${pair.target}" is to have ${wanted} replicas, and cluster "${options.targetName}" has ${target.brokerCount} broker${target.brokerCount === 1 ? '' : 's'}.`,
      nextStep: `Set targetReplicationFactor to ${target.brokerCount} or less, or leave it out.`,
    },
  ];
}

/** Whether the claim is this mirror's, for the very topic that exists. */
function isOurs({ claim, target }: TopicFacts, { mirrorId }: DecisionOptions): boolean {
  return (
    claim !== null && target !== null && claim.mirrorId === mirrorId && claim.targetTopicId === target.metadata.topicId
  );
}

/** The claim says that the target is one source topic's alone, which it is not any more. */
function mustClaim({ claim }: TopicFacts, copy: OffsetMode): boolean {
  return copy.isShared && claim?.mode !== 'shared';
}

function findRefusals(facts: TopicFacts, options: DecisionOptions & { readonly copy: OffsetMode }): Finding[] {
  const { claim, target } = facts;
  if (!target) return [];
  const holds = claim?.targetTopicId === target.metadata.topicId ? claim : null;
  if (holds && holds.mirrorId !== options.mirrorId) return [claimed(facts, `mirror "${holds.mirrorName}"`)];
  const { isShared } = options.copy;
  if (holds && holds.sourceTopic !== facts.pair.source && !isShared)
    return [claimed(facts, `topic "${holds.sourceTopic}" in this mirror`)];
  const isSameName = holds?.sourceTopic === facts.pair.source;
  if (holds && isSameName && holds.sourceTopicId !== facts.source.topicId) return [sourceRecreated(facts, options)];
  const mayAdopt = isShared && options.asked?.offsets === 'mapped' && claim?.mirrorId !== options.mirrorId;
  if (!holds && !target.isEmpty && !mayAdopt)
    return [claim?.mirrorId === options.mirrorId ? targetRecreated(facts, options) : notEmpty(facts, options)];
  // Another source topic of a merge may have created it a moment ago.
  const isOurs = holds !== null || (facts.pair.isMerged === true && target.isEmpty);
  return findPartitions(facts, { ...options, mayGrow: isOurs && options.sync.partitions });
}

function findPartitions(
  { pair, source, target }: TopicFacts,
  options: DecisionOptions & { readonly mayGrow: boolean; readonly copy: OffsetMode },
): Finding[] {
  const has = target?.metadata.partitions.length ?? 0;
  const needed = source.partitions.length;
  if (has === needed || (has > needed && options.copy.isShared) || (has < needed && options.mayGrow)) return [];
  const message = `Topic "${pair.target}" on cluster "${options.targetName}" has ${has} partitions, and "${pair.source}" on "${options.sourceName}" has ${needed}.`;
  const nextStep =
    has > needed
      ? 'Partitions cannot be taken away: delete the target topic, and it is created anew; or give the copy another name with "to".'
      : `Add partitions to it (kafka-topics.sh --alter --topic ${pair.target} --partitions ${needed})${options.sync.partitions ? '' : ', or set sync.partitions: true'}.`;
  return [{ code: 'TOPIC_PARTITIONS_DIFFER', severity: 'error', message, nextStep }];
}

function claimed({ pair }: TopicFacts, by: string): Finding {
  return {
    code: 'TOPIC_CLAIMED',
    severity: 'error',
    message: `Topic "${pair.target}" is the target of ${by}.`,
    nextStep:
      'Give the copy another name with "to"; or, if the other copy is not needed any more, end its mirror and delete the topic, and it is created anew.',
  };
}

function notEmpty({ pair }: TopicFacts, { targetName }: DecisionOptions): Finding {
  return {
    code: 'TOPIC_NOT_EMPTY',
    severity: 'error',
    message: `Topic "${pair.target}" on cluster "${targetName}" holds, or once held, records that this mirror did not write.`,
    nextStep:
      'Give the copy another name with "to"; or, if nobody needs that data, delete the topic, and it is created anew; or, to copy beside that data, write "offsets: mapped".',
  };
}

function sourceRecreated({ pair }: TopicFacts, { sourceName }: DecisionOptions): Finding {
  return {
    code: 'TOPIC_RECREATED',
    severity: 'error',
    message: `Topic "${pair.source}" on cluster "${sourceName}" was deleted and created anew since it was copied: its offsets mean other records.`,
    nextStep: `To keep the copy of the old topic, give the new one another name with "to"; to copy the new one, delete topic "${pair.target}" on the target, and it is created anew.`,
  };
}

function targetRecreated({ pair }: TopicFacts, { targetName }: DecisionOptions): Finding {
  return {
    code: 'TOPIC_RECREATED',
    severity: 'error',
    message: `Topic "${pair.target}" on cluster "${targetName}" was deleted and created anew by somebody else, and holds records that this mirror did not write.`,
    nextStep:
      'Give the copy another name with "to"; or, if nobody needs that data, delete the topic, and it is copied anew.',
  };
}
