import { expect, test } from 'vitest';
import type { Backups } from '#store/backups.ts';
import { takeDueBackup } from './backup-schedule.ts';

const HOUR = 3_600_000;

function played(...takenAt: readonly number[]): Pick<Backups, 'list' | 'take' | 'remove'> & { names: () => string[] } {
  let files = takenAt.map((at) => ({ name: `at ${at}`, takenAt: at }));
  let next = 0;
  return {
    names: () => files.map(({ name }) => name),
    list: () => files.toSorted((a, b) => b.takenAt - a.takenAt),
    take: async () => {
      const made = { name: 'new', takenAt: 1000 * HOUR + next++ };
      files = [...files, made];
      return {
        ...made,
        summary: { takenAt: made.takenAt, schema: '', keyId: '', rows: {}, digest: '', checkpoints: [] },
      };
    },
    remove: async (name) => {
      files = files.filter((file) => file.name !== name);
    },
  };
}

test('a backup is taken when there is none, or the newest is old enough', async () => {
  expect(await takeDueBackup(played(), { everyMs: HOUR, keep: 3 }, 5 * HOUR)).toBe('new');
  expect(await takeDueBackup(played(4 * HOUR), { everyMs: HOUR, keep: 3 }, 5 * HOUR)).toBe('new');
  expect(await takeDueBackup(played(4 * HOUR + 1), { everyMs: HOUR, keep: 3 }, 5 * HOUR)).toBeNull();
  expect(await takeDueBackup(played(), { everyMs: null, keep: 3 }, 5 * HOUR)).toBeNull();
});

test('the oldest make room for the new one, which stays', async () => {
  const backups = played(1, 2, 3);
  await takeDueBackup(backups, { everyMs: HOUR, keep: 2 }, 5 * HOUR);
  expect(backups.names()).toEqual(['at 3', 'new']);
});
