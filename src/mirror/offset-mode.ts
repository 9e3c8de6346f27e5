/**
 * In which way the offsets of a topic are copied, and why. Pure, so that `lockstep plan` shows what a run does; what was
 * chosen at the first copy is in the claim, and stays.
 */
import type { Finding } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import type { TopicFilter } from '#contract/topic-rules.ts';
import { FILL_OFFSETS_MAX } from './log-start.ts';
import type { ClaimRecord } from './state-records.ts';
import type { TopicFacts } from './topic-facts.ts';

/** What was asked about a topic that has not been copied yet. */
export interface ModeFacts {
  readonly offsets: MirrorResource['spec']['offsets'];
  /** The condition on its records, where there is one. */
  readonly filter?: TopicFilter | null;
  /** The largest offset at which one of its partitions begins; null where it is not known. */
  readonly start: number | null;
  /** Whether offsets without a record can be filled on the target; null where that was not asked or is not known. */
  readonly mayFillHoles: boolean | null;
}

export interface OffsetMode {
  readonly mode: 'identical' | 'mapped';
  /** Others write to the target topic as well. */
  readonly isShared: boolean;
  /** Of mapped offsets; null of identical ones. */
  readonly why: string | null;
}

export const IDENTICAL: OffsetMode = { mode: 'identical', isShared: false, why: null };

/** `holds`: the claim of this mirror for the very topic that exists; null where nothing was copied. */
export function chooseMode(facts: TopicFacts, holds: ClaimRecord | null, asked: ModeFacts): OffsetMode {
  const isMerged = facts.pair.isMerged ?? false;
  if (holds) {
    if ((holds.mode ?? 'identical') === 'identical') return IDENTICAL;
    const isShared = isMerged || holds.mode === 'shared';
    const why = isShared ? 'mapped from the first copy on, beside other writers' : 'mapped from the first copy on';
    return { mode: 'mapped', isShared, why: withCondition(isMerged ? MERGED : why, asked) };
  }
  if (asked.offsets === 'identical') return IDENTICAL;
  if (isMerged) return { mode: 'mapped', isShared: true, why: withCondition(MERGED, asked) };
  if (asked.offsets === 'mapped') {
    const hasData = facts.target !== null && !facts.target.isEmpty;
    const why = hasData ? 'the file says so, and the target holds data of its own' : 'the file says so';
    return { mode: 'mapped', isShared: hasData, why: withCondition(why, asked) };
  }
  if (asked.filter) return { mode: 'mapped', isShared: false, why: conditionOf(asked.filter) };
  const why = whyNotIdentical(facts, asked);
  return why === null ? IDENTICAL : { mode: 'mapped', isShared: false, why };
}

/** Where a topic is mapped anyway, its condition is told all the same. */
function withCondition(why: string, { filter }: ModeFacts): string {
  return filter ? `${why}; ${conditionOf(filter)}` : why;
}

function conditionOf({ rule, condition, onError }: TopicFilter): string {
  const others = onError === 'deliver' ? ', and those of which it says neither yes nor no' : '';
  return `only records for which topics[${rule}].condition holds${others}: ${condition}`;
}

const MERGED = 'several source topics go into this target topic';

function whyNotIdentical({ sourceConfigs }: TopicFacts, { start, mayFillHoles }: ModeFacts): string | null {
  if ((start ?? 0) > FILL_OFFSETS_MAX)
    return `a partition begins at offset ${(start ?? 0).toLocaleString('en-US')}, and more than ${FILL_OFFSETS_MAX.toLocaleString('en-US')} offsets would have to be filled`;
  const isCompacted = sourceConfigs?.get('cleanup.policy')?.value?.includes('compact') ?? false;
  if (isCompacted && mayFillHoles === false)
    return 'the topic is compacted, and the right to fill its holes is missing (ALTER or CLUSTER_ACTION on the target cluster)';
  return null;
}

/** What was chosen at the first copy is not what the file says now; null where it is. */
export function findModeChange(
  { pair }: TopicFacts,
  holds: ClaimRecord | null,
  { offsets, filter }: Pick<ModeFacts, 'offsets' | 'filter'>,
): Finding | null {
  const recorded = (holds?.mode ?? 'identical') === 'identical' ? 'identical' : 'mapped';
  if (holds && filter && recorded === 'identical') return conditionTooLate(pair, filter);
  if (!holds || offsets === 'auto') return null;
  if (recorded === offsets) return null;
  return {
    code: 'MIRROR_CHANGED',
    severity: 'error',
    message: `Topic "${pair.target}" is copied with ${recorded} offsets since its first copy, and the file says "offsets: ${offsets}".`,
    nextStep: `Write "offsets: ${recorded}" or "offsets: auto"; or have the copy made anew: lockstep rebuild ${pair.source} -f FILE`,
  };
}

function conditionTooLate({ source, target }: TopicFacts['pair'], { rule }: TopicFilter): Finding {
  return {
    code: 'MIRROR_CHANGED',
    severity: 'error',
    message: `Topic "${target}" is copied with identical offsets since its first copy, and the file has a condition for it (topics[${rule}]): what it leaves out would be missing among the offsets.`,
    nextStep: `Take the condition out; or have the copy made anew, with mapped offsets: lockstep rebuild ${source} -f FILE`,
  };
}
