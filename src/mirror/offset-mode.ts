/**
 * In which way the offsets of a topic are copied, and why. Pure, so that `lockstep plan` shows what a run does; what was
 * chosen at the first copy is in the claim, and stays.
 */
import type { Finding } from '#contract/plan.ts';
import type { MirrorResource } from '#contract/resources.ts';
import { FILL_OFFSETS_MAX } from './log-start.ts';
import type { ClaimRecord } from './state-records.ts';
import type { TopicFacts } from './topic-facts.ts';

/** What was asked about a topic that has not been copied yet. */
export interface ModeFacts {
  readonly offsets: MirrorResource['spec']['offsets'];
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
    return { mode: 'mapped', isShared, why: isMerged ? MERGED : why };
  }
  if (asked.offsets === 'identical') return IDENTICAL;
  if (isMerged) return { mode: 'mapped', isShared: true, why: MERGED };
  if (asked.offsets === 'mapped') {
    const hasData = facts.target !== null && !facts.target.isEmpty;
    const why = hasData ? 'the file says so, and the target holds data of its own' : 'the file says so';
    return { mode: 'mapped', isShared: hasData, why };
  }
  const why = whyNotIdentical(facts, asked);
  return why === null ? IDENTICAL : { mode: 'mapped', isShared: false, why };
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
  offsets: ModeFacts['offsets'],
): Finding | null {
  if (!holds || offsets === 'auto') return null;
  const recorded = (holds.mode ?? 'identical') === 'identical' ? 'identical' : 'mapped';
  if (recorded === offsets) return null;
  return {
    code: 'MIRROR_CHANGED',
    severity: 'error',
    message: `Topic "${pair.target}" is copied with ${recorded} offsets since its first copy, and the file says "offsets: ${offsets}".`,
    nextStep: `Write "offsets: ${recorded}" or "offsets: auto"; or have the copy made anew: lockstep rebuild ${pair.source} -f FILE`,
  };
}
