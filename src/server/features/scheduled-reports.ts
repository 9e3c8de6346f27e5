import { auditedEffect, SYSTEM } from '../audited-effect.ts';
import type { Chore } from '../chores.ts';
import { periodBefore, type Period } from './compliance-report.ts';
import type { Context } from './context.ts';
import { isMade, makeReport } from './kept-reports.ts';

const LOOK_MS = 10 * 60_000;
const HOUR_MS = 3_600_000;

/**
 * Makes the report about each period that is over, from `runHour` of the day after it on. What is made is known from the reports
 * themselves: a server that was away makes up for it, and one that restarts makes none twice.
 */
export function scheduledReports({ ports, configuration }: Pick<Context, 'ports' | 'configuration'>): Chore {
  return {
    name: 'scheduled compliance report',
    everyMs: LOOK_MS,
    async run() {
      const { values } = configuration.resolved;
      if (!values['compliance.schedule.enabled']) return;
      const wanted = (['daily', 'weekly', 'monthly'] as const).filter(
        (period) => values[`compliance.schedule.${period}`],
      );
      for (const period of wanted) {
        const { to } = periodBefore(period, ports.clock.now());
        // Of a time before there was a log nothing can be said.
        const first = await ports.auditTrail.entry(0);
        if (first === null || first.ts >= to) continue;
        const isTime = ports.clock.now() >= to + values['compliance.schedule.runHour'] * HOUR_MS;
        if (isTime && !(await isMade(ports, period))) await make(period);
      }
    },
  };

  function make(period: Period): Promise<unknown> {
    const event = { actor: SYSTEM, action: 'compliance.generate', resource: { type: 'compliance', id: period } };
    return auditedEffect(ports, event, (store) => makeReport(ports, { period, actor: SYSTEM, by: null, store }));
  }
}
