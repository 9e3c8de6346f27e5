/** What the parts of a Mirror's spec share: how settings of a pair are found, read and told. */
import type { Fate } from '#contract/migration.ts';
import { javaTrim, listOf } from '../java/properties.ts';
import type { Filter, includedBy, Named } from '../name-filter.ts';
import type { Outcome, Setting } from '../report.ts';
import type { Connector, PairContext } from './model.ts';

const HOUR_MS = 3_600_000;

/** A key of the Mirror, as the account names it. */
export function keyOf({ name }: PairContext, key: string): string {
  return `Mirror ${name}: spec.${key}`;
}

export function tell(context: PairContext, setting: Setting | undefined, fate: Fate, outcome: Outcome = {}): void {
  context.report.tell(setting, fate, outcome);
}

/** A setting, under the name that it had before, too. */
export function named(context: PairContext, connector: Connector, ...keys: readonly string[]): Setting | undefined {
  const found = keys.flatMap((key) => context.pair.get(connector, key) ?? []);
  for (const hidden of found.slice(1))
    tell(context, hidden, 'exact', { note: `It is hidden by ${found[0]?.name ?? 'another'}.` });
  return found[0];
}

/** `Boolean.parseBoolean`, as Kafka's configurations read it but for what is neither. */
export function flag(setting: Setting | undefined, byDefault: boolean): boolean {
  return setting === undefined ? byDefault : javaTrim(setting.value).toLowerCase() === 'true';
}

/** A list of Java expressions as patterns of ours; null, with a step, where there is no equal. */
export function filterOf(
  context: PairContext,
  {
    setting,
    byDefault,
    named,
    read,
    to,
    otherwise,
  }: {
    readonly setting: Setting | undefined;
    readonly byDefault: readonly string[];
    readonly named: Named;
    readonly read: typeof includedBy;
    readonly to: string;
    readonly otherwise: string;
  },
): Filter | null {
  const result = read(setting === undefined ? byDefault : listOf(setting.value), named);
  if ('value' in result) {
    const isDotted =
      setting !== undefined &&
      [...result.value.match, ...result.value.exclude].some((each) => /^\/.*[a-z0-9]\.[a-z0-9]/.test(each));
    const note = isDotted
      ? 'A "." matches any character, as in MirrorMaker 2; a name without slashes is only that name.'
      : undefined;
    tell(context, setting, 'exact', { to: keyOf(context, to), note });
    return result.value;
  }
  tell(context, setting, 'no-equal', { to: keyOf(context, to), note: `${result.problem}.`, step: otherwise });
  return null;
}

/** Seconds of theirs as milliseconds of ours, within what ours admit; null where nothing is to be written. */
export function millisecondsOf(context: PairContext, setting: Setting | undefined, to: string): number | null {
  if (setting === undefined) return null;
  const text = javaTrim(setting.value);
  const seconds = /^\+?\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds > 0)) {
    tell(context, setting, 'no-equal', {
      note: 'It is no number of seconds.',
      step: `Write ${to} of the Mirror ${context.name} if it is not 5 s.`,
    });
    return null;
  }
  const isLong = seconds * 1000 > HOUR_MS;
  tell(context, setting, isLong ? 'different' : 'exact', {
    to: keyOf(context, to),
    note: isLong ? 'At most an hour.' : undefined,
  });
  return Math.min(seconds * 1000, HOUR_MS);
}
