/** `sync.groups` of a mirror: which consumer groups keep their places on the target. null means none. */
import { z } from 'zod';
import { must, refuse } from './complaints.ts';
import { compileNames, parseNamePattern } from './name-pattern.ts';

const patterns = () =>
  z.array(
    z.string(must('a group id or a /regular expression/')).check((context) => {
      const parsed = parseNamePattern(context.value);
      if ('problem' in parsed) refuse(context, parsed.problem);
    }),
    must('a list of group ids and /regular expressions/'),
  );

const mapping = z.strictObject({
  match: patterns().min(1, must('a list of at least one group id or /regular expression/')),
  exclude: patterns().default([]),
  /** How often offsets are compared. */
  everyMs: z
    .int(must('a whole number of milliseconds from 100 to 3600000'))
    .min(100, must('at least 100 (milliseconds)'))
    .max(3_600_000, must('at most 3600000 (milliseconds, an hour)'))
    .default(5_000),
  /** What becomes of the copy of a group that the source does not have any more. */
  deleted: z.enum(['keep', 'delete'], must('keep or delete')).default('keep'),
  /** Whether places are also written as MirrorMaker 2 writes them, for programs that use its client. */
  checkpoints: z.boolean(must('true or false')).default(false),
});

export const groupSyncSchema = z
  .union([z.literal(false).transform(() => null), mapping], {
    error: 'must be false or a mapping with match, and perhaps exclude, everyMs, deleted and checkpoints',
  })
  .nullable()
  .default(null);

export type GroupSync = z.output<typeof mapping>;

/** By these groups processes of one mirror share their work, on its target. */
const OWN_PREFIX = 'lockstep-';

/** Whether offsets of the group are synchronised, by its id. */
export function compileGroups({ match, exclude }: GroupSync): (groupId: string) => boolean {
  const isMeant = compileNames({ match, exclude });
  return (groupId) => !groupId.startsWith(OWN_PREFIX) && isMeant(groupId);
}
