import type { Chore } from '../chores.ts';
import { auditedEffect, SYSTEM } from '../audited-effect.ts';
import type { Context } from './context.ts';

const LOOK_MS = 10 * 60_000;

/** Takes a backup when the newest is older than `backups.every`, and lets the oldest go beyond `backups.keep`. */
export function scheduledBackups({ ports, configuration }: Pick<Context, 'ports' | 'configuration'>): Chore {
  const { backups, clock } = ports;
  return {
    name: 'scheduled backup',
    everyMs: LOOK_MS,
    async run() {
      const { 'backups.every': everyMs, 'backups.keep': keep } = configuration.resolved.values;
      if (backups === null || everyMs === null) return;
      const [newest] = backups.list();
      if (newest !== undefined && clock.now() - newest.takenAt < everyMs) return;
      const act = (action: string, id: string, effect: () => Promise<unknown>) =>
        auditedEffect(ports, { actor: SYSTEM, action, resource: { type: 'backup', id } }, effect);
      await act('backup.take', 'scheduled', () => backups.take());
      // The one that the next start restores is still needed.
      const old = backups.list().slice(keep);
      for (const { name } of old.filter((file) => file.name !== backups.requested()))
        await act('backup.delete', name, () => backups.remove(name));
    },
  };
}
