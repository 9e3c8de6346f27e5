/** What is said of settings that nothing was built from: by the table, or that nobody knows them. */
import { nearest } from '#util/nearest.ts';
import { isSecretKey } from '../security-text.ts';
import type { Report, Setting } from '../report.ts';
import { fateOf, rowOf, settingRows, type Level } from './settings.ts';

/** How one of several clients of a cluster logs in. */
const ONE_CLIENT = /^(?:(?:source|target)\.)?(?:consumer|producer|admin)\.(?:override\.)?(?:sasl|ssl|security)\./;

/** Tells what becomes of `setting`, which is called `key` at these levels. */
export function tellLeftover(report: Report, setting: Setting, key: string, levels: readonly Level[]): void {
  if (report.isTold(setting)) return;
  if (ONE_CLIENT.test(key)) {
    const note = 'A Cluster has one login for everything that is done there.';
    return report.tell(setting, 'no-equal', {
      note,
      step: `See that its login may do what ${setting.name} was for.`,
      isSecret: true,
    });
  }
  const row = levels.map((level) => rowOf(level, key)).find((each) => each !== null);
  if (!row) {
    const known = settingRows.filter(({ level }) => levels.includes(level)).map((each) => each.key);
    const near = nearest(key, known);
    const note = near === null ? undefined : `Did somebody mean "${near}"?`;
    return report.tell(setting, 'unknown', { note, step: `See what ${setting.name} was to do.`, isSecret: true });
  }
  const isSecret = isSecretKey(key);
  const fate = fateOf(row);
  if (row.isDecided || fate === null)
    report.tell(setting, 'exact', { note: 'No mirror and no cluster here uses it.', isSecret });
  else report.tell(setting, fate, { note: row.how, isSecret });
}
