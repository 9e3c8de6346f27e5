/**
 * Which client quotas the target should have because the source has them, and what has to change for it. Pure. A value
 * that somebody else has set on the target stays unless `overwrite` asks for it; one that we have set follows the source,
 * and is taken away with the source's.
 */
import { compileNames } from '#contract/name-pattern.ts';
import type { QuotaSync } from '#contract/sync-settings.ts';
import { entityText, type ClientQuota, type QuotaChange, type QuotaEntity } from '#kafka/client-quotas.ts';

/** One value of one entity that this mirror has set, or was about to: then it may have the value before it still. */
export interface AppliedQuota {
  readonly entity: QuotaEntity;
  readonly key: string;
  readonly value: number;
  readonly before: number | null;
}

export interface QuotaDifference {
  readonly entity: QuotaEntity;
  readonly key: string;
  /** Null where there is none. */
  readonly source: number | null;
  readonly target: number | null;
  /** `forget`: what we had set is not there any more, nor wanted. */
  readonly action: 'set' | 'remove' | 'keep' | 'forget';
  readonly reason: string;
}

export interface QuotaFacts {
  readonly source: readonly ClientQuota[];
  readonly target: readonly ClientQuota[];
  readonly applied: Iterable<AppliedQuota>;
}

/** Throws nothing; in the order of the source, then what only we have left on the target. */
export function diffQuotas({ source, target, applied }: QuotaFacts, policy: QuotaSync): QuotaDifference[] {
  const isMeant = compileNames(policy);
  const meant = source.filter(({ entity }) => entity.every(({ name }) => isMeant(name ?? DEFAULT)));
  const [wanted, there] = [valuesOf(meant), valuesOf(target)];
  const ours = new Map([...applied].map((each) => [keyOf(each), each]));
  const differences = [...wanted.values()].flatMap((value): QuotaDifference[] => {
    const current = there.get(keyOf(value))?.value ?? null;
    if (current === value.value) return [];
    const isOurs = current === null || isSetByUs(ours.get(keyOf(value)), current);
    const verdict =
      isOurs || policy.overwrite
        ? { action: 'set' as const, reason: 'set on the source' }
        : {
            action: 'keep' as const,
            reason: 'somebody else has set it on the target: sync.quotas.overwrite replaces it',
          };
    return [{ entity: value.entity, key: value.key, source: value.value, target: current, ...verdict }];
  });
  const left = [...ours.values()].flatMap((each): QuotaDifference[] => {
    const current = there.get(keyOf(each))?.value ?? null;
    if (wanted.has(keyOf(each))) return [];
    const { entity, key } = each;
    const action = current !== null && isSetByUs(each, current) ? 'remove' : 'forget';
    return [
      { entity, key, source: null, target: current, action, reason: 'gone from the source, and set by this mirror' },
    ];
  });
  return [...differences, ...left];
}

/** As one request takes them: all values of an entity together. */
export function quotaChanges(differences: readonly QuotaDifference[]): QuotaChange[] {
  const changed = differences.filter(({ action }) => action === 'set' || action === 'remove');
  return [...Map.groupBy(changed, ({ entity }) => entityText(entity)).values()].map((of) => ({
    entity: of[0]?.entity ?? [],
    set: new Map(of.flatMap(({ key, action, source }) => (action === 'set' && source !== null ? [[key, source]] : []))),
    remove: of.flatMap(({ key, action }) => (action === 'remove' ? [key] : [])),
  }));
}

/** What stands in a file for an entity without a name of its own. */
const DEFAULT = '<default>';

interface QuotaValue {
  readonly entity: QuotaEntity;
  readonly key: string;
  readonly value: number;
}

function valuesOf(quotas: readonly ClientQuota[]): ReadonlyMap<string, QuotaValue> {
  const all = quotas.flatMap(({ entity, values }) => [...values].map(([key, value]) => ({ entity, key, value })));
  return new Map(all.map((value) => [keyOf(value), value]));
}

export function keyOf({ entity, key }: Pick<QuotaValue, 'entity' | 'key'>): string {
  return `${key} of ${entityText(entity)}`;
}

function isSetByUs(applied: AppliedQuota | undefined, current: number): boolean {
  return applied !== undefined && (applied.value === current || applied.before === current);
}
